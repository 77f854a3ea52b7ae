/** The totals: numbers, and charts of the last hour or of some days, as far as the service has them. */

import {askJSON} from "./ask.js";
import {Chart, samplesOf} from "./chart.js";
import {reason, sentence} from "./connection.js";
import {element, showUnanswered} from "./element.js";
import {number} from "./format.js";
import {t} from "./language.js";
import {write} from "./table.js";

const hour = 3_600_000;
const ranges = {"1h": hour, "24h": 24 * hour, "7d": 7 * 24 * hour, "30d": 30 * 24 * hour};
const sampleEvery = 15_000, readEvery = 60_000;

export class Totals {
	#store;
	#connection;
	#onRead;
	#find = id => document.getElementById(id);
	#charts;
	#samples = {rooms: [], people: []}; // that this page took
	#history = {}; // documents of /api/stats/history, by range
	#range = "1h";
	#key = "";

	/**
	 * @param {import("./store.js").Store} store
	 * @param {import("./connection.js").ConnectionView} connection
	 * @param {function(): void} onRead  called when the service has answered
	 */
	constructor(store, connection, onRead) {
		this.#store = store;
		this.#connection = connection;
		this.#onRead = onRead;
		this.#charts = {rooms: new Chart(this.#find("rooms-chart"), "rooms"), people: new Chart(this.#find("people-chart"), "people")};
		this.#find("ranges").addEventListener("click", e => {
			const {range} = e.target.dataset;
			if (!range) return;
			this.#range = range;
			this.drawCharts();
			this.#read(range);
		});
		setInterval(() => this.#sample(), sampleEvery);
		setInterval(() => this.#key && this.#read(this.#range), readEvery);
	}

	/** Reads the history with a key, and finds out which ranges there are. */
	async start(key) {
		this.#key = key;
		for (const range of ["1h", "24h"]) await this.#read(range); // one after the other: the rooms come first
	}

	/** Draws the numbers. */
	draw() {
		const main = this.#store.total("main");
		this.#draw("rooms-total", main?.rooms);
		this.#draw("people-total", main?.people);
		const note = main ? this.#visitorsNote : this.#connection.why;
		this.#drawVisitors(main ?? {}, note || t("also.why.unreported"));
		for (const type of ["breakout", "lobby"]) {
			this.#draw(`${type}-total`, this.#store.total(type)?.people);
			this.#explain(type, this.#why(type));
		}
		write(this.#find("totals-note"), note);
		this.#find("totals-note").hidden = !note;
		for (const busy of [this.#find("rooms"), this.#find("totals")]) busy.setAttribute("aria-busy", !this.#store.complete);
	}

	/** Why the total of a type is unknown, "" if it is known. */
	#why(type) {
		const store = this.#store;
		if (store.total(type)) return "";
		if (!store.total("main")) return this.#connection.why;
		if (!store.whole) return t("also.why.limited");
		const [domain] = store.domainsOf(type).filter(d => !d.known || !d.live);
		return domain ? sentence(reason(domain)) : t("also.why.unwatched");
	}

	/** Explains an unknown number to those who point at it, and to screen readers. */
	#explain(name, why) {
		const number = this.#find(`${name}-total`);
		if (number.title !== why) number.title = why;
		write(this.#find(`${name}-why`), why);
	}

	/** Why the number of visitors is unknown. */
	get #visitorsNote() {
		const {unknown: shards, all} = this.#store.nodes;
		if (shards.length === 0) return "";
		return `${t("totals.visitors", {shards: shards.join(", ")})} ${sentence(reason(all.find(s => !s.live)))}`;
	}

	drawCharts() {
		const history = this.#history[this.#range];
		const past = {rooms: history?.rooms, people: history?.participant_count};
		for (const name of ["rooms", "people"]) {
			const before = history ? samplesOf(history, past[name]) : [];
			const since = before.at(-1)?.at ?? 0;
			const main = this.#current;
			const last = main ? [{at: Date.now(), value: main[name]}] : [];
			const samples = [...before, ...this.#samples[name].filter(s => s.at > since), ...last];
			this.#charts[name].show(samples, {source: history ? "history" : "page", range: ranges[this.#range]});
		}
		const missing = this.#find("totals-unanswered");
		showUnanswered(missing, history?.unanswered);
		if (history?.exact === false && !history.unanswered) missing.append(element("p", {className: "muted", textContent: t("chart.sums")}));
		for (const button of this.#find("ranges").children) button.setAttribute("aria-pressed", button.dataset.range === this.#range);
	}

	/** In words. */
	get sentence() {
		const main = this.#store.total("main");
		return main ? t("said.sum", {people: t("people", {n: main.people}), rooms: t("rooms", {n: main.rooms})}) : t("said.unknown");
	}

	get #current() {
		return this.#connection.isCurrent ? this.#store.total("main") : null;
	}

	/** Draws the number of visitors, which is a minimum if some rooms' visitors are unknown. */
	#drawVisitors({visitors, unsure}, why) {
		this.#draw("visitors-total", unsure > 0 && visitors === 0 ? null : visitors);
		this.#explain("visitors", unsure === 0 ? "" : why); // also with a minimum, or without totals
		if (unsure > 0 && visitors > 0) write(this.#find("visitors-total"), `≥ ${number(visitors)}`);
	}

	#draw(id, n = null) {
		write(this.#find(id), number(n));
		this.#find(id).dataset.value = n ?? "";
	}

	/** Takes a sample, null for unknown. */
	#sample() {
		const main = this.#current;
		for (const name of ["rooms", "people"]) {
			this.#samples[name].push({at: Date.now(), value: main?.[name] ?? null});
			if (this.#samples[name].length > hour / sampleEvery) this.#samples[name].shift();
		}
		this.drawCharts();
	}

	async #read(range) {
		try {
			this.#history[range] = await askJSON(`api/stats/history${range === "1h" ? "" : `?range=${range}`}`, {key: this.#key});
			if (range === "1h") this.#setWhole(true, false);
		} catch (problem) {
			if (problem.isFinal) { // after other problems everything stays
				delete this.#history[range];
				if (range === "1h") this.#setWhole(false, problem.code === "room-not-allowed");
			}
		}
		const recorded = "24h" in this.#history; // then longer ranges are, too
		for (const button of this.#find("ranges").children) button.hidden = !recorded && button.dataset.range !== "1h";
		this.#find("ranges").hidden = !recorded;
		if (!recorded) this.#range = "1h";
		this.#onRead();
		this.drawCharts();
	}

	/** Notes whether the key may see all rooms: only such a key may read the history. */
	#setWhole(whole, limited) {
		this.#store.whole = whole;
		this.#find("note-rooms").hidden = !limited;
	}
}
