/** A row's bar of a meeting: when a person was there, when perhaps, and when PPCH didn't watch. */

import {moment} from "./format.js";

const svg = "http://www.w3.org/2000/svg";
const width = 1000, height = 10;

/** @typedef {{from: number, to: number, now: number, gaps: {from: string, to: ?string}[]}} Scale */

/** @returns {Scale} the time that bars show: that of the meeting, up to now while it goes on */
export function scaleOf(m, asOf, gaps) {
	const now = moment(asOf) ?? Date.now();
	const from = moment(m.started_at);
	return {from, to: Math.max(from + 1000, moment(m.ended_before) ?? now), now, gaps};
}

/** Returns the bar of stays. Screen readers pass over it, since the row has the times. */
export function timeline(stays, scale) {
	const bar = document.createElementNS(svg, "svg");
	bar.setAttribute("class", "timeline");
	bar.setAttribute("viewBox", `0 0 ${width} ${height}`);
	bar.setAttribute("preserveAspectRatio", "none");
	bar.setAttribute("aria-hidden", "true");
	const add = (name, from, to) => bar.append(part(name, from, to, scale));
	for (const gap of scale.gaps) add("gap", moment(gap.from), moment(gap.to) ?? scale.now);
	for (const s of stays) {
		const joined = moment(s.joined_at);
		const left = s.present ? scale.now : moment(s.left_after);
		if (s.joined_after !== null) add(`${s.type} maybe`, moment(s.joined_after), joined);
		add(s.type, joined, left);
		if (!s.present && s.left_at === null) add(`${s.type} maybe`, left, moment(s.left_before));
	}
	return bar;
}

function part(name, from, to, scale) {
	const x = at => Math.min(width, Math.max(0, (at - scale.from) / (scale.to - scale.from) * width));
	const rect = document.createElementNS(svg, "rect");
	rect.setAttribute("class", name);
	rect.setAttribute("x", x(from).toFixed(1));
	rect.setAttribute("width", Math.max(3, x(to) - x(from)).toFixed(1)); // a short stay shows
	rect.setAttribute("height", height);
	return rect;
}
