/**
 * The event stream, read by fetch, since EventSource can't send a key in a header:
 * HTML standard, section 9.2 "Server-sent events", and the API's rules for resuming.
 */

import {ask, Problem} from "./ask.js";
import {t} from "./language.js";

const firstWait = 1_000, maxWait = 30_000;

// The service sends something every 15 s. After so long without anything the connection is dead, although it hasn't ended.
const silence = 40_000;

// The longest line; a part of a snapshot is about 64 kB, and one room of it rarely more.
const maxLine = 16 << 20;

// For how many milliseconds events are handled at a stretch, so that the page stays responsive.
const stretch = 10;

/**
 * Follows events until signal aborts, and reconnects when the stream is lost.
 *
 * @param {object} to
 * @param {string} to.path
 * @param {string} to.key
 * @param {AbortSignal} to.signal
 * @param {function(string, object): void} to.onEvent  called with the name and the data of each event, in order
 * @param {function(): void} to.onOpen  called when the stream is open (again)
 * @param {function(Problem, number, ?number): void} to.onLost  called when it is lost, with the milliseconds until the next attempt
 *   and the time at which the service last sent something, null for never
 * @returns {Promise<Problem>} why the service refuses for good
 */
export async function follow({path, key, signal, onEvent, onOpen, onLost}) {
	const place = {id: "", held: false, heard: null};
	for (let wait = firstWait; ;) {
		let problem;
		try {
			const headers = {Accept: "text/event-stream"};
			if (place.id) headers["Last-Event-ID"] = place.id;
			await connect({path, key, headers, signal, onOpen, onEvent: (name, data) => {
				wait = firstWait; // not before: a proxy may accept and then drop
				onEvent(name, data);
			}}, place);
			problem = new Problem({status: 0, code: "ended", detail: t("problem.streamEnded")});
		} catch (err) {
			if (signal.aborted) return new Problem({status: 0, code: "stopped", detail: ""});
			problem = err instanceof Problem ? err : lost();
			if (!(err instanceof Problem) && err.name !== "AbortError") {
				console.error(err);
				place.id = ""; // the store may be wrong: load everything again
			}
		}
		if (problem.isFinal) return problem;
		// Not all viewers at the same moment.
		const pause = Math.max(wait * (0.75 + Math.random() / 2), problem.retryAfter * 1000);
		wait = Math.min(wait * 2, maxWait);
		onLost(problem, pause, place.heard);
		await sleep(pause, signal);
	}
}

const lost = () => new Problem({status: 0, code: "lost", detail: t("problem.lost")});

/** Waits for ms, or until the network is back or the event "ppch:now" asks for an attempt. */
export function sleep(ms, signal) {
	return new Promise(resolve => {
		const done = () => {
			clearTimeout(timer);
			for (const [on, name] of wakers) on.removeEventListener(name, done);
			resolve();
		};
		const wakers = [[signal, "abort"], [window, "online"], [window, "ppch:now"]];
		const timer = setTimeout(done, ms);
		for (const [on, name] of wakers) on.addEventListener(name, done);
	});
}

/** One connection: returns when the stream ends in good order. */
async function connect({path, key, headers, signal, onOpen, onEvent}, place) {
	const cut = new AbortController();
	const stop = () => cut.abort();
	signal.addEventListener("abort", stop);
	let watchdog = setTimeout(stop, silence);
	try {
		const response = await ask(path, {key, headers, signal: cut.signal});
		if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
			throw new Problem({status: 0, code: "not-ppch", detail: t("problem.notEvents")});
		}
		onOpen();
		const parser = new Parser(onEvent, place);
		parser.rested();
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		for (;;) {
			const {value, done} = await reader.read().catch(() => {
				throw lost(); // any other exception is a bug of this page
			});
			if (done) return;
			clearTimeout(watchdog);
			watchdog = setTimeout(stop, silence);
			place.heard = Date.now();
			for (let more = parser.take(value); more; more = parser.take("")) {
				await breathe();
				parser.rested();
			}
		}
	} finally {
		clearTimeout(watchdog);
		signal.removeEventListener("abort", stop);
		cut.abort();
	}
}

/**
 * Parser turns text into events. Lines end with LF or CRLF. The standard also allows a lone CR, but no server sends it,
 * and JSON doesn't contain any.
 *
 * place.id is the id to resume from. There is none between a reset and the last part of the following snapshot:
 * a client that resumed there would get no snapshot and would miss rooms.
 */
export class Parser {
	#rest = "";
	#name = "";
	#data = "";
	#id = null;
	#onEvent;
	#place;
	#stretchBegan = 0;

	/** @param {{id: string, held: boolean}} place  the parser updates it */
	constructor(onEvent, place) {
		this.#onEvent = onEvent;
		this.#place = place;
	}

	/** Notes that the page's other work has had its turn. */
	rested() {
		this.#stretchBegan = performance.now();
	}

	/** Takes text as it arrives; returns whether some of it is left, which take("") then handles. */
	take(text) {
		this.#rest += text;
		let from = 0;
		let late = false;
		for (let end; !late && (end = this.#rest.indexOf("\n", from)) >= 0; from = end + 1) {
			late = this.#line(this.#rest.slice(from, this.#rest[end - 1] === "\r" ? end - 1 : end));
		}
		this.#rest = this.#rest.slice(from);
		if (!late && this.#rest.length > maxLine) throw new Error("an event without end");
		return late;
	}

	/** Takes a line; returns whether the page's other work is due. */
	#line(line) {
		if (line === "") return this.#dispatch();
		const colon = line.indexOf(":");
		if (colon === 0) return false;
		const field = colon < 0 ? line : line.slice(0, colon);
		const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
		if (field === "data") this.#data += this.#data ? `\n${value}` : value;
		else if (field === "event") this.#name = value;
		else if (field === "id" && !value.includes("\0")) this.#id = value;
		return false;
	}

	#dispatch() {
		const name = this.#name, data = this.#data, id = this.#id;
		this.#name = this.#data = "";
		this.#id = null;
		if (data) {
			const doc = JSON.parse(data);
			if (name === "reset" || name === "snapshot") {
				this.#place.held = name === "reset" || !doc.last;
				if (this.#place.held) this.#place.id = "";
			}
			this.#onEvent(name, doc);
		}
		if (id !== null && !this.#place.held) this.#place.id = id;
		return performance.now() - this.#stretchBegan > stretch;
	}
}

// A message to oneself arrives after all other work of the browser and, unlike a timer, isn't slowed in hidden tabs.
const channel = new MessageChannel();
const waiting = [];
channel.port1.onmessage = () => waiting.shift()?.();

function breathe() {
	return new Promise(resolve => {
		waiting.push(resolve);
		channel.port2.postMessage(null);
	});
}
