/** The page of a share link. It follows the link's events by itself and never needs a keyboard. */

import {follow} from "./link.js";
import {digits, preferred, t, used, useLanguage} from "./language.js";
import {compact, door, message, pageTurned, wall} from "./views.js";

const query = new URLSearchParams(location.search);

/** After so long without an event what is shown is not current, and later unknown. */
const oldAfter = 12_000, unknownAfter = 45_000;

const state = {
	doc: null, // what the link shows
	problem: null, // why that is unknown
	ended: "", // why the link shows nothing any more
	heard: Date.now(), // when the service was last heard
	streaming: null, // whether a stream keeps doc current, null until the first has begun or failed
};

const find = id => document.getElementById(id);
const time = new Map();

/** A time of day in the viewer's way of writing. */
function clock(at) {
	if (!time.has(used.locale)) time.set(used.locale, new Intl.DateTimeFormat(used.locale, {timeStyle: "medium"}));
	return time.get(used.locale).format(new Date(at));
}

/** Returns how much what is shown can be believed: "live", "old" or "bad", with a text. */
function trust() {
	const silent = Date.now() - state.heard;
	if (state.problem?.at_least) return ["bad", t(silent > oldAfter ? "share.lost" : "share.reason.part")];
	if (state.problem) return ["bad", t(reasonKey(state.problem))];
	if (!state.doc) return silent > oldAfter ? ["bad", t("share.lost")] : ["", ""];
	const at = clock(state.doc.as_of);
	if (silent > unknownAfter) return ["bad", t("share.lost.since", {at})];
	if (silent > oldAfter) return ["old", t("share.lost.at", {at})];
	if (!state.doc.current || state.streaming === false) return ["old", t("share.old", {at})];
	if (!state.streaming) return ["", ""];
	return ["live", t("share.live", {at})];
}

function reasonKey({code, reason}) {
	switch (code) {
	case "rate-limited": return "share.reason.limited";
	case "too-many-streams": case "too-many-requests": case "overloaded": return "share.reason.busy";
	case "count-unknown": return "share.reason.hidden";
	}
	switch (reason) {
	case "connecting": return "share.reason.connecting";
	case "syncing": case "storage": return "share.reason.loading";
	}
	return "share.reason.noAnswer";
}

/** What is certain while the numbers are unknown, or undefined: only the service's last word is. */
const minimum = () => Date.now() - state.heard > oldAfter ? undefined : state.problem?.at_least;

function viewOf(doc) {
	const wanted = query.get("view");
	if (["door", "wall", "compact"].includes(wanted)) return wanted;
	return doc?.list ? "wall" : "door";
}

let shownLast = "";

/** Shows the state, unless nothing has changed. */
export function render() {
	const view = find("view"), [is, text] = trust();
	const all = JSON.stringify([state.doc?.rooms, state.problem?.display_name, minimum(), state.ended, is, text, innerWidth, innerHeight, pageTurned()]);
	if (all === shownLast) return;
	shownLast = all;
	draw(view, is, text);
}

function draw(view, is, text) {
	view.setAttribute("aria-busy", String(!state.doc && !state.problem && !state.ended));
	const atLeast = minimum(), doc = atLeast ?? state.doc;
	document.body.dataset.view = viewOf(doc);
	if (state.ended) {
		find("state").textContent = "";
		find("turn").hidden = true;
		document.title = t("share.ended.title");
		view.replaceChildren(message(t(`share.ended.${state.ended}`), t("share.ended.text")));
		return;
	}
	if (find("state").textContent !== text) find("state").textContent = text; // otherwise a screen reader would repeat it
	find("state").dataset.is = is;
	const known = doc && is !== "bad";
	const number = atLeast?.participant_count ? `${digits(atLeast.participant_count)}+` : known ? digits(doc.participant_count) : "?";
	document.title = [number, (doc && !doc.list ? doc.rooms[0] : state.problem)?.display_name ?? t("share.title")].join(" · ");
	if (!doc && state.problem?.display_name) {
		const room = {display_name: state.problem.display_name, participant_count: 0, participants: null};
		find("turn").hidden = true;
		view.replaceChildren(door({doc: {list: false, rooms: [room], exact: true}, known: false, old: false}));
		return;
	}
	if (!doc) {
		find("turn").hidden = true;
		view.replaceChildren(message(t(is === "bad" ? "share.unknown" : "share.loading")));
		return;
	}
	const shown = {doc, known, minimum: Boolean(atLeast), old: is === "old"};
	switch (document.body.dataset.view) {
	case "wall": return wall(view, find("turn"), shown);
	case "compact": find("turn").hidden = true; return view.replaceChildren(compact(shown));
	default: find("turn").hidden = true; return view.replaceChildren(door(shown));
	}
}

/** Keeps the screen on while the page is visible, if the browser can. */
async function stayAwake() {
	if (document.visibilityState !== "visible" || window.top !== window) return; // a frame may not
	try {
		await navigator.wakeLock?.request("screen");
	} catch {
		// it is not allowed, or the battery is low
	}
}

async function start() {
	const {language, locale} = preferred(query.get("lang"), navigator.languages);
	useLanguage(language, locale, await (await fetch(new URL(`${language}.json`, import.meta.url))).json());
	document.documentElement.lang = language;
	if (["light", "dark"].includes(query.get("theme"))) document.documentElement.dataset.theme = query.get("theme");
	render();
	setInterval(render, 1000);
	addEventListener("resize", render);
	document.addEventListener("visibilitychange", stayAwake);
	stayAwake();
	follow({
		heard() { state.heard = Date.now(); },
		streaming(now) { state.streaming = now; render(); },
		show(doc) { Object.assign(state, {doc, problem: null, ended: ""}); render(); },
		beat({current, as_of}) { if (state.doc && !state.problem) Object.assign(state.doc, {current, as_of}); render(); },
		fail(problem) { state.problem = problem; render(); },
		end(code) { state.ended = code === "share-link-expired" ? "expired" : "withdrawn"; state.doc = state.problem = null; render(); },
	});
}

start();
