/** One room: its facts, its last hour, and its occupants. */

import {Chart} from "./chart.js";
import {addFact, element, isolated} from "./element.js";
import {hour, isBlank, notCounted, number, span, unknown, visible} from "./format.js";
import {hasText, t} from "./language.js";
import {Occupants} from "./occupants.js";
import {visitorsElsewhere} from "./record.js";
import {meetingsLink, roomLink} from "./route.js";
import {write} from "./table.js";

export class RoomView {
	#store;
	#recent;
	#now;
	#occupants;
	#chart;
	#jid = null;
	#written = "";
	#refused = "";
	#answered = false; // whether the service refused the name of the room
	#since = Infinity; // from when on all events of the room are known
	#find = id => document.getElementById(id);

	/**
	 * @param {import("./store.js").Store} store
	 * @param {import("./recent.js").Recent} recent
	 * @param {function(): number} now  the time of the data, for ages
	 */
	constructor(store, recent, now) {
		this.#store = store;
		this.#recent = recent;
		this.#now = now;
		this.#occupants = new Occupants(now);
		this.#chart = new Chart(this.#find("room-chart"), "people");
		this.#find("copy").addEventListener("click", () => this.#copy());
	}

	/** The room that is shown, null for none. */
	get jid() {
		return this.#jid;
	}

	/** The name of the room that was drawn last. */
	get written() {
		return this.#written;
	}

	/** Shows another room, or none. */
	open(jid) {
		this.#jid = jid;
		this.#refused = "";
		this.#answered = false;
		this.#written = jid === null ? "" : this.#plainName(jid);
		this.#since = Infinity;
		this.#find("not-counted").open = false;
		if (jid !== null) this.draw();
		if (jid !== null) this.#find("room-meetings").firstChild.href = meetingsLink({room: jid});
	}

	/** The name of a room that isn't open, as far as its JID shows it: the API may not say. */
	#plainName(jid) {
		const [main] = this.#store.domains.values();
		const local = jid.slice(0, -`@${main?.domain}`.length);
		return jid === `${local}@${main?.domain}` && /^[a-z0-9_-]+$/u.test(local) ? local : visible(jid);
	}

	/** Sets the name of a room that isn't open. */
	name(jid, name) {
		if (jid !== this.#jid) return;
		this.#written = visible(name);
		this.draw();
	}

	/** Explains why the key may not see the room, if it is still shown; "" if the service doesn't know the room. */
	refuse(jid, detail) {
		if (jid !== this.#jid) return;
		this.#refused = detail;
		this.#answered = true;
		this.draw();
	}

	/** Notes from when on all events of the room are known. */
	knownSince(jid, since) {
		if (jid !== this.#jid) return;
		this.#since = since;
		this.draw();
	}

	/** Draws the room if it is among those that changed. */
	update(changed) {
		const room = this.#store.rooms.get(this.#jid);
		const near = room ? [room.jid, room.lobby, ...room.breakouts.map(b => b.room_jid)] : [this.#jid];
		if (this.#jid !== null && near.some(jid => changed.has(jid))) this.draw();
	}

	draw() {
		const room = this.#store.rooms.get(this.#jid);
		if (room) this.#written = room.written;
		else if (this.#written === visible(this.#jid)) this.#written = this.#plainName(this.#jid);
		write(this.#find("room-name"), room?.title ?? this.#written);
		write(this.#find("room-tenant"), room?.tenant ?? "");
		this.#find("room-tenant").hidden = !room?.tenant;
		write(this.#find("room-subject"), room?.subject ?? "");
		this.#find("room-subject").hidden = !room?.subject;
		this.#drawLinks(room);
		this.#drawNumbers(room);
		this.#drawFacts(room);
		this.#occupants.show(room?.occupants ?? null);
		const note = this.#find("room-note");
		write(note, this.#note(room));
		note.hidden = note.textContent === "";
		for (const id of ["room-numbers", "people-title"]) this.#find(id).hidden = !room;
	}

	#drawLinks(room) {
		const join = this.#find("join");
		join.hidden = !room?.link;
		if (room?.link && join.href !== room.link) join.href = room.link;
		else if (!room?.link) join.removeAttribute("href");
		this.#find("copy").hidden = !room;
	}

	#drawNumbers(room) {
		if (!room) return;
		write(this.#find("room-people"), number(room.people));
		this.#find("room-people").dataset.value = room.people;
		this.#chart.show(this.#recent.of(room, this.#since, this.#now()), {source: "page", stepped: true, now: this.#now()});
	}

	#drawFacts(room) {
		const facts = this.#find("room-facts");
		facts.replaceChildren();
		if (!room) return;
		const add = (name, ...values) => addFact(facts, name, ...values);
		const {parent, lobby} = room;
		add(t("room.open"), room.created === null ? unknown : t("occupant.since", {at: hour(room.created), age: span(this.#now() - room.created)}));
		const others = notCounted(room.counts);
		if (others) add(t("also.title"), others);
		if (room.parts) add(t("room.split"), room.parts.map(p => `${p.shard} ${number(p.people)}`).join(", "));
		else if (this.#store.shards > 1) add(t("room.shard"), room.shard);
		if (parent) add(t("room.parent"), link(parent, this.#store.rooms.get(parent)?.written ?? parent));
		if (room.password) add(t("room.password"), t("room.needed"));
		if (room.membersOnly) add(t("room.entry"), t("room.membersOnly"));
		const visitors = visitorsElsewhere(room);
		if (visitors === null && room.type === "main") add(t("room.elsewhere"), unknown);
		if (visitors > 0) add(t("room.elsewhere"), number(visitors));
		if (lobby) add(t("room.lobby"), this.#related(lobby, "room.waiting"));
		room.breakouts.forEach((b, i) => {
			const name = b.name && !isBlank(b.name) ? visible(b.name) : t("room.breakout", {n: i + 1});
			add(i === 0 ? t("room.breakouts") : "", link(b.room_jid, name), " ", this.#related(b.room_jid, "people"));
		});
	}

	/** The number of people in a related room, unknown unless its domain is known. */
	#related(jid, key) {
		const room = this.#store.rooms.get(jid);
		if (room) return t(key, {n: room.people});
		const domain = this.#store.domain(jid.slice(jid.lastIndexOf("@") + 1));
		if (domain?.known && this.#store.whole) return t(key, {n: 0});
		return `${unknown} (${t(domain?.known ? "related.limited" : "related.notWatched")})`;
	}

	#note(room) {
		const domain = this.#store.domain(this.#jid.slice(this.#jid.lastIndexOf("@") + 1));
		if (!room && this.#refused) return t("note.refused", {why: this.#refused});
		if (!room && !this.#store.complete && domain?.live !== false) return t("note.loading");
		if (!room && domain && !domain.known) return t("note.unknown", {why: hasText(`reason.${domain.reason}`) ? t(`reason.${domain.reason}`) : domain.status});
		if (!room && !domain) return t(this.#answered ? "note.notWatched" : "note.loading");
		if (!room && !this.#store.whole) return t("note.limited");
		if (!room) return t("note.closed");
		const missing = this.#store.unknownShards(domain?.domain);
		if (missing.length > 0) return t("note.atLeast", {shards: missing.join(", ")});
		if (room.occupants === null && this.#store.named !== false) return t("note.asking");
		if (room.occupants === null) return t("note.noNames");
		if (room.occupants.size === 0) return t("note.empty");
		return "";
	}

	async #copy() {
		const room = this.#store.rooms.get(this.#jid);
		const done = this.#find("copied");
		try {
			await navigator.clipboard.writeText(room?.link ?? location.href);
			write(done, t("room.copied"));
		} catch {
			write(done, t("room.notCopied")); // the browser allows it only over HTTPS or on localhost
		}
		setTimeout(() => write(done, ""), 3000);
	}
}

const link = (jid, text) => element("a", {href: roomLink(jid)}, isolated(text));
