/** Asking the API: every request has the key in a header, never in a URL. */

// The page is at …/dashboard/, and a proxy may have put anything before that.
const root = new URL("../", document.baseURI);

/** After so many milliseconds no answer comes any more: the connection is dead without having ended. */
export const patience = 30_000;

/** What the service refuses, as its problem document (RFC 9457) says it; status 0 where nothing answered. */
export class Problem extends Error {
	/** @param {{status: number, code: string, detail: string, reason?: string, retryAfter?: number}} of  retryAfter in seconds */
	constructor(of) {
		super(of.detail);
		Object.assign(this, {retryAfter: 0, reason: ""}, of);
	}

	/** Whether the service itself refuses this, and not only for now: what a proxy says while the service is away means nothing. */
	get isFinal() {
		return this.code !== "not-ppch" && this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
	}
}

/**
 * Sends a request and returns the answer to a good one.
 * @param {string} path  below the service's root, without a leading slash
 * @param {{key?: string, headers?: Object<string, string>, signal?: AbortSignal}} [how]  without a signal it is given up when patience ends
 * @throws {Problem} for everything but a 2xx or 304; what signal aborts throws as fetch does
 */
export async function ask(path, {key, headers = {}, signal = AbortSignal.timeout(patience)} = {}) {
	let response;
	try {
		response = await fetch(new URL(path, root), {
			headers: key ? {...headers, "X-API-Key": key} : headers,
			cache: "no-store",
			credentials: "same-origin", // a proxy in front may want its own login
			redirect: "error", // the key is not for whoever is elsewhere
			signal,
		});
	} catch (err) {
		if (signal?.aborted) throw err;
		throw new Problem({status: 0, code: "no-answer", detail: "The service doesn’t answer: it may be stopped, or the network between is down."});
	}
	if (response.ok || response.status === 304) return response;
	throw await problemOf(response);
}

/** The JSON of an answer; see ask. */
export async function askJSON(path, how) {
	return (await ask(path, how)).json();
}

/** How the link to Prosody is. The answer is the same document whether that is well (200) or not (503). */
export async function askHealth(signal = AbortSignal.timeout(patience)) {
	const response = await fetch(new URL("health", root), {cache: "no-store", redirect: "error", signal});
	return response.json();
}

async function problemOf(response) {
	const retryAfter = Number(response.headers.get("Retry-After")) || 0;
	const said = await response.json().catch(() => null);
	if (typeof said?.code === "string") {
		return new Problem({status: response.status, code: said.code, detail: said.detail || said.title, reason: said.reason, retryAfter});
	}
	// A proxy's own page, most likely.
	return new Problem({status: response.status, code: "not-ppch", detail: `Something else answered in place of the service: ${response.status} ${response.statusText}`, retryAfter});
}
