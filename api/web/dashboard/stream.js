/**
 * Following the event stream. EventSource can't send a key in a header, so this reads the stream by fetch:
 * HTML standard, section 9.2 "Server-sent events", with the rules of the API for coming back.
 */

import {ask, Problem} from "./ask.js";

const firstWait = 1_000, maxWait = 30_000;

// The service says something every 15 s. Silence for so long means that the connection is dead without having ended.
const silence = 40_000;

// What one line may have; a part of a snapshot has some 64 kB, and one room of it rarely more.
const maxLine = 16 << 20;

// How long events are worked on at a stretch, so that the page answers to its viewer meanwhile.
const stretch = 10;

/**
 * Follows events until signal aborts, and comes back by itself when the stream is lost.
 *
 * @param {object} to
 * @param {string} to.path
 * @param {string} to.key
 * @param {AbortSignal} to.signal
 * @param {function(string, object): void} to.onEvent  gets the name and the data of each event, in order
 * @param {function(): void} to.onOpen  the stream is there (again)
 * @param {function(Problem, number, ?number): void} to.onLost  it isn't, and is tried again after so many milliseconds;
 *   last comes when the service was last heard of, null for never
 * @returns {Promise<Problem>} what the service refuses for good
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
			problem = new Problem({status: 0, code: "ended", detail: "The service ended the stream: it may be starting anew."});
		} catch (err) {
			if (signal.aborted) return new Problem({status: 0, code: "stopped", detail: ""});
			problem = err instanceof Problem ? err : lost();
			if (!(err instanceof Problem) && err.name !== "AbortError") {
				console.error(err);
				place.id = ""; // what was made of the events may be wrong: take all anew
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

const lost = () => new Problem({status: 0, code: "lost", detail: "The connection to the service was lost."});

/** Waits, but no longer than until the network is back, or somebody asks for it by the event "ppch:now". */
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
			throw new Problem({status: 0, code: "not-ppch", detail: "Something else answered in place of the service's events."});
		}
		onOpen();
		const parser = new Parser(onEvent, place);
		parser.rested();
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		for (;;) {
			const {value, done} = await reader.read().catch(() => {
				throw lost(); // what else is thrown is a mistake of ours
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
 * Parser makes events of text. Lines end with LF or CRLF; a CR alone, which the standard has too, isn't sent by anybody,
 * and JSON has none within.
 *
 * place.id is from where the stream can be taken up again. Between a reset and the last part of the snapshot that
 * follows it there is no such place: who came back to it would get no snapshot, and would miss rooms.
 */
export class Parser {
	#rest = "";
	#name = "";
	#data = "";
	#id = null;
	#onEvent;
	#place;
	#stretchBegan = 0;

	/** @param {{id: string, held: boolean}} place  is kept up to date */
	constructor(onEvent, place) {
		this.#onEvent = onEvent;
		this.#place = place;
	}

	/** Says that others have had their turn. */
	rested() {
		this.#stretchBegan = performance.now();
	}

	/** Takes text as it comes; returns whether some of it is left for later, when take("") goes on. */
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

	/** Takes a line; returns whether it is time to let others work. */
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
			const told = JSON.parse(data);
			if (name === "reset" || name === "snapshot") {
				this.#place.held = name === "reset" || !told.last;
				if (this.#place.held) this.#place.id = "";
			}
			this.#onEvent(name, told);
		}
		if (id !== null && !this.#place.held) this.#place.id = id;
		return performance.now() - this.#stretchBegan > stretch;
	}
}

// A message to oneself comes after whatever the browser has to do, and isn't slowed in tabs that nobody sees, as timers are.
const channel = new MessageChannel();
const waiting = [];
channel.port1.onmessage = () => waiting.shift()?.();

function breathe() {
	return new Promise(resolve => {
		waiting.push(resolve);
		channel.port2.postMessage(null);
	});
}
