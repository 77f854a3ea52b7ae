/** A small chart of one number over an hour or more, with its peak. Unknown values leave a gap. */

import {day, hour as timeOf, recent, span} from "./format.js";
import {t} from "./language.js";

const hour = 3_600_000;
const least = 1 / 12; // no smaller part of a range fills a chart
const longest = 48 * hour; // of a longer range, the caption has days without times
const reach = 1 / 40; // the pointer finds a sample that is this near, as a part of the range

/** @typedef {{at: number, value: ?number}} Sample  null for unknown */

export class Chart {
	#figure;
	#svg;
	#key;
	#samples = [];
	#stepped = false;
	#range = hour;
	#from = 0;
	#now = 0;
	#cursor = null;

	/**
	 * @param {HTMLElement} figure  empty
	 * @param {string} key  of the text for a number: "people" for "3 people"; chart.KEY is that of the chart's name
	 */
	constructor(figure, key) {
		this.#figure = figure;
		figure.append(document.getElementById("chart").content.cloneNode(true));
		this.#svg = figure.querySelector("svg");
		this.#key = key;
		this.#svg.addEventListener("pointermove", e => this.#point((e.clientX - this.#svg.getBoundingClientRect().left) / this.#width));
		this.#svg.addEventListener("pointerleave", () => this.#point(null));
		this.#svg.addEventListener("keydown", e => this.#onKey(e));
		this.#svg.addEventListener("blur", () => this.#point(null));
		new ResizeObserver(() => this.#draw()).observe(this.#svg);
	}

	/**
	 * Draws the samples of the last hour, or of another range.
	 * @param {Sample[]} samples  in order of time
	 * @param {{source: "history"|"page", range?: number, stepped?: boolean, now?: number}} how  source: from the service, or only seen by this page;
	 *   stepped: each value lasts until the next
	 */
	show(samples, {source, range = hour, stepped = false, now = Date.now()}) {
		this.#now = now;
		this.#stepped = stepped;
		this.#range = range;
		this.#samples = samples.filter(s => s.at >= now - range);
		const first = this.#samples.find(s => s.value !== null)?.at ?? now;
		this.#from = Math.max(now - range, Math.min(first, now - range * least));
		this.#figure.dataset.source = source;
		this.#draw();
	}

	get #width() {
		return this.#svg.clientWidth;
	}

	#x(at) {
		return (at - this.#from) / (this.#now - this.#from) * this.#width;
	}

	#draw() {
		const width = this.#width, height = this.#svg.clientHeight;
		if (!width || !this.#now) return;
		const known = this.#samples.filter(s => s.value !== null);
		const peak = known.reduce((a, b) => a && a.value >= b.value ? a : b, null);
		const top = Math.max(4, peak?.value ?? 0);
		const y = value => height - 2 - value / top * (height - 9);
		const lines = [];
		for (let i = 0, line = null; i < this.#samples.length; i++) {
			const {at, value} = this.#samples[i];
			if (value === null) {
				if (line && this.#stepped) line.push([this.#x(at), line.at(-1)[1]]);
				line = null;
			} else if (line) {
				if (this.#stepped) line.push([this.#x(at), line.at(-1)[1]]);
				line.push([this.#x(at), y(value)]);
			} else {
				lines.push(line = [[this.#x(at), y(value)]]);
			}
		}
		const path = points => points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
		// A single sample between two gaps would be an invisible line without length.
		for (const line of lines) if (line.length === 1) line.push([line[0][0] + 2, line[0][1]]);
		this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
		this.#svg.querySelector(".area").setAttribute("d", lines.map(l => `${path(l)}L${l.at(-1)[0].toFixed(1)} ${height}L${l[0][0].toFixed(1)} ${height}Z`).join(""));
		this.#svg.querySelector(".line").setAttribute("d", lines.map(path).join(""));
		const dot = this.#svg.querySelector(".dot");
		dot.toggleAttribute("hidden", !peak?.value);
		if (peak?.value) {
			dot.setAttribute("cx", Math.min(width - 4, Math.max(4, this.#x(peak.at))));
			dot.setAttribute("cy", y(peak.value));
		}
		this.#figure.dataset.points = known.length;
		this.#figure.dataset.gaps = Math.max(0, lines.length - 1);
		this.#describe(known, peak);
		this.#point(this.#cursor);
	}

	#describe(known, peak) {
		const name = t(`chart.${this.#key}`);
		let text = t("chart.unknown", {name});
		if (peak) {
			const lowest = Math.min(...known.map(s => s.value));
			text = t("chart.range", {name, time: span(this.#now - known[0].at), low: lowest, high: peak.value, at: timeOf(peak.at)});
			if (known.length < this.#samples.length) text += ` ${t("chart.gaps")}`;
		}
		if (this.#svg.getAttribute("aria-label") !== text) this.#svg.setAttribute("aria-label", text);
		const short = this.#range > longest ? day : recent;
		this.#write(".from", peak ? short(this.#from) : "");
		this.#write(".peak", peak?.value ? t("chart.peak", {n: peak.value, at: short(peak.at)}) : "");
	}

	#write(selector, text) {
		const node = this.#figure.querySelector(selector);
		if (node.textContent !== text) node.textContent = text;
	}

	/** Shows the number at a place from 0 to 1, or none with null. */
	#point(place) {
		this.#cursor = place;
		const line = this.#svg.querySelector(".cursor");
		line.toggleAttribute("hidden", place === null);
		this.#figure.classList.toggle("pointed", place !== null);
		if (place === null) {
			this.#write(".readout", "");
			return;
		}
		const at = this.#from + place * (this.#now - this.#from);
		const value = this.#valueAt(at);
		line.setAttribute("x1", place * this.#width);
		line.setAttribute("x2", place * this.#width);
		line.setAttribute("y2", this.#svg.clientHeight);
		this.#write(".readout", `${timeOf(at)} · ${value === null ? t("unknown") : t(this.#key, {n: value})}`);
	}

	#valueAt(at) {
		if (this.#stepped) return this.#samples.findLast(s => s.at <= at)?.value ?? null;
		const near = this.#samples.reduce((a, b) => a && Math.abs(a.at - at) <= Math.abs(b.at - at) ? a : b, null);
		return near && Math.abs(near.at - at) < this.#range * reach ? near.value : null;
	}

	#onKey(e) {
		const step = {ArrowLeft: -1 / 60, ArrowRight: 1 / 60}[e.key];
		if (!step) return;
		e.preventDefault();
		this.#point(Math.min(1, Math.max(0, (this.#cursor ?? 1) + (this.#cursor === null ? 0 : step))));
	}
}

/** The samples of a number of /api/stats/history: each value is the peak of a step and stands at the step's end. */
export function samplesOf(history, values) {
	const from = Date.parse(history.from), step = history.step_seconds * 1000;
	return values.map((value, i) => ({at: from + (i + 1) * step, value}));
}
