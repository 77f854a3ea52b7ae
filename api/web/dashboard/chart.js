/** A small chart of one number in the last hour. Where it wasn't known there is no line. */

import {minute, number, several, span} from "./format.js";

const hour = 3_600_000;
const svg = "http://www.w3.org/2000/svg";

/** @typedef {{at: number, value: ?number}} Sample  null where the number wasn't known */

export class Chart {
	#figure;
	#svg;
	#readout;
	#one;
	#many;
	#samples = [];
	#now = 0;
	#cursor = null;

	/**
	 * @param {HTMLElement} figure  with an svg and a figcaption
	 * @param {string} one  what is counted, as one
	 * @param {string} many  and as many
	 */
	constructor(figure, one, many) {
		this.#figure = figure;
		this.#svg = figure.querySelector("svg");
		this.#readout = figure.querySelector(".readout");
		this.#one = one;
		this.#many = many;
		this.#svg.addEventListener("pointermove", e => this.#point((e.clientX - this.#svg.getBoundingClientRect().left) / this.#width));
		this.#svg.addEventListener("pointerleave", () => this.#point(null));
		this.#svg.addEventListener("keydown", e => this.#onKey(e));
		this.#svg.addEventListener("blur", () => this.#point(null));
		new ResizeObserver(() => this.#draw()).observe(this.#svg);
	}

	/**
	 * @param {Sample[]} samples  in the order of time
	 * @param {"history"|"page"} source  whether the service told them or this page saw them
	 */
	show(samples, source) {
		this.#now = Date.now();
		this.#samples = samples.filter(s => s.at >= this.#now - hour);
		this.#figure.dataset.source = source;
		this.#draw();
	}

	get #width() {
		return this.#svg.clientWidth;
	}

	#x(at) {
		return (1 - (this.#now - at) / hour) * this.#width;
	}

	#draw() {
		const width = this.#width, height = this.#svg.clientHeight;
		if (!width || !this.#now) return;
		const known = this.#samples.filter(s => s.value !== null);
		const most = Math.max(4, ...known.map(s => s.value));
		const y = value => height - 1.5 - value / most * (height - 6);
		const lines = [];
		for (let i = 0, line = null; i < this.#samples.length; i++) {
			const {at, value} = this.#samples[i];
			if (value === null) line = null;
			else if (line) line.push([this.#x(at), y(value)]);
			else lines.push(line = [[this.#x(at), y(value)]]);
		}
		const path = points => points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
		// A sample between two gaps would be a line without length, which nobody sees.
		for (const line of lines) if (line.length === 1) line.push([line[0][0] + 2, line[0][1]]);
		const area = lines.map(l => `${path(l)}V${height}H${l[0][0].toFixed(1)}Z`).join("");
		this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
		this.#svg.querySelector(".area").setAttribute("d", area);
		this.#svg.querySelector(".line").setAttribute("d", lines.map(path).join(""));
		this.#figure.dataset.points = known.length;
		this.#figure.dataset.gaps = Math.max(0, lines.length - 1);
		this.#describe(known);
		this.#point(this.#cursor);
	}

	#describe(known) {
		let text = `${this.#many} in the last hour: not known`;
		if (known.length > 0) {
			const values = known.map(s => s.value);
			const begun = span(this.#now - this.#samples[0].at);
			text = `${this.#many} in the last ${begun}: from ${number(Math.min(...values))} to ${number(Math.max(...values))}`;
			if (known.length < this.#samples.length) text += ", for a part of it not known";
		}
		this.#svg.setAttribute("aria-label", text);
		this.#figure.querySelector(".most").textContent = known.length > 0 ? `most ${number(Math.max(...known.map(s => s.value)))}` : "";
	}

	/** Tells the number at a place from 0 to 1, or none with null. */
	#point(place) {
		this.#cursor = place;
		const line = this.#svg.querySelector(".cursor");
		line.toggleAttribute("hidden", place === null);
		this.#figure.classList.toggle("pointed", place !== null);
		if (place === null) {
			this.#readout.textContent = "";
			return;
		}
		const at = this.#now - (1 - place) * hour;
		const near = this.#samples.reduce((a, b) => a && Math.abs(a.at - at) <= Math.abs(b.at - at) ? a : b, null);
		const within = near && Math.abs(near.at - at) < 60_000;
		line.setAttribute("x1", place * this.#width);
		line.setAttribute("x2", place * this.#width);
		line.setAttribute("y2", this.#svg.clientHeight);
		this.#readout.textContent = `${minute(at)}: ${within && near.value !== null ? several(near.value, this.#one, this.#many.toLowerCase()) : "not known"}`;
	}

	#onKey(e) {
		const step = {ArrowLeft: -1 / 60, ArrowRight: 1 / 60}[e.key];
		if (!step) return;
		e.preventDefault();
		this.#point(Math.min(1, Math.max(0, (this.#cursor ?? 1) + (this.#cursor === null ? 0 : step))));
	}
}

/** The samples of a number of /api/stats/history: each is of a step, whose end it stands at. */
export function samplesOf(history, values) {
	const from = Date.parse(history.from), step = history.step_seconds * 1000;
	return values.map((value, i) => ({at: from + (i + 1) * step, value}));
}
