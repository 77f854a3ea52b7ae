/** The views of a share link. Text that people write becomes text nodes, never markup, and each in its own direction. */

import {digits, t} from "./language.js";

/** The wall has no more rows than people can read from five metres, and turns its pages. */
const mostRows = () => innerHeight > 1.2 * innerWidth ? 8 : 5;
const turnEvery = 12_000;

/** An element with classes and children. */
function element(name, classes, ...children) {
	const node = document.createElement(name);
	if (classes) node.className = classes;
	node.append(...children);
	return node;
}

/** A text that a person wrote. */
const written = text => element("bdi", "", text);

/** A message instead of rooms. */
export function message(...lines) {
	return element("div", "message", ...lines.map((line, i) => element(i ? "p" : "h1", "", line)));
}

/** The names of people, at most some, then how many there are more. */
function names(room, most, classes) {
	const node = element("p", `names clip ${classes}`);
	const shown = room.participants.slice(0, most);
	shown.forEach((name, i) => node.append(...(i ? [", "] : []), written(name)));
	const more = room.participant_count - shown.length;
	if (more > 0 && shown.length) node.append(" ", t("share.more", {n: more}));
	return node;
}

/** The classes for what is known of a room. */
const classesOf = (room, {known, old}) => [!known ? "unknown" : room.participant_count ? "there" : "", old || !known ? "old" : ""].join(" ");

/** Whether only a minimum is known of a room. */
const least = (room, {minimum}) => minimum && room.participant_count > 0;

function number(room, shown) {
	if (least(room, shown)) return `${digits(room.participant_count)}+`;
	return shown.known ? digits(room.participant_count) : "?";
}

/** A text about the number of people, unless it is unknown. */
function numberText(room, shown, known, atLeast) {
	if (least(room, shown)) return t(atLeast, {n: room.participant_count});
	return shown.known ? t(known, {n: room.participant_count}) : t("unknown");
}

/** One room, for a door. */
export function door(shown) {
	const {doc, known} = shown;
	const room = doc.list ? {display_name: shown.minimum ? t("share.title") : t("rooms", {n: doc.room_count}), participant_count: doc.participant_count, participants: null} : doc.rooms[0];
	const text = number(room, shown);
	const count = element("div", "count",
		element("p", "number", text),
		element("p", "label", numberText(room, shown, "share.people.label", "share.atLeast.label")));
	const node = element("div", `door ${classesOf(room, shown)}`, element("h1", "clip", written(room.display_name)), count);
	node.style.setProperty("--digits", String(text.length));
	const below = element("div", "");
	if ((known || shown.minimum) && room.participants?.length) {
		node.classList.add("named");
		below.append(names(room, 24, ""));
	}
	if (known && !doc.exact) below.append(element("p", "note", t("share.inexact")));
	node.append(below);
	return node;
}

/** A row or cell of a list. */
function item(room, shown, most) {
	const text = element("div", "text", element("h2", "clip", written(room.display_name)));
	if ((shown.known || shown.minimum) && room.participants?.length) text.append(names(room, most, ""));
	const count = element("p", "number", number(room, shown));
	count.setAttribute("aria-label", numberText(room, shown, "people", "share.atLeast"));
	count.setAttribute("role", "img");
	return element("li", classesOf(room, shown), text, count);
}

/** A few lines, for a frame or a phone. */
export function compact(shown) {
	if (!shown.doc.rooms.length) return message(t(shown.known ? "share.none" : "share.unknown"));
	return element("ul", "compact", ...shown.doc.rooms.map(room => item(room, shown, 8)));
}

const turning = {page: 0, since: Date.now(), paused: false, ready: false};

/** Turns the page of a wall when its time has come. Returns which page is shown, and whether it stays. */
export function pageTurned() {
	if (turning.paused) turning.since = Date.now();
	if (Date.now() - turning.since > turnEvery) {
		turning.page++;
		turning.since = Date.now();
	}
	return [turning.page, turning.paused];
}

/** Many rooms, for a wall: as many as can be read from afar, and page after page if there are more. */
export function wall(view, button, shown) {
	const rooms = shown.doc.rooms;
	if (!rooms.length) {
		button.hidden = true;
		return view.replaceChildren(message(t(shown.known ? "share.none" : "share.unknown")));
	}
	if (innerWidth < 560 || innerHeight < 320) { // people scroll these
		button.hidden = true;
		return view.replaceChildren(compact(shown));
	}
	const most = mostRows() * (innerWidth > 2.4 * innerHeight ? 4 : innerWidth > 1.2 * innerHeight ? 3 : innerWidth > 0.7 * innerHeight ? 2 : 1);
	const pages = Math.ceil(rooms.length / most);
	turning.page %= pages;
	const page = rooms.slice(turning.page * most, (turning.page + 1) * most);
	const grid = gridOf(pages > 1 ? most : page.length, view.clientWidth, view.clientHeight);
	const node = element("ul", "wall", ...page.map(room => item(room, shown, 4)));
	node.style.setProperty("--columns", String(grid.columns));
	node.style.setProperty("--rows", String(grid.rows));
	node.style.setProperty("--type", `${grid.type}px`);
	view.replaceChildren(node);
	button.hidden = pages < 2;
	if (pages < 2) return;
	if (!turning.ready) {
		turning.ready = true;
		button.addEventListener("click", () => {
			Object.assign(turning, {paused: !turning.paused, since: Date.now()});
			label(button, pages);
		});
	}
	label(button, pages);
}

function label(button, pages) {
	const text = t(turning.paused ? "share.page.paused" : "share.page", {n: turning.page + 1, of: pages});
	if (button.textContent === text) return;
	button.textContent = text;
	button.setAttribute("aria-label", `${text}. ${t(turning.paused ? "share.page.resume" : "share.page.pause")}`);
}

/** The grid for a number of cells whose type is largest. */
function gridOf(cells, width, height) {
	let best = {type: 0};
	for (let columns = 1; columns <= 4; columns++) {
		const rows = Math.ceil(cells / columns);
		if (rows > mostRows() && columns < 4) continue;
		const type = Math.min(height / rows / 3.4, width / columns / 11, height / 9);
		if (type > best.type) best = {columns, rows, type: Math.floor(type)};
	}
	return best;
}
