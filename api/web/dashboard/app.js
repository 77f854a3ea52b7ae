/** Wires the page: the key, what is followed with it, and what is drawn of it. */

import {askJSON} from "./ask.js";
import {Chart, samplesOf} from "./chart.js";
import {Feed} from "./feed.js";
import {number, several} from "./format.js";
import {LinkView} from "./link.js";
import {poll} from "./poll.js";
import {fillPrint} from "./print.js";
import {roomInHash, RoomView} from "./room.js";
import {RoomList} from "./rooms.js";
import {Store} from "./store.js";
import {follow} from "./stream.js";
import {write} from "./table.js";

const sampleEvery = 15_000, historyEvery = 60_000;
const keyItem = "ppch-key"; // in sessionStorage, which ends with the tab

const find = id => document.getElementById(id);
const store = new Store();
const link = new LinkView(store);
const now = () => link.trueAt ?? Date.now();
const list = new RoomList(store, now);
const view = new RoomView(store, now);
const feed = new Feed(() => sum());
const charts = {rooms: new Chart(find("rooms-chart"), "room", "Rooms"), people: new Chart(find("people-chart"), "person", "People")};
const samples = {rooms: [], people: []}; // as this page saw them
let history = null;
let key = "";
let entered = false; // by hand, just now
let frame = 0, later = 0;
let scrolled = 0;

/** Asks for a key, and says why the one before was none. */
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
	link.connection = {is: "connecting"};
	draw();
	const onLost = (problem, wait, heard) => {
		link.connection = {is: "lost", problem, until: Date.now() + wait, heard};
		store.silentSince = heard;
		soon();
	};
	let problem = await follow({path: "api/events?snapshot=true", key, signal: stop.signal, onOpen, onEvent, onLost});
	if (problem.code === "scope-missing") {
		find("note-polling").hidden = false;
		write(find("feed-idle"), "This key may not follow events: joins and leaves aren’t told to it.");
		problem = await poll({key, store, signal: stop.signal, room: () => view.jid, onLost, onRound: () => {
			const first = link.connection.is !== "polling";
			link.connection = {is: "polling"};
			store.silentSince = null;
			if (first) accepted();
			soon();
		}});
	}
	askForKey(problem.message);
}

function onOpen() {
	performance.mark("ppch:open");
	link.connection = {is: "open"};
	store.silentSince = null;
	accepted();
	soon();
}

function onEvent(name, data) {
	markFirst("ppch:first-event");
	if (name === "snapshot") markFirst("ppch:first-snapshot");
	store.apply(name, data);
	if (store.complete) feed.add(name, data);
	if (name === "snapshot" && data.last) performance.mark("ppch:snapshot");
	if (name === "snapshot" && !list.isDrawn) draw(); // at once: what follows may be megabytes
	else soon();
}

function markFirst(name) {
	if (performance.getEntriesByName(name).length === 0) performance.mark(name);
}

/** The key is one. */
function accepted() {
	sessionStorage.setItem(keyItem, key);
	if (entered) find(view.jid === null ? "search" : "room-title").focus({preventScroll: true}); // the form that had the focus is gone
	entered = false;
	readRefusal();
	readHistory();
}

/** What came since the last frame is drawn in the next. */
function soon() {
	frame ||= requestAnimationFrame(() => {
		frame = 0;
		draw();
	});
}

function draw() {
	if (document.body.dataset.state === "ask" && link.connection.is !== "connecting") return;
	link.draw();
	const changed = store.take();
	if (list.update(changed)) later ||= setTimeout(() => {
		later = 0;
		soon();
	}, 250);
	view.update(changed);
	entitle();
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
	const note = main ? "" : link.why;
	write(find("totals-note"), note);
	find("totals-note").hidden = !note;
	for (const busy of [find("rooms"), find("totals")]) busy.setAttribute("aria-busy", !store.complete);
}

/** Draws how many visitors there are, which is at least so many where a room's number isn't known. */
function drawVisitors({visitors, unsure}) {
	drawNumber("visitors-total", unsure > 0 && visitors === 0 ? null : visitors);
	if (unsure > 0 && visitors > 0) write(find("visitors-total"), `≥ ${number(visitors)}`);
}

function drawNumber(id, n = null) {
	write(find(id), number(n));
	find(id).dataset.value = n ?? "";
}

function sum() {
	const main = store.total("main");
	return main ? `${several(main.people, "person", "people")} in ${several(main.rooms, "room", "rooms")}.` : "How many there are now isn’t known.";
}

/** Notes how many there are, or that it isn't known. */
function sample() {
	const main = link.state === "live" || link.state === "polling" ? store.total("main") : null;
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
		if (problem.isFinal) { // else all is as it was
			history = null;
			store.whole = false;
			find("note-rooms").hidden = problem.code !== "room-not-allowed";
		}
	}
	soon();
	drawCharts();
}

/** Asks whether the key may see the room that the address names, which the stream of a limited key doesn't tell. */
async function readRefusal() {
	const {jid} = view;
	if (jid === null || !key || store.rooms.has(jid)) return;
	await askJSON(`api/rooms/${encodeURIComponent(jid)}`, {key}).catch(problem => {
		if (problem.code === "room-not-allowed") view.refuse(jid, problem.message);
	});
}

function drawCharts() {
	const told = {rooms: history?.rooms, people: history?.participant_count};
	for (const name of ["rooms", "people"]) {
		const before = history ? samplesOf(history, told[name]) : [];
		const since = before.at(-1)?.at ?? 0;
		const main = link.state === "live" || link.state === "polling" ? store.total("main") : null;
		const last = main ? [{at: Date.now(), value: main[name]}] : [];
		charts[name].show([...before, ...samples[name].filter(s => s.at > since), ...last], history ? "history" : "page");
	}
	for (const note of document.querySelectorAll(".chart-note")) note.textContent = history ? "last hour" : "since this page was opened";
}

function entitle() {
	const title = view.jid === null ? "Rooms · PPCH" : `${view.written} · PPCH`;
	if (document.title !== title) document.title = title;
}

/** Shows what the address names. */
function route() {
	const jid = roomInHash(location.hash);
	const before = view.jid;
	if (before === null && jid !== null) scrolled = window.scrollY;
	find("list").hidden = jid !== null;
	find("room").hidden = jid === null;
	view.open(jid);
	feed.of(jid);
	entitle();
	readRefusal();
	if (jid !== null) {
		if (link.connection.is === "polling") window.dispatchEvent(new Event("ppch:now")); // who is in it
		window.scrollTo(0, 0);
		find("room-title").focus({preventScroll: true});
	} else if (before !== null) {
		list.tick();
		window.scrollTo(0, scrolled);
		list.focus(before);
	}
}

find("key-form").addEventListener("submit", e => {
	e.preventDefault();
	const value = find("key").value.trim();
	if (!value) return find("key").focus();
	entered = !key;
	if (!key) return void start(value);
	// What another key has shown must not be mixed with what this one may see.
	sessionStorage.setItem(keyItem, value);
	location.reload();
});
find("forget").addEventListener("click", () => {
	sessionStorage.removeItem(keyItem);
	location.reload();
});
find("skip").addEventListener("click", e => {
	e.preventDefault(); // the part of the address behind # says which room is shown
	find(view.jid === null ? "search" : "room-title").focus();
});
window.addEventListener("keydown", e => {
	if (e.key === "Escape" && view.jid !== null && !document.querySelector(":popover-open")) location.hash = "#/";
});
window.addEventListener("hashchange", route);
window.addEventListener("beforeprint", () => fillPrint(find("print"), store, list.listed, view.jid, link.trueAt));
window.addEventListener("afterprint", () => find("print").replaceChildren());
setInterval(sample, sampleEvery);
setInterval(() => key && readHistory(), historyEvery);
setInterval(() => {
	if (document.hidden || !key || document.body.dataset.state === "ask") return;
	link.draw();
	drawTotals();
	drawCharts();
	if (view.jid === null) list.tick();
	else view.draw();
}, 1000);

route();
const remembered = sessionStorage.getItem(keyItem);
if (remembered) start(remembered);
else askForKey();
