/** Requests to the API. Each has the key in a header, never in the URL. */

import {t} from "./language.js";

// The page is at …/dashboard/, below any path of a proxy.
const root = new URL("../", document.baseURI);

/** After so many milliseconds without an answer the connection is dead, although it hasn't ended. */
export const patience = 30_000;

/** A refusal of the service, from its problem document (RFC 9457); the status is 0 without an answer. */
export class Problem extends Error {
	/** @param {{status: number, code: string, detail: string, reason?: string, retryAfter?: number}} of  retryAfter in seconds */
	constructor(of) {
		super(of.detail);
		Object.assign(this, {retryAfter: 0, reason: ""}, of);
	}

	/** Whether the service itself refuses this for good: a proxy's answer while the service is down means nothing. */
	get isFinal() {
		return this.code !== "not-ppch" && this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
	}
}

/**
 * Sends a request and returns its answer.
 * @param {string} path  below the service's root, without a leading slash
 * @param {{method?: string, key?: string, headers?: Object<string, string>, signal?: AbortSignal}} [how]  without a signal the request ends after patience
 * @throws {Problem} for every status but 2xx and 304; when signal aborts, it throws what fetch throws
 */
export async function ask(path, {method = "GET", key, headers = {}, signal = AbortSignal.timeout(patience)} = {}) {
	let response;
	try {
		response = await fetch(new URL(path, root), {
			method,
			headers: key ? {...headers, "X-API-Key": key} : headers,
			cache: "no-store",
			credentials: "same-origin", // a proxy in front may want its own login
			redirect: "error", // the key is for this service only
			signal,
		});
	} catch (err) {
		if (signal?.aborted) throw err;
		throw new Problem({status: 0, code: "no-answer", detail: t("problem.noAnswer")});
	}
	if (response.ok || response.status === 304) return response;
	throw await problemOf(response);
}

/** A problem for what ask throws: without an answer in time, the service doesn't answer. */
export function problemFor(err) {
	if (err instanceof Problem) return err;
	if (err.name !== "TimeoutError" && err.name !== "AbortError") console.error(err); // a bug of this page
	return new Problem({status: 0, code: "no-answer", detail: t("problem.noAnswer")});
}

/** The JSON of an answer; see ask. */
export async function askJSON(path, how) {
	return (await ask(path, how)).json();
}

/** Returns the state of the connection to Prosody. The document is the same with status 200 and 503. */
export async function askHealth(signal = AbortSignal.timeout(patience)) {
	const response = await fetch(new URL("health", root), {cache: "no-store", redirect: "error", signal});
	return response.json();
}

async function problemOf(response) {
	const retryAfter = Number(response.headers.get("Retry-After")) || 0;
	const doc = await response.json().catch(() => null);
	if (typeof doc?.code === "string") {
		return new Problem({status: response.status, code: doc.code, detail: doc.detail || doc.title, reason: doc.reason, retryAfter});
	}
	// Most likely a proxy's own page.
	return new Problem({status: response.status, code: "not-ppch", detail: t("problem.notPPCH", {status: `${response.status} ${response.statusText}`.trim()}), retryAfter});
}
