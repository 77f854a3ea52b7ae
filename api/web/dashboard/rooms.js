/** The list of rooms: searched, filtered, sorted, and drawn as far as it is visible. */

import {element} from "./element.js";
import {Filters} from "./filters.js";
import {dated, notCounted, number, span, unknown, visible} from "./format.js";
import {icon} from "./icons.js";
import {t} from "./language.js";
import {by, Order} from "./order.js";
import {firstPeople, visitorsElsewhere} from "./record.js";
import {roomLink} from "./route.js";
import {shine, VirtualTable, write} from "./table.js";

// During many events, rows move at most this often, so that they can be read and clicked. Numbers change at once.
const orderEvery = 1_000, orderEveryInUse = 5_000;

const mostNames = 12;

/** The pause, in milliseconds, after which the search asks the service about a link. */
const typing = 200;

/** A time as wide as most, which leaves its space when that for names is measured. */
const longSpan = () => span(59 * 60_000);

const orders = {
	name: ["titleKey", "tenantKey", "jid"],
	people: ["-people", "titleKey", "jid"],
	created: ["-created", "titleKey", "jid"],
};

export class RoomList {
	#store;
	#now;
	#table;
	#filters;
	#order = new Order(by(...orders.people));
	#sorted = {by: "people", back: false};
	#query = "";
	#linked = null; // the JID of the room that the query names as a whole, such as by a meeting link
	#jidOf;
	#changed = new Set();
	#orderedAt = 0;
	#elements;
	#drawn = false;
	#complete = false; // whether the store was, at the last update
	#ruler = document.createElement("canvas").getContext("2d"); // made before rooms arrive, since the first one takes a while
	#measure; // the width of a text in a row
	#space = 0; // the width of the cell for names

	/**
	 * @param {import("./store.js").Store} store
	 * @param {function(): number} now  the time of the data, for ages
	 * @param {function(string): Promise<?string>} jidOf  the JID of a room by its name or meeting link
	 */
	constructor(store, now, jidOf) {
		this.#store = store;
		this.#jidOf = jidOf;
		this.#now = now;
		const find = id => document.getElementById(id);
		this.#elements = {
			table: find("rooms"), search: find("search"), clear: find("search-clear"), found: find("found"), skeleton: find("skeleton"),
			empty: find("empty"), emptyTitle: find("empty-title"), emptyText: find("empty-text"), emptyClear: find("empty-clear"),
		};
		this.#table = new VirtualTable(this.#elements.table, {columns: this.#columns(), key: "jid", mark: "jid"});
		this.#filters = new Filters(find("filters"), () => this.#refresh());
		this.#elements.table.tHead.addEventListener("click", e => {
			const button = e.target.closest("button[data-sort]");
			if (button) this.#sortBy(button.dataset.sort);
		});
		this.#elements.search.addEventListener("input", () => this.#search());
		for (const button of [this.#elements.clear, this.#elements.emptyClear]) button.addEventListener("click", () => this.clear());
		this.#ruler.measureText(unknown);
		this.#refresh();
	}

	/** Shows all rooms. */
	clear() {
		this.#elements.search.value = "";
		this.#filters.clear();
		this.#search();
		this.#elements.search.focus();
	}

	/** Draws all rows again, after a change of their size. */
	relayout() {
		this.#table.relayout();
	}

	/** Takes the JIDs of rooms that changed; returns whether it must be called again even without further changes. */
	update(changed) {
		for (const jid of changed) this.#changed.add(jid);
		const every = this.#elements.table.matches(":hover, :focus-within") ? orderEveryInUse : orderEvery;
		const {complete} = this.#store;
		const turned = complete !== this.#complete; // also without any room
		const due = performance.now() - this.#orderedAt >= every || !this.#drawn || turned;
		this.#complete = complete;
		if (turned || this.#changed.size > 0 && due) {
			this.#orderedAt = performance.now();
			const {rooms} = this.#store;
			const touched = this.#changed;
			this.#changed = new Set();
			const now = [...touched].map(jid => rooms.get(jid)).filter(room => room?.type === "main");
			this.#order.update(room => touched.has(room.jid), now);
			this.#show(touched);
		} else if (changed.size > 0) {
			// In their old places; a room that ended stays visible until the next sorting.
			const {rooms} = this.#store;
			this.#order.items = this.#order.items.map(room => changed.has(room.jid) ? rooms.get(room.jid) ?? room : room);
			this.#table.show(this.#order.items, changed);
		}
		return this.#changed.size > 0;
	}

	/** Draws what changes without events: how long rooms have been open. */
	tick() {
		this.#show(null);
	}

	/** Whether a room has ever been listed. */
	get isDrawn() {
		return this.#drawn;
	}

	/** @returns {object[]} the rooms as they are listed */
	get listed() {
		return this.#order.items;
	}

	focus(jid) {
		this.#table.focus(jid);
	}

	#sortBy(column) {
		this.#sorted = {by: column, back: this.#sorted.by === column && !this.#sorted.back};
		this.#refresh();
	}

	#search() {
		const {search, clear} = this.#elements;
		this.#query = search.value.trim().toLowerCase();
		clear.hidden = search.value === "";
		this.#linked = null;
		this.#refresh();
		if (this.#query.includes("/")) setTimeout(() => this.#follow(search.value.trim()), typing);
	}

	/** Finds the room of a meeting link too, which only the service can read, unless the viewer has typed on. */
	async #follow(link) {
		const isSought = () => this.#elements.search.value.trim() === link;
		const jid = isSought() ? await this.#jidOf(link) : null;
		if (!jid || !isSought()) return;
		this.#linked = jid;
		this.#refresh();
	}

	#refresh() {
		const {by: column, back} = this.#sorted;
		const [first, ...rest] = orders[column];
		const turned = first.startsWith("-") ? first.slice(1) : `-${first}`;
		const words = this.#query.split(/\s+/u).filter(Boolean);
		const keep = room => room.type === "main" && this.#filters.keeps(room) && (room.jid === this.#linked || words.every(w => this.#store.haystack(room).includes(w)));
		this.#changed.clear();
		this.#order.reset(this.#store.rooms.values(), by(back ? turned : first, ...rest), keep);
		for (const button of this.#elements.table.tHead.querySelectorAll("button[data-sort]")) {
			const own = button.dataset.sort === column;
			const up = orders[column][0].startsWith("-") === back;
			if (own) button.closest("th").setAttribute("aria-sort", up ? "ascending" : "descending");
			else button.closest("th").removeAttribute("aria-sort");
		}
		this.#show(null);
	}

	#show(changed) {
		const items = this.#order.items;
		const {table, found, empty, skeleton} = this.#elements;
		const {complete} = this.#store;
		if (table.hidden !== (items.length === 0 && complete)) table.hidden = !table.hidden;
		this.#table.show(items, changed); // before any other writing, as it asks for the layout
		this.#filters.draw(this.#mainRooms());
		if (items.length > 0 && !this.#drawn) {
			this.#drawn = true;
			performance.mark("ppch:first-rows");
		}
		skeleton.hidden = complete || items.length > 0;
		write(found, this.#foundText(items.length));
		empty.hidden = items.length > 0 || !complete;
		if (!empty.hidden) this.#drawEmpty();
	}

	*#mainRooms() {
		for (const room of this.#store.rooms.values()) if (room.type === "main") yield room;
	}

	#foundText(n) {
		const total = this.#store.total("main");
		if (!this.#store.complete) return n > 0 ? t("rooms.loading", {n}) : "";
		if (!total) return "";
		return this.#query || this.#filters.isOn ? t("rooms.found", {found: n, n: total.rooms}) : t("rooms", {n: total.rooms});
	}

	#drawEmpty() {
		const {emptyTitle, emptyText, emptyClear, search} = this.#elements;
		const total = this.#store.total("main");
		const sought = total !== null && total.rooms > 0 && (this.#query !== "" || this.#filters.isOn);
		const key = total === null ? "unknown" : sought ? "noMatch" : "none";
		write(emptyTitle, key === "noMatch" && this.#query ? t("empty.noMatchFor", {query: visible(search.value.trim())}) : t(`empty.${key}`));
		write(emptyText, t(`empty.${key}.text`));
		emptyClear.hidden = key !== "noMatch";
	}

	#columns() {
		return [
			{key: "name", head: "column.room", sorts: true, heads: true, build: buildName, fill: fillName},
			{key: "people", head: "column.people", sorts: true, fill: fillPeople},
			{key: "who", head: "column.who", build: buildWho, measure: cell => this.#takeSpace(cell), fill: (cell, room) => this.#fillWho(cell, room)},
			{key: "created", head: "column.open", sorts: true, build: cell => write(cell, longSpan()), fill: (cell, room) => {
				write(cell, room.created === null ? unknown : span(this.#now() - room.created));
				setTitle(cell, room.created === null ? t("room.beginUnknown") : t("room.since", {at: dated(room.created)}));
			}},
			{key: "also", head: "also.title", fill: (cell, room) => {
				const text = this.#also(room);
				write(cell, text);
				setTitle(cell, text);
			}},
		];
	}

	#takeSpace(cell) {
		const style = getComputedStyle(cell);
		this.#ruler.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
		this.#measure = text => this.#ruler.measureText(text).width;
		this.#space = cell.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
	}

	/** Writes as many names as fit, and how many people follow. */
	#fillWho(cell, room) {
		const [names, more] = cell.children;
		const first = firstPeople(room, mostNames).map(o => visible(o.name));
		const width = this.#measure ?? (() => 0);
		let n = 0, used = 0;
		for (; n < first.length; n++) {
			used += width(n > 0 ? `, ${first[n]}` : first[n]);
			const rest = room.people - n - 1;
			if (n > 0 && used + (rest > 0 ? width(`  +${number(rest)}`) + 18 : 0) > this.#space) break;
		}
		// Each name is isolated by characters (UAX #9, section 2.4), so that none changes the direction of another.
		const text = first.slice(0, n).map(name => `\u2068${name}\u2069`).join(", ");
		write(names, text);
		setTitle(cell, first.map(name => `\u2068${name}\u2069`).join(", ") + (room.people > first.length && first.length > 0 ? " …" : ""));
		write(more, n > 0 && room.people > n ? `+${number(room.people - n)}` : "");
	}

	/** Occupants who are not counted, and people of the meeting who are elsewhere. */
	#also(room) {
		const {rooms} = this.#store;
		const list = [notCounted(room.counts)];
		if (room.parts) list.unshift(t("also.split", {shards: room.parts.map(p => p.shard).join(", ")}));
		const open = room.breakouts.map(b => rooms.get(b.room_jid)).filter(Boolean);
		if (open.length > 0) list.push(t("also.breakout", {n: open.reduce((sum, r) => sum + r.people, 0)}));
		const waiting = rooms.get(room.lobby)?.people ?? 0;
		if (waiting > 0) list.push(t("also.lobby", {n: waiting}));
		const elsewhere = visitorsElsewhere(room);
		if (elsewhere > 0) list.push(t("also.elsewhere", {n: elsewhere}));
		return list.filter(Boolean).join(", ");
	}
}

function setTitle(node, text) {
	if (node.title !== text) node.title = text;
}

function buildName(cell) {
	cell.append(element("a", {className: "goes"}, element("bdi")), icon("lock", t("room.password")), element("bdi", {className: "tag"}));
}

function fillName(cell, room) {
	const [link, lock, tenant] = cell.children;
	const href = roomLink(room.jid);
	if (link.getAttribute("href") !== href) link.setAttribute("href", href);
	write(link.firstChild, room.title);
	setTitle(link, room.written);
	lock.toggleAttribute("hidden", !room.password);
	write(tenant, room.tenant);
	tenant.hidden = !room.tenant;
}

function buildWho(cell) {
	cell.append(element("span", {className: "names"}), element("span", {className: "more"}));
}

function fillPeople(cell, room) {
	const before = cell.dataset.value;
	if (before === `${room.people}`) return;
	cell.dataset.value = room.people;
	cell.textContent = number(room.people);
	if (!cell.parentNode.fresh) shine(cell, room.people > Number(before) ? "--came" : "--went");
}
