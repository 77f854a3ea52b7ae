/** Connects the page's parts: the key, what is followed with it, and what is drawn. */

import {Activity} from "./activity.js";
import {askJSON} from "./ask.js";
import {ConnectionView} from "./connection.js";
import {useControls} from "./controls.js";
import {number, prepare} from "./format.js";
import {t, translate} from "./language.js";
import {Pages} from "./pages.js";
import {poll} from "./poll.js";
import {fillPrint} from "./print.js";
import {Recent} from "./recent.js";
import {RoomView} from "./room.js";
import {RoomList} from "./rooms.js";
import {parentOf, placeIn, roomLink} from "./route.js";
import {Store} from "./store.js";
import {follow} from "./stream.js";
import {write} from "./table.js";
import {loaded} from "./texts.js";
import {Totals} from "./totals.js";

const lookAfter = 3_000; // milliseconds, if no rooms have come by then
const keyItem = "ppch-key"; // in sessionStorage, which ends with the tab

await loaded;
translate(document);

const find = id => document.getElementById(id);
const site = document.querySelector("meta[name=application-name]").content;
const store = new Store();
const recent = new Recent();
const connection = new ConnectionView(store);
const now = () => connection.trueAt ?? Date.now();
const list = new RoomList(store, now, jidOf);
const view = new RoomView(store, recent, now);
const totals = new Totals(store, connection, soon);
const pages = new Pages();
const titles = {meetings: "meetings.title", meeting: "meetings.title", webhooks: "webhooks.title", webhook: "webhooks.title"};
const activity = new Activity(() => totals.sentence, () => store.shards > 1);
let key = "";
let entered = false; // by hand, just now
let frame = 0, later = 0;
let place = placeIn("");
let scrolled = 0;

/** The JID of a room by its name or meeting link, as the API accepts them; null without an answer. */
async function jidOf(name) {
	return (await askJSON(`api/rooms/${encodeURIComponent(name)}`, {key}).catch(() => null))?.room_jid ?? null;
}

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
	soon();
}

function onEvent(name, data) {
	markFirst("ppch:first-event");
	if (name === "snapshot") markFirst("ppch:first-snapshot");
	store.apply(name, data);
	recent.add(name, data);
	if (store.complete) activity.add(name, data);
	if (name === "snapshot" && data.last) {
		performance.mark("ppch:snapshot");
		pages.look();
		for (const jid of new Set([null, view.jid])) readRecent(jid); // not before: the rooms come first
	}
	if (name === "snapshot" && !list.isDrawn) draw(); // at once: megabytes may follow
	else soon();
}

function markFirst(name) {
	if (performance.getEntriesByName(name).length === 0) performance.mark(name);
}

/** Notes that the service accepts the key. */
function accepted() {
	sessionStorage.setItem(keyItem, key);
	if (entered) find(focusOf(place)).focus({preventScroll: true}); // the form that had the focus is gone
	entered = false;
	readRoom();
	totals.start(key);
	pages.start(key);
	setTimeout(() => pages.look(), lookAfter);
}

/** The id of what has the focus when a page opens. */
const focusOf = ({page}) => page === "list" ? "search" : `${page}-title`;

/** Draws the changes since the last frame in the next one. */
function soon() {
	frame ||= requestAnimationFrame(() => {
		frame = 0;
		draw();
	});
}

function draw() {
	if (document.body.dataset.state === "ask" && connection.connection.is !== "connecting") return;
	const changed = store.take();
	if (list.update(changed)) later ||= setTimeout(() => { // first: it asks for the layout, which any writing before would cause twice
		later = 0;
		soon();
	}, 250);
	connection.draw();
	view.update(changed);
	drawTitle();
	totals.draw();
	find("note-names").hidden = store.named !== false;
	document.body.classList.toggle("unnamed", store.named === false);
}

function drawTitle() {
	const people = connection.isCurrent ? store.total("main")?.people : undefined;
	const name = view.jid !== null ? view.written : t(titles[place.page] ?? "rooms.title");
	const title = `${people === undefined || titles[place.page] ? "" : `(${number(people)}) `}${name}${site ? ` · ${site}` : ""}`;
	if (document.title !== title) document.title = title;
	write(document.querySelector("h1"), t(titles[place.page] ?? "rooms.title"));
	write(find("site"), site || (store.domains.values().next().value?.domain ?? ""));
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

/** Reads the room of the page's address if it isn't open: its JID, its name, or why the key may not see it. */
async function readRoom() {
	const {jid} = view;
	if (jid === null || !key || store.rooms.has(jid)) return;
	try {
		const room = await askJSON(`api/rooms/${encodeURIComponent(jid)}`, {key});
		if (room.room_jid === jid) view.name(jid, room.display_name ?? jid);
		else if (jid === view.jid) location.replace(roomLink(room.room_jid)); // the address had a name or a meeting link
	} catch (problem) {
		if (problem.code === "room-not-allowed") view.refuse(jid, problem.message);
		else if (problem.status === 400) view.refuse(jid, "");
	}
}

/** Shows the page in the address. */
function route() {
	const last = place;
	place = placeIn(location.hash);
	const before = view.jid;
	const jid = place.page === "room" ? place.id : null;
	if (last.page === "list" && place.page !== "list") scrolled = window.scrollY;
	document.body.dataset.page = place.page;
	for (const page of Object.keys(parentOf)) find(page).hidden = page !== place.page;
	view.open(jid);
	pages.open(place);
	activity.of(jid);
	drawTitle();
	readRoom();
	if (jid !== null) {
		if (connection.connection.is === "polling") window.dispatchEvent(new Event("ppch:now")); // for its occupants
		if (connection.connection.is === "open") readRecent(jid);
	}
	if (place.page !== "list") {
		window.scrollTo(0, 0);
		find(focusOf(place)).focus({preventScroll: true});
	} else if (last.page !== "list") {
		list.tick();
		window.scrollTo(0, scrolled);
		if (before !== null) list.focus(before);
	}
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
window.addEventListener("hashchange", route);
window.addEventListener("beforeprint", () => !titles[place.page] && fillPrint(find("print"), store, list.listed, view.jid, connection.trueAt));
window.addEventListener("afterprint", () => find("print").replaceChildren());
setInterval(() => {
	if (document.hidden || !key || document.body.dataset.state === "ask") return;
	connection.draw();
	drawTitle();
	totals.draw();
	totals.drawCharts();
	if (place.page === "list") list.tick();
	if (view.jid !== null) view.draw();
}, 1000);

useControls({
	relayout: () => list.relayout(), clear: () => list.clear(), parent: () => parentOf[place.page],
	skip: () => find(focusOf(place)).focus(),
});
route();
const remembered = sessionStorage.getItem(keyItem);
if (remembered) start(remembered);
else askForKey();
prepare(); // while the service answers
