/** One room: what is known of it, and who is in it. */

import {by, Order} from "./order.js";
import {clock, dated, isBlank, kindName, number, roomTitle, several, span, unknown, visible} from "./format.js";
import {visitorsElsewhere} from "./record.js";
import {roomLink} from "./rooms.js";
import {VirtualTable, write} from "./table.js";

// People before machines, who came first before who came later.
const rank = {user: 0, sip: 1, sip_video: 2, visitor: 3, recorder: 4, transcriber: 5, hidden: 6, focus: 7};

/** @returns {?string} the JID of the room that the address names, null for the list */
export function roomInHash(hash) {
	const [, jid] = /^#\/room\/(.+)$/u.exec(hash) ?? [];
	try {
		return jid ? decodeURIComponent(jid) : null;
	} catch {
		return jid; // no room is called so, which is what will be said
	}
}

export class RoomView {
	#store;
	#now;
	#table;
	#jid = null;
	#written = "";
	#refused = "";
	#find = id => document.getElementById(id);

	/**
	 * @param {import("./store.js").Store} store
	 * @param {function(): number} now  when what is shown is true, to which ages are told
	 */
	constructor(store, now) {
		this.#store = store;
		this.#now = now;
		this.#table = new VirtualTable(this.#find("occupants"), {columns: columns(now), key: "id", mark: "id"});
	}

	/** The room that is shown, null for none. */
	get jid() {
		return this.#jid;
	}

	/** What the room that was drawn is called, as people write it. */
	get written() {
		return this.#written;
	}

	/** Shows another room, or none. */
	open(jid) {
		this.#jid = jid;
		this.#refused = "";
		if (jid !== null) this.draw(true);
	}

	/** Says why the key may not see the room, if it is still shown. */
	refuse(jid, detail) {
		if (jid !== this.#jid) return;
		this.#refused = detail;
		this.draw();
	}

	/** Draws the room anew if it is among those that changed. */
	update(changed) {
		const room = this.#store.rooms.get(this.#jid);
		const near = room ? [room.jid, room.lobby, ...room.breakouts.map(b => b.room_jid)] : [this.#jid];
		if (this.#jid !== null && near.some(jid => changed.has(jid))) this.draw();
	}

	draw() {
		const room = this.#store.rooms.get(this.#jid);
		const {title, tenant, written} = room ?? roomTitle(this.#jid, this.#store.domains.keys().next().value);
		this.#written = written;
		write(this.#find("room-name"), title);
		write(this.#find("room-tenant"), tenant);
		this.#find("room-tenant").hidden = !tenant;
		write(this.#find("room-subject"), room?.subject ?? "");
		this.#find("room-subject").hidden = !room?.subject;
		this.#drawFacts(room);
		const occupants = new Order();
		occupants.reset([...room?.occupants?.values() ?? []].map(shown), by("rank", "since", "id"), () => true);
		this.#find("occupants").hidden = occupants.items.length === 0;
		this.#table.show(occupants.items, null);
		const note = this.#find("occupants-note");
		write(note, this.#note(room));
		note.hidden = note.textContent === "";
	}

	#drawFacts(room) {
		const facts = this.#find("room-facts");
		facts.replaceChildren();
		if (!room) return;
		const add = (name, ...what) => {
			const group = document.createElement("div");
			group.append(Object.assign(document.createElement("dt"), {textContent: name}), document.createElement("dd"));
			group.lastChild.append(...what);
			facts.append(group);
		};
		add("People", number(room.people));
		if (room.others) add("Besides", room.others);
		add("Open for", room.created === null ? unknown : `${span(this.#now() - room.created)}, since ${clock(room.created)}`);
		const {parent, lobby} = room;
		const visitors = visitorsElsewhere(room);
		if (parent) add("Belongs to", link(parent, this.#store.rooms.get(parent)?.written ?? parent));
		if (room.password) add("Password", "needed");
		if (room.membersOnly) add("Entry", "for members only, others wait in the lobby");
		if (visitors === null && room.type === "main") add("Visitors elsewhere", unknown);
		if (visitors > 0) add("Visitors elsewhere", number(visitors));
		if (lobby) add("Lobby", this.#related(lobby, "waiting"));
		room.breakouts.forEach((b, i) => {
			const name = b.name && !isBlank(b.name) ? visible(b.name) : `Breakout room ${i + 1}`;
			add(i === 0 ? "Breakout rooms" : "", link(b.room_jid, name), " ", this.#related(b.room_jid, "in it"));
		});
	}

	/** How many are in a room that belongs to this one, and unknown unless its domain is known. */
	#related(jid, where) {
		const room = this.#store.rooms.get(jid);
		if (room) return `${number(room.people)} ${where}`;
		const domain = this.#store.domains.get(jid.slice(jid.lastIndexOf("@") + 1));
		if (domain?.known && this.#store.whole) return `nobody ${where}`;
		return `${unknown} (not known: ${domain?.known ? "this key may be limited to other rooms" : "its domain isn’t watched, or not known now"})`;
	}

	#note(room) {
		const domain = this.#store.domains.get(this.#jid.slice(this.#jid.lastIndexOf("@") + 1));
		if (!room && this.#refused) return `This key doesn’t show this room: ${this.#refused}`;
		if (!room && !this.#store.complete) return "Rooms are still being learnt.";
		if (!room && domain && !domain.known) return `Whether this room is open isn’t known now: ${domain.status.replace(/^error: /u, "")}.`;
		if (!room && !domain) return "No room of this address is told: this key may be limited to others, or its domain isn’t watched.";
		if (!room && !this.#store.whole) return "No open room of this address is told to this key, which may be limited to others.";
		if (!room) return "This room isn’t open now. As soon as somebody enters it, it is shown here.";
		if (room.occupants === null && this.#store.named !== false) return "Who is in it is being asked for …";
		if (room.occupants === null) return "Who is in it isn’t told to this key: it lacks the scope participants.";
		if (room.occupants.size === 0) return "Nobody is in it.";
		return "";
	}
}

function shown(o) {
	return {...o, rank: rank[o.kind] ?? 8};
}

function link(jid, text) {
	const a = document.createElement("a");
	a.href = roomLink(jid);
	a.append(Object.assign(document.createElement("bdi"), {textContent: visible(text)}));
	return a;
}

/** The name of an occupant for people; who has none is known by the id, which is the nick in the room. */
export function occupantName(o) {
	if (!isBlank(o.name)) return visible(o.name);
	return o.kind === "user" ? `no name (${visible(o.id)})` : visible(o.id);
}

const columns = now => [
	{key: "name", heads: true, build: cell => {
		// Focused, it shows a name that was cut in full.
		const name = Object.assign(document.createElement("span"), {className: "goes"});
		name.append(document.createElement("bdi"));
		const hand = Object.assign(document.createElement("span"), {className: "hand", textContent: "hand raised", hidden: true});
		cell.append(name, hand);
	}, fill: (cell, o) => {
		const [name, hand] = cell.children;
		const text = occupantName(o);
		write(name.firstChild, text);
		name.title = text;
		name.classList.toggle("nameless", isBlank(o.name));
		hand.hidden = !o.hand;
	}},
	{key: "kind", fill: (cell, o) => write(cell, kindName(o.kind))},
	{key: "role", fill: (cell, o) => write(cell, visible(o.role))},
	{key: "since", fill: (cell, o) => {
		write(cell, o.since === null ? unknown : `${clock(o.since)}, for ${span(now() - o.since)}`);
		cell.title = o.since === null ? "Since when isn’t known" : dated(o.since);
	}},
];
