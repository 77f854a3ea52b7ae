/** One meeting: when it was, and who was there for how long, within bounds where PPCH didn't watch. */

import {ask, askJSON, patience, problemFor} from "./ask.js";
import {addFact, element, explain, isolated, problemText, showUnanswered} from "./element.js";
import {clock, dayTime, isBlank, isPerson, kindOf, minute, moment, number, roomTitle, spans, unknown, visible} from "./format.js";
import {hasText, t} from "./language.js";
import {Listing} from "./listing.js";
import {lengthOf} from "./meetings.js";
import {meetingsLink} from "./route.js";
import {sleep} from "./stream.js";
import {write} from "./table.js";
import {scaleOf, timeline} from "./timeline.js";

const again = 5_000; // milliseconds until the next attempt

const find = id => document.getElementById(id);

/** Shows the page. @param {import("./pages.js").Open} open */
export async function show({id, key, signal}) {
	const path = `api/meetings/${encodeURIComponent(id)}`;
	const read = end => askJSON(path + end, {key, signal: AbortSignal.any([signal, AbortSignal.timeout(patience)])});
	clear();
	find("download").addEventListener("submit", e => {
		e.preventDefault();
		download(path, key, signal);
	}, {signal});
	// Each reading is noted in the service's log of accesses, so only the viewer repeats it.
	find("attendance-again").addEventListener("click", () => load(read, signal), {signal});
	while (!await load(read, signal)) await sleep(again, signal);
}

/** Reads the attendance and draws it. Reports whether that is done: without an answer it isn't. */
async function load(read, signal) {
	let meeting = null;
	try {
		meeting = await read("");
		if (signal.aborted) return true;
		drawMeeting(meeting);
		const attendance = await read("/attendance");
		if (signal.aborted) return true;
		explain(find("meeting-empty"), null);
		draw(attendance);
		return true;
	} catch (err) {
		const problem = problemFor(err);
		if (signal.aborted) return true;
		if (meeting && problem.code === "scope-missing") write(find("attendance-note"), t("attendance.noNames"));
		else explain(find("meeting-empty"), problemText(problem));
		return problem.isFinal;
	}
}

function clear() {
	explain(find("meeting-empty"), null);
	for (const id of ["meeting-name", "meeting-tenant", "attendance-note", "download-note", "attendees-count"]) write(find(id), "");
	for (const id of ["meeting-facts", "meeting-gaps", "meeting-unanswered", "attendees", "legend"]) find(id).replaceChildren();
	for (const id of ["meeting-tenant", "download", "attendance"]) find(id).hidden = true;
	listing = null;
}

let listing = null;
let began = 0; // of the meeting

const halfDay = 43_200_000;

/** A time within the meeting: of a long one with its day. */
const at = ms => Math.abs(ms - began) < halfDay ? minute(ms) : dayTime(ms);

function drawMeeting(m) {
	began = moment(m.started_at);
	const {title, tenant} = roomTitle(m.display_name, m.tenant);
	write(find("meeting-name"), title);
	write(find("meeting-tenant"), tenant);
	find("meeting-tenant").hidden = !tenant;
	showUnanswered(find("meeting-unanswered"), m.unanswered);
	const facts = find("meeting-facts");
	facts.replaceChildren();
	addFact(facts, t("meeting.began"), dayTime(moment(m.started_at)));
	addFact(facts, t("meeting.ended"), m.ongoing ? t("meetings.ongoing") : between(m.ended_after, m.ended_before, dayTime));
	addFact(facts, t("meeting.length"), lengthOf(m));
	addFact(facts, t("meeting.peak"), t("people", {n: m.peak_participants}));
	if (m.type === "main") addFact(facts, t("meeting.more"), element("a", {href: meetingsLink({room: m.room_name})}, t("meetings.ofRoom")));
}

/** A time, or the bounds within which it is. */
function between(after, before, write = at) {
	return after === before ? write(moment(before)) : t("between", bounds(moment(after), moment(before)));
}

/** Two times, with seconds if they would look the same without. */
function bounds(from, to) {
	const write = at(from) === at(to) ? clock : at;
	return {from: write(from), to: write(to)};
}

function draw({meeting: m, as_of: asOf, attendees, waited, gaps, unanswered}) {
	showUnanswered(find("meeting-unanswered"), unanswered);
	const scale = scaleOf(m, asOf, gaps);
	const all = [...attendees, ...waited].map(a => ({...a, id: a.stays[0].id, kind: a.stays[0].kind, rule: a.stays[0].rule, scale, there: thereOf(a)}));
	const people = all.slice(0, attendees.length).filter(a => isPerson(a.kind));
	all.filter(a => isPerson(a.kind)).forEach((a, i) => {
		a.number = i + 1;
	});
	find("attendance").hidden = find("download").hidden = false;
	find("attendance-again").hidden = !m.ongoing;
	write(find("attendance-at"), m.ongoing && asOf ? t("print.at", {at: at(moment(asOf))}) : "");
	write(find("attendees-count"), t("number", {n: people.length}));
	find("meeting-gaps").replaceChildren(...gaps.map(gap => element("p", {className: "notice"}, gapText(gap))));
	write(find("attendance-note"), people.length > 0 ? "" : t("attendance.none"));
	find("attendees").hidden = all.length === 0;
	listing ??= new Listing(find("attendees"), [
		{key: "name", head: "column.name", of: nameOf},
		{key: "first", head: "attendance.first", of: a => [firstOf(a)]},
		{key: "last", head: "attendance.last", of: a => [a.present ? t("attendance.here") : lastOf(a)]},
		{key: "total", head: "attendance.total", of: a => [durationOf(a.total_seconds)]},
		{key: "stays", head: "attendance.when", of: a => [timeline(a.stays, a.scale)]},
	], detail);
	listing.show([...people, ...all.filter(a => !people.includes(a))]);
	const marks = new Set(["main", ...all.flatMap(a => a.stays.map(s => s.type))]);
	if (all.some(a => a.stays.some(s => !s.present && s.left_at === null || s.joined_after !== null))) marks.add("maybe");
	if (gaps.length > 0) marks.add("gap");
	find("legend").replaceChildren(...marks.size > 1 ? [...marks].map(mark => element("span", {className: `mark ${mark}`, textContent: t(`attendance.mark.${mark}`)})) : []);
}

/** Who it was: a person whose name the service doesn't record has a number. */
function nameOf(a) {
	const kind = a.kind === "user" ? [] : [element("span", {className: "tag", textContent: kindOf(a)})];
	if (a.there[0].type === "lobby") kind.push(element("span", {className: "tag", textContent: t("attendance.mark.lobby")}));
	if (a.name && !isBlank(a.name)) return [isolated(a.name), ...kind];
	if (a.user_id) return [isolated(a.user_id), ...kind];
	if (a.pseudonym) return [element("code", {textContent: a.pseudonym.slice(0, 8), title: a.pseudonym}), ...kind];
	return isPerson(a.kind) ? [t("attendance.person", {n: a.number}), ...kind] : kind;
}

/** The stays outside the lobby; of a person who only waited all. */
function thereOf({stays}) {
	const there = stays.filter(s => s.type !== "lobby");
	return there.length > 0 ? there : stays;
}

const firstOf = ({there: [first]}) => first.joined_after === null ? at(moment(first.joined_at)) : between(first.joined_after, first.joined_at);

function lastOf(a) {
	if (a.last_left_at) return at(moment(a.last_left_at));
	const [last] = a.there.toSorted((x, y) => moment(y.left_before) - moment(x.left_before));
	return between(last.left_after, last.left_before);
}

const durationOf = ({min, max}) => spans(min * 1000, max * 1000);

function detail(a) {
	const facts = element("dl", {className: "facts"});
	if (a.user_id) addFact(facts, t("attendance.user"), isolated(a.user_id));
	if (a.pseudonym) addFact(facts, t("attendance.pseudonym"), element("code", {textContent: a.pseudonym}));
	if (a.lobby_seconds.max > 0) addFact(facts, t("attendance.waited"), durationOf(a.lobby_seconds));
	if (a.sum_seconds.max > a.total_seconds.max) addFact(facts, t("attendance.sum"), durationOf(a.sum_seconds));
	const stays = a.stays.map(s => element("li", {},
		element("span", {className: "span"}, `${s.joined_after === null ? at(moment(s.joined_at)) : between(s.joined_after, s.joined_at)} – `
			+ (s.present ? t("attendance.here") : between(s.left_after, s.left_before))),
		element("span", {}, s.seconds ? durationOf(s.seconds) : unknown),
		element("span", {}, ...s.type === "main" ? [] : [t(`attendance.mark.${s.type}`)]),
		element("span", {}, s.reason && s.reason !== "left" ? hasText(`left.${s.reason}`) ? t(`left.${s.reason}`) : visible(s.reason) : ""),
	));
	return [...facts.children.length > 0 ? [facts] : [], element("ul", {className: "stays"}, ...stays)];
}

function gapText({from, to, reason}) {
	const why = hasText(`gap.${reason}`) ? t(`gap.${reason}`) : t("reason.other");
	if (!to) return t("attendance.gap", {from: at(moment(from)), to: t("attendance.now"), why});
	return t("attendance.gap", {...bounds(moment(from), moment(to)), why});
}

/** Saves the attendance as a file. A link can't have the key in a header, so the page fetches it. */
async function download(path, key, signal) {
	const note = find("download-note");
	write(note, "");
	try {
		const query = new URLSearchParams({format: find("download-format").value, tz: Intl.DateTimeFormat().resolvedOptions().timeZone, bom: "true"});
		const response = await ask(`${path}/attendance?${query}`, {key, signal: AbortSignal.any([signal, AbortSignal.timeout(patience)])});
		const missing = response.headers.get("PPCH-Unanswered");
		if (missing) write(note, t("download.incomplete", {collectors: missing}));
		const [, name = "attendance.csv"] = /filename="?([\w.-]+)"?/u.exec(response.headers.get("Content-Disposition") ?? "") ?? [];
		const url = URL.createObjectURL(await response.blob());
		element("a", {href: url, download: name}).click();
		setTimeout(() => URL.revokeObjectURL(url), 60_000); // not before the browser has read it
	} catch (err) {
		if (!signal.aborted) write(note, problemText(problemFor(err)).text);
	}
}
