/** The list of rooms: searched, sorted, and drawn as far as it can be seen. */

import {by, Order} from "./order.js";
import {dated, isBlank, isPerson, number, several, span, unknown, visible} from "./format.js";
import {visitorsElsewhere} from "./record.js";
import {shine, VirtualTable, write} from "./table.js";

// While much happens, rows move at most so often: nobody could read, or hit, what moves all the time. Numbers change at once.
const orderEvery = 1_000, orderEveryInUse = 5_000;

const mostNames = 8;

const orders = {
	name: ["titleKey", "tenantKey", "jid"],
	tenant: ["tenantKey", "titleKey", "jid"],
	people: ["-people", "titleKey", "jid"],
	created: ["-created", "titleKey", "jid"],
};

/** The address of a room within this page. */
export const roomLink = jid => `#/room/${encodeURIComponent(jid)}`;

export class RoomList {
	#store;
	#now;
	#table;
	#order = new Order(by(...orders.people));
	#sorted = {by: "people", back: false};
	#query = "";
	#changed = new Set();
	#orderedAt = 0;
	#elements;
	#drawn = false;

	/**
	 * @param {import("./store.js").Store} store
	 * @param {function(): number} now  when what is shown is true, to which ages are told
	 */
	constructor(store, now) {
		this.#store = store;
		this.#now = now;
		const find = id => document.getElementById(id);
		this.#elements = {table: find("rooms"), search: find("search"), found: find("found"), empty: find("empty"), skeleton: find("skeleton")};
		this.#table = new VirtualTable(this.#elements.table, {columns: this.#columns(), key: "jid", mark: "jid"});
		this.#elements.table.tHead.addEventListener("click", e => {
			const button = e.target.closest("button[data-sort]");
			if (button) this.#sortBy(button.dataset.sort);
		});
		this.#elements.search.addEventListener("input", e => {
			this.#query = e.target.value.trim().toLowerCase();
			this.#anew();
		});
		this.#anew();
	}

	/** Takes the JIDs of rooms that changed; returns whether it has to be called again although nothing else happens. */
	update(changed) {
		for (const jid of changed) this.#changed.add(jid);
		const every = this.#elements.table.matches(":hover, :focus-within") ? orderEveryInUse : orderEvery;
		const due = performance.now() - this.#orderedAt >= every || !this.#drawn;
		if (this.#changed.size > 0 && due) {
			this.#orderedAt = performance.now();
			const {rooms} = this.#store;
			const touched = this.#changed;
			this.#changed = new Set();
			const now = [...touched].map(jid => rooms.get(jid)).filter(room => room?.type === "main");
			this.#order.update(room => touched.has(room.jid), now);
			this.#show(touched);
		} else if (changed.size > 0) {
			// In their old places; one that is gone stays in sight until then.
			const {rooms} = this.#store;
			this.#order.items = this.#order.items.map(room => changed.has(room.jid) ? rooms.get(room.jid) ?? room : room);
			this.#table.show(this.#order.items, changed);
		}
		return this.#changed.size > 0;
	}

	/** Draws what goes on without events: how long rooms have been open, and what was hidden until now. */
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
		this.#anew();
	}

	#anew() {
		const {by: column, back} = this.#sorted;
		const [first, ...rest] = orders[column];
		const turned = first.startsWith("-") ? first.slice(1) : `-${first}`;
		const words = this.#query.split(/\s+/u).filter(Boolean);
		const keep = room => room.type === "main" && words.every(w => this.#store.haystack(room).includes(w));
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
		const total = this.#store.total("main");
		if (table.hidden !== (items.length === 0 && complete)) table.hidden = !table.hidden;
		this.#table.show(items, changed);
		if (items.length > 0 && !this.#drawn) {
			this.#drawn = true;
			performance.mark("ppch:first-rows");
		}
		skeleton.hidden = complete || items.length > 0;
		if (!complete) write(found, items.length > 0 ? `${several(items.length, "room", "rooms")} so far …` : "");
		else if (!total) write(found, "");
		else write(found, `${this.#query ? `${number(items.length)} of ` : ""}${several(total.rooms, "room", "rooms")}`);
		empty.hidden = items.length > 0 || !complete;
		if (!empty.hidden) write(empty, this.#emptyText(total));
	}

	#emptyText(total) {
		if (total === null) return "Which rooms are open isn’t known now.";
		if (this.#query && total.rooms > 0) return "No room, and nobody in one, is called so.";
		return "No room is open. As soon as somebody enters one, it is shown here.";
	}

	#columns() {
		return [
			{key: "name", heads: true, build: buildName, fill: fillName},
			{key: "tenant", build: cell => cell.append(document.createElement("bdi")), fill: (cell, room) => {
				write(cell.firstChild, room.tenant);
				cell.title = room.tenant;
			}},
			{key: "people", fill: fillPeople},
			{key: "who", fill: (cell, room) => {
				const names = who(room);
				write(cell, names);
				if (cell.title !== names) cell.title = names;
			}},
			{key: "created", fill: (cell, room) => {
				write(cell, room.created === null ? unknown : span(this.#now() - room.created));
				const title = room.created === null ? "When it began isn't known" : `since ${dated(room.created)}`;
				if (cell.title !== title) cell.title = title;
			}},
			{key: "beside", fill: (cell, room) => {
				const text = this.#beside(room);
				write(cell, text);
				if (cell.title !== text) cell.title = text;
			}},
		];
	}

	/** Who is in the room without being counted, and who belongs to the meeting without being in the room. */
	#beside(room) {
		const {rooms} = this.#store;
		const parts = room.others ? [room.others] : [];
		const open = room.breakouts.map(b => rooms.get(b.room_jid)).filter(Boolean);
		if (open.length > 0) {
			const people = open.reduce((sum, r) => sum + r.people, 0);
			parts.push(`${number(people)} in ${several(open.length, "breakout room", "breakout rooms")}`);
		}
		const waiting = rooms.get(room.lobby)?.people ?? 0;
		if (waiting > 0) parts.push(`${number(waiting)} in the lobby`);
		const elsewhere = visitorsElsewhere(room);
		if (elsewhere > 0) parts.push(several(elsewhere, "visitor elsewhere", "visitors elsewhere"));
		return parts.join(", ");
	}
}

/**
 * The names of the first people in a room; its own page has all of them.
 * Each is isolated by characters (UAX #9, section 2.4), so that it turns no other one, in the tooltip either.
 */
function who(room) {
	const names = [];
	for (const o of room.occupants?.values() ?? []) {
		if (!isPerson(o.kind) || isBlank(o.name)) continue;
		if (names.push(`\u2068${visible(o.name)}\u2069`) === mostNames) break;
	}
	return names.join(", ") + (room.people > names.length && names.length > 0 ? " …" : "");
}

function buildName(cell) {
	const link = document.createElement("a");
	link.className = "goes";
	link.append(document.createElement("bdi"));
	cell.append(link);
}

function fillName(cell, room) {
	const link = cell.firstChild;
	const href = roomLink(room.jid);
	if (link.getAttribute("href") !== href) link.setAttribute("href", href);
	write(link.firstChild, room.title);
	if (link.title !== room.written) link.title = room.written;
}

function fillPeople(cell, room) {
	const before = cell.dataset.value;
	if (before === `${room.people}`) return;
	cell.dataset.value = room.people;
	cell.textContent = number(room.people);
	if (!cell.parentNode.fresh) shine(cell, room.people > Number(before) ? "--came" : "--went");
}
