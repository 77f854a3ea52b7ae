/** How well all of this is known: the connection to the service, and the service's link to Prosody. */

import {askHealth} from "./ask.js";
import {clock, dated, span, unknown} from "./format.js";
import {write} from "./table.js";

const pills = {
	connecting: "Connecting …",
	live: "Live",
	polling: "Every 5 s",
	stale: "Not live",
	lost: "Disconnected",
};

/** @typedef {{is: "connecting"|"open"|"polling"|"lost", problem?: Error, until?: number, heard?: ?number}} Connection */

export class LinkView {
	/** @type {Connection} */
	connection = {is: "connecting"};
	#store;
	#find = id => document.getElementById(id);
	#health = null;
	#drawnState = "";

	/** @param {import("./store.js").Store} store */
	constructor(store) {
		this.#store = store;
		this.#find("retry").addEventListener("click", () => window.dispatchEvent(new Event("ppch:now")));
		this.#find("link").addEventListener("toggle", e => e.newState === "open" && this.#readHealth());
	}

	/** What is shown as the state of everything. */
	get state() {
		const {is} = this.connection;
		if (is === "lost" || is === "connecting") return is;
		if (this.#store.domains.size > 0 && !this.#store.live) return "stale";
		if (!this.#store.complete) return "connecting";
		return is === "polling" ? is : "live";
	}

	/** Why totals aren't known, in a few words. */
	get why() {
		const {state, trueAt} = this;
		if (state === "connecting") return "Rooms are being read …";
		return trueAt === null ? "How many there are isn’t known: see above." : `How many there are now isn’t known. The rooms below are those of ${clock(trueAt)}.`;
	}

	/** When what is shown was last known to be true; null for never. */
	get trueAt() {
		if (this.state === "live" || this.state === "polling") return Date.now();
		return this.connection.is === "lost" ? this.connection.heard : this.#store.staleSince;
	}

	draw() {
		const {state} = this;
		if (document.body.dataset.state !== state) document.body.dataset.state = state;
		write(this.#find("state-text"), pills[state]);
		write(this.#find("site"), this.#store.domains.keys().next().value ?? "");
		write(this.#find("rooms-title"), this.#heading(state));
		this.#drawTrouble(state);
		this.#drawDomains();
		if (state === this.#drawnState) return;
		this.#drawnState = state;
		if (this.#find("link").matches(":popover-open")) this.#readHealth();
	}

	#heading(state) {
		if (state !== "stale" && state !== "lost") return "Open now";
		return this.trueAt === null ? "Open rooms" : `Open at ${clock(this.trueAt)}`;
	}

	#drawTrouble(state) {
		const trouble = state === "lost" ? this.#lost() : state === "stale" ? this.#stale() : null;
		const box = this.#find("trouble");
		if (box.hidden !== (trouble === null)) box.hidden = trouble === null;
		this.#find("retry").hidden = state !== "lost";
		if (!trouble) return;
		box.dataset.grade = trouble.grade;
		write(this.#find("trouble-title"), trouble.title);
		write(this.#find("trouble-detail"), trouble.detail);
		write(this.#find("trouble-age"), trouble.age);
	}

	#lost() {
		const {problem, until, heard} = this.connection;
		const wait = Math.ceil((until - Date.now()) / 1000);
		return {
			grade: "error",
			title: problem.status ? "The service doesn’t answer this now" : "No connection to the service",
			detail: problem.message,
			age: `${age(heard)} ${wait > 0 ? `The next try is in ${wait} s.` : "Trying again …"}`,
		};
	}

	#stale() {
		const bad = [...this.#store.domains.values()].filter(d => !d.live);
		const all = bad.length === this.#store.domains.size;
		const syncing = bad.every(d => d.reason === "syncing");
		const where = all ? "" : ` (${bad.map(d => d.domain).join(", ")})`;
		const details = [...new Set(bad.map(d => d.status.replace(/^error: /u, "")))].filter(s => s !== "syncing");
		return {
			grade: syncing ? "wait" : "error",
			title: (syncing ? "Rooms are being learnt from Prosody" : "Prosody doesn’t tell what happens") + where,
			detail: syncing ? "That passes by itself in a moment." : details.map(sentence).join(" "),
			age: age(this.#store.staleSince),
		};
	}

	#drawDomains() {
		const body = this.#find("domains").tBodies[0];
		const domains = [...this.#store.domains.values()];
		while (body.rows.length > domains.length) body.lastChild.remove();
		domains.forEach((d, i) => {
			const row = body.rows[i] ?? body.insertRow();
			if (!row.cells.length) {
				row.append(Object.assign(document.createElement("th"), {scope: "row"}));
				for (const cell of ["state", "asof", "mode"]) row.insertCell().dataset.cell = cell;
			}
			row.dataset.domain = d.domain;
			const mode = this.#health?.domains.find(h => h.domain === d.domain)?.mode;
			const lost = this.connection.is === "lost";
			const live = d.live && !lost;
			const asOf = lost && d.live ? this.connection.heard : d.asOf; // who was live then is not known to be now
			const texts = [d.domain, lost ? "not known" : live ? "live" : d.status, live ? "now" : asOf ? `${clock(asOf)}, ${span(Date.now() - asOf)} ago` : unknown, mode ?? unknown];
			texts.forEach((text, cell) => write(row.cells[cell], text));
		});
	}

	async #readHealth() {
		const said = this.#find("link-health");
		try {
			this.#health = await askHealth();
			const {connected, since, last_answer: answered, version, commit} = this.#health;
			write(said, [
				since ? `The stream to Prosody ${connected ? "is up" : "is down"} since ${dated(Date.parse(since))}.` : "The stream to Prosody has not been up yet.",
				answered ? `Prosody last answered a question at ${clock(Date.parse(answered))}.` : "",
				`PPCH ${version}${commit ? ` (${commit.slice(0, 12)})` : ""}.`,
			].join(" "));
		} catch {
			write(said, "The service doesn’t answer.");
		}
		this.#drawDomains();
	}
}

function age(since) {
	if (!since) return "Nothing is known now.";
	return `What is shown was true at ${clock(since)}, ${span(Date.now() - since)} ago.`;
}

/** The service's words as a sentence. */
function sentence(text) {
	const begun = text.replace(/^[a-z]+(?=[\s,:])/u, word => word.charAt(0).toUpperCase() + word.slice(1)); // but not the name of a host
	return /[.!?]$/u.test(begun) ? begun : `${begun}.`;
}
