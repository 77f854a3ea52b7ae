/** Connects the page's parts: the key, what is followed with it, and what is drawn. */

import {Activity} from "./activity.js";
import {askJSON} from "./ask.js";
import {Chart, samplesOf} from "./chart.js";
import {ConnectionView} from "./connection.js";
import {number} from "./format.js";
import {chooseLanguage, languages, loadLanguage, t, translate, used} from "./language.js";
import {poll} from "./poll.js";
import {fillPrint} from "./print.js";
import {Recent} from "./recent.js";
import {roomInHash, RoomView} from "./room.js";
import {RoomList} from "./rooms.js";
import {Store} from "./store.js";
import {follow} from "./stream.js";
import {write} from "./table.js";

const sampleEvery = 15_000, historyEvery = 60_000;
const keyItem = "ppch-key"; // in sessionStorage, which ends with the tab
const densityItem = "ppch-density"; // in localStorage, only if the viewer has chosen

await loadLanguage();
translate(document);

const find = id => document.getElementById(id);
const site = document.querySelector("meta[name=application-name]").content;
const store = new Store();
const recent = new Recent();
const connection = new ConnectionView(store);
const now = () => connection.trueAt ?? Date.now();
const list = new RoomList(store, now);
const view = new RoomView(store, recent, now);
const activity = new Activity(() => sum());
const charts = {rooms: new Chart(find("rooms-chart"), "rooms"), people: new Chart(find("people-chart"), "people")};
const samples = {rooms: [], people: []}; // that this page took
let history = null;
let key = "";
let entered = false; // by hand, just now
let frame = 0, later = 0;
let scrolled = 0;

/** Asks for a key, and shows why the last one was refused. */
function askForKey(why = "") {
	sessionStorage.removeItem(keyItem);
	document.body.dataset.state = "ask";
	write(find("key-error"), why);
	find("key-error").hidden = !why;
	find("key").value = "";
	find("key").focus();
}

async function start(withKey) {
	key = withKey;
	const stop = new AbortController();
	connection.connection = {is: "connecting", since: Date.now()};
	draw();
	const onLost = (problem, wait, heard) => {
		connection.connection = {is: "lost", problem, until: Date.now() + wait, heard};
		store.silentSince = heard;
		soon();
	};
	let problem = await follow({path: "api/events?snapshot=true", key, signal: stop.signal, onOpen, onEvent, onLost});
	if (problem.code === "scope-missing") {
		find("note-polling").hidden = false;
		activity.explain(t("activity.scopeMissing"));
		problem = await poll({key, store, signal: stop.signal, room: () => view.jid, onLost, onRound: () => {
			const first = connection.connection.is !== "polling";
			connection.connection = {is: "polling"};
			store.silentSince = null;
			if (first) accepted();
			soon();
		}});
	}
	askForKey(problem.code === "wrong-key" ? t("key.wrong") : problem.message);
}

function onOpen() {
	performance.mark("ppch:open");
	connection.connection = {is: "open"};
	store.silentSince = null;
	accepted();
	readRecent(null);
	readRecent(view.jid);
	soon();
}

function onEvent(name, data) {
	markFirst("ppch:first-event");
	if (name === "snapshot") markFirst("ppch:first-snapshot");
	store.apply(name, data);
	recent.add(name, data);
	if (store.complete) activity.add(name, data);
	if (name === "snapshot" && data.last) performance.mark("ppch:snapshot");
	if (name === "snapshot" && !list.isDrawn) draw(); // at once: megabytes may follow
	else soon();
}

function markFirst(name) {
	if (performance.getEntriesByName(name).length === 0) performance.mark(name);
}

/** Notes that the service accepts the key. */
function accepted() {
	sessionStorage.setItem(keyItem, key);
	if (entered) find(view.jid === null ? "search" : "room-title").focus({preventScroll: true}); // the form that had the focus is gone
	entered = false;
	readRoom();
	readHistory();
}

/** Draws the changes since the last frame in the next one. */
function soon() {
	frame ||= requestAnimationFrame(() => {
		frame = 0;
		draw();
	});
}

function draw() {
	if (document.body.dataset.state === "ask" && connection.connection.is !== "connecting") return;
	connection.draw();
	const changed = store.take();
	if (list.update(changed)) later ||= setTimeout(() => {
		later = 0;
		soon();
	}, 250);
	view.update(changed);
	drawTitle();
	drawTotals();
	find("note-names").hidden = store.named !== false;
	document.body.classList.toggle("unnamed", store.named === false);
}

function drawTotals() {
	const main = store.total("main");
	drawNumber("rooms-total", main?.rooms);
	drawNumber("people-total", main?.people);
	drawVisitors(main ?? {});
	drawNumber("breakout-total", store.total("breakout")?.people);
	drawNumber("lobby-total", store.total("lobby")?.people);
	const note = main ? "" : connection.why;
	write(find("totals-note"), note);
	find("totals-note").hidden = !note;
	for (const busy of [find("rooms"), find("totals")]) busy.setAttribute("aria-busy", !store.complete);
}

/** Draws the number of visitors, which is a minimum if some rooms' visitors are unknown. */
function drawVisitors({visitors, unsure}) {
	drawNumber("visitors-total", unsure > 0 && visitors === 0 ? null : visitors);
	if (unsure > 0 && visitors > 0) write(find("visitors-total"), `≥ ${number(visitors)}`);
}

function drawNumber(id, n = null) {
	write(find(id), number(n));
	find(id).dataset.value = n ?? "";
}

function drawTitle() {
	const people = connection.isCurrent ? store.total("main")?.people : undefined;
	const name = view.jid === null ? t("rooms.title") : view.written;
	const title = `${people === undefined ? "" : `(${number(people)}) `}${name}${site ? ` · ${site}` : ""}`;
	if (document.title !== title) document.title = title;
	write(find("site"), site || (store.domains.keys().next().value ?? ""));
}

function sum() {
	const main = store.total("main");
	return main ? t("said.sum", {people: t("people", {n: main.people}), rooms: t("rooms", {n: main.rooms})}) : t("said.unknown");
}

/** Takes a sample of the totals, null for unknown. */
function sample() {
	const main = connection.isCurrent ? store.total("main") : null;
	for (const name of ["rooms", "people"]) {
		samples[name].push({at: Date.now(), value: main?.[name] ?? null});
		if (samples[name].length > 3_600_000 / sampleEvery) samples[name].shift();
	}
	drawCharts();
}

async function readHistory() {
	try {
		history = await askJSON("api/stats/history", {key});
		store.whole = true;
		find("note-rooms").hidden = true;
	} catch (problem) {
		if (problem.isFinal) { // after other problems everything stays
			history = null;
			store.whole = false;
			find("note-rooms").hidden = problem.code !== "room-not-allowed";
		}
	}
	soon();
	drawCharts();
}

/** Reads the service's recent events of a room, or of all rooms with null. */
async function readRecent(jid) {
	const path = jid === null ? "api/events/recent" : `api/rooms/${encodeURIComponent(jid)}/events/recent`;
	const answer = await askJSON(path, {key}).catch(() => null);
	if (!answer) return;
	recent.fill(answer, jid);
	activity.fill(answer.events, jid);
	if (jid !== null) view.knownSince(jid, Date.parse(answer.since));
}

/** Reads the room of the page's address if it isn't open: its name, or why the key may not see it. */
async function readRoom() {
	const {jid} = view;
	if (jid === null || !key || store.rooms.has(jid)) return;
	try {
		const room = await askJSON(`api/rooms/${encodeURIComponent(jid)}`, {key});
		view.name(jid, room.display_name ?? jid);
	} catch (problem) {
		if (problem.code === "room-not-allowed") view.refuse(jid, problem.message);
	}
}

function drawCharts() {
	const past = {rooms: history?.rooms, people: history?.participant_count};
	for (const name of ["rooms", "people"]) {
		const before = history ? samplesOf(history, past[name]) : [];
		const since = before.at(-1)?.at ?? 0;
		const main = connection.isCurrent ? store.total("main") : null;
		const last = main ? [{at: Date.now(), value: main[name]}] : [];
		charts[name].show([...before, ...samples[name].filter(s => s.at > since), ...last], {source: history ? "history" : "page"});
	}
}

/** Shows the list, or the room in the page's address. */
function route() {
	const jid = roomInHash(location.hash);
	const before = view.jid;
	if (before === null && jid !== null) scrolled = window.scrollY;
	find("list").hidden = jid !== null;
	find("room").hidden = jid === null;
	view.open(jid);
	activity.of(jid);
	drawTitle();
	readRoom();
	if (jid !== null) {
		if (connection.connection.is === "polling") window.dispatchEvent(new Event("ppch:now")); // for its occupants
		if (connection.connection.is === "open") readRecent(jid);
		window.scrollTo(0, 0);
		find("room-title").focus({preventScroll: true});
	} else if (before !== null) {
		list.tick();
		window.scrollTo(0, scrolled);
		list.focus(before);
	}
}

function setDensity(compact) {
	document.body.classList.toggle("compact", compact);
	find("compact").setAttribute("aria-pressed", compact);
	list.relayout();
}

find("key-form").addEventListener("submit", e => {
	e.preventDefault();
	const value = find("key").value.trim();
	if (!value) return find("key").focus();
	entered = !key;
	if (!key) return void start(value);
	// The data of one key must not mix with those of another.
	sessionStorage.setItem(keyItem, value);
	location.reload();
});
find("sign-out").addEventListener("click", () => {
	sessionStorage.removeItem(keyItem);
	location.reload();
});
find("skip").addEventListener("click", e => {
	e.preventDefault(); // the part of the address after # is the room
	find(view.jid === null ? "search" : "room-title").focus();
});
find("compact").addEventListener("click", () => {
	const compact = !document.body.classList.contains("compact");
	if (compact) localStorage.setItem(densityItem, "compact");
	else localStorage.removeItem(densityItem);
	setDensity(compact);
});
for (const select of document.querySelectorAll("select.language")) {
	select.append(...Object.entries(languages).map(([code, name]) => Object.assign(new Option(name, code, false, code === used.language), {lang: code})));
	select.addEventListener("change", () => {
		chooseLanguage(select.value);
		location.reload();
	});
}
window.addEventListener("keydown", e => {
	const typing = e.target.closest?.("input, select, textarea");
	if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && !e.altKey && document.body.dataset.state !== "ask") {
		e.preventDefault();
		if (view.jid !== null) location.hash = "#/";
		setTimeout(() => find("search").focus()); // once the list is shown
	}
	if (e.key !== "Escape" || document.querySelector(":popover-open")) return;
	if (view.jid !== null) location.hash = "#/";
	else if (e.target === find("search")) list.clear();
});
window.addEventListener("hashchange", route);
window.addEventListener("beforeprint", () => fillPrint(find("print"), store, list.listed, view.jid, connection.trueAt));
window.addEventListener("afterprint", () => find("print").replaceChildren());
setInterval(sample, sampleEvery);
setInterval(() => key && readHistory(), historyEvery);
setInterval(() => {
	if (document.hidden || !key || document.body.dataset.state === "ask") return;
	connection.draw();
	drawTitle();
	drawTotals();
	drawCharts();
	if (view.jid === null) list.tick();
	else view.draw();
}, 1000);

setDensity(localStorage.getItem(densityItem) === "compact");
route();
const remembered = sessionStorage.getItem(keyItem);
if (remembered) start(remembered);
else askForKey();
