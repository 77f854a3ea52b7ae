/**
 * The rooms and their occupants, from events, or from lists if the key can't follow events.
 * Nothing here touches the document; the code that draws calls take() for what has changed.
 */

import {moment} from "./format.js";
import {Nodes} from "./nodes.js";
import {domainKey, merged, newOccupant, newRoom, searchable, setFacts, setNumbers, shardOf} from "./record.js";

// How long an old number is shown, until the service has sent its own limit (PPCH_MAX_STALENESS), which is never less.
const leastStaleness = 15_000;

/** Store holds the rooms. */
export class Store {
	/** @type {Map<string, import("./record.js").Room>} by JID */
	rooms = new Map();

	/** The last status of each domain of each shard, the main one first. @type {Map<string, object>} */
	domains = new Map();

	/** The visitor nodes. */
	nodes = new Nodes();

	/** Whether the store has all rooms that the key may see, and not only a part of a snapshot. */
	complete = false;

	/** When the service last answered, while it doesn't answer; null while it does. @type {?number} */
	silentSince = null;

	/** Whether the key may see all rooms; false until that is known. */
	whole = false;

	/** Whether the key may see names; null until a room shows it. @type {?boolean} */
	named = null;

	/** Rooms and people by type of room; unsure is the number of rooms whose visitors are unknown. */
	#totals = {main: {rooms: 0, people: 0, visitors: 0, unsure: 0}, breakout: {rooms: 0, people: 0}, lobby: {rooms: 0, people: 0}};
	#changed = new Set();
	#maxStaleness = leastStaleness;
	#ahead = null;      // by how much the viewer's clock is ahead of the service's, by the fastest event
	#turn = 0;
	#parts = new Map(); // by JID: the room on each shard, by its name
	#outdated = new Set(); // keys of domains whose status hasn't come since a reset
	#continues = null;  // the room that the next piece continues
	#haystacks = new Map();

	/** Returns the JIDs of the rooms that came, changed or went since the last call. */
	take() {
		const changed = this.#changed;
		this.#changed = new Set();
		return changed;
	}

	get hasChanged() {
		return this.#changed.size > 0;
	}

	/**
	 * Rooms and people in rooms of a type; null if that is unknown or too old.
	 * A limited key may not see all breakout rooms and lobbies.
	 */
	total(type) {
		const old = since => Date.now() - since > this.#maxStaleness;
		if (!this.complete || type !== "main" && !this.whole || this.silentSince !== null && old(this.silentSince)) return null;
		const of = this.domainsOf(type);
		return of.length > 0 && of.every(d => d.known && (d.live || !old(d.asOf))) ? this.#totals[type] : null;
	}

	/** The statuses of the domains of a type on all shards. */
	domainsOf(type) {
		return [...this.domains.values()].filter(d => this.#type(d.domain) === type);
	}

	/** Whether the rooms are those of now, and not of an earlier time. */
	get live() {
		return this.domains.size > 0 && [...this.domains.values()].every(d => d.live);
	}

	/** The number of shards. */
	get shards() {
		return new Set([...this.domains.values()].map(d => d.shard)).size;
	}

	/** The status of a domain on one of its shards, one that isn't known first. */
	domain(name) {
		const all = [...this.domains.values()].filter(d => d.domain === name);
		return all.find(d => !d.known) ?? all.find(d => !d.live) ?? all[0];
	}

	/** The shards whose rooms of a domain can't be read, if there are several. */
	unknownShards(name) {
		if (this.shards < 2) return [];
		return [...this.domains.values()].filter(d => d.domain === name && (!d.known || !d.live)).map(d => d.shard);
	}

	/** The time from which on changes may be missing; null if there are no data, or all of them are live. */
	get staleSince() {
		const times = [...this.domains.values()].filter(d => !d.live && d.known).map(d => d.asOf);
		return times.length > 0 ? Math.min(...times) : null;
	}

	/** Takes an event of the stream. */
	apply(name, data) {
		if (data.time) this.#ahead = Math.min(this.#ahead ?? Infinity, Date.now() - moment(data.time));
		if (name === "status") this.#status(data);
		else if (name === "reset") this.#reset(data);
		else if (name === "snapshot") this.#snapshot(data);
		else if (name === "room.ended") this.#drop(data.room_jid, shardOf(data));
		else if (name.startsWith("room.") || name.startsWith("participant.")) this.#event(name, data);
	}

	/** Replaces all rooms by a list. */
	replace(listed, asOf) {
		this.#turn++;
		for (const r of listed) this.#list(r);
		this.#sweep();
		for (const d of this.domains.values()) Object.assign(d, {known: true, asOf});
	}

	/** Sets the occupants of a room, from the room's own document. */
	setOccupants(jid, occupants) {
		const [room, other] = this.#parts.get(jid)?.values() ?? [];
		if (!room || other) return; // events have those of a split room
		room.occupants = occupants && new Map(occupants.map(o => [o.id, newOccupant(o)]));
		this.#touch(room);
	}

	/** Text in which a search for a room or a person looks. */
	haystack(room) {
		let text = this.#haystacks.get(room.jid);
		if (text === undefined) {
			text = searchable(room);
			this.#haystacks.set(room.jid, text);
		}
		return text;
	}

	#status(s) {
		const key = domainKey(s), state = this.nodes.state;
		if (this.nodes.take({...s, asOf: this.#moment(s.as_of)})) {
			if (this.nodes.state !== state) for (const [jid, parts] of this.#parts) this.#show(jid, parts);
			return;
		}
		this.#outdated.delete(key);
		const before = this.domains.get(key);
		this.domains.set(key, {...s, asOf: this.#moment(s.as_of) ?? before?.asOf ?? null, known: before?.known ?? false});
		if (s.max_staleness_seconds !== undefined) this.#maxStaleness = s.max_staleness_seconds * 1000;
	}

	/** Forgets what no longer exists. The rooms follow in a snapshot, and unless the reset is of one shard, first the statuses of all. */
	#reset(r) {
		if (r.reason === "retired") {
			this.nodes.forget(domainKey(r));
			this.domains.delete(domainKey(r));
		} else if (!r.shard) {
			this.nodes.forget();
			this.#outdated = new Set(this.domains.keys());
		}
	}

	/** Converts a time of the service to the viewer's clock. */
	#moment(stamp) {
		return stamp ? moment(stamp) + this.#ahead : null;
	}

	#snapshot(s) {
		if (s.part === 1) {
			this.complete = false;
			this.#turn++;
			this.#continues = null;
			for (const key of this.#outdated) this.domains.delete(key);
			this.#outdated.clear();
		}
		for (const d of s.domains) {
			const domain = this.domains.get(domainKey(d));
			if (domain) Object.assign(domain, {known: d.known, asOf: this.#moment(d.as_of)});
		}
		for (const r of s.rooms) {
			if (r.occupants) this.named = true;
			else this.named ??= false;
			const more = this.#continues;
			const room = more ?? this.#room(r);
			this.#continues = r.continues ? room : null;
			if (!more) {
				setNumbers(room, r.participant_count, r.counts);
				setFacts(room, r.facts);
				room.occupants = r.occupants && new Map();
			}
			for (const o of r.occupants ?? []) room.occupants.set(o.id, newOccupant(o));
			this.#put(room);
		}
		if (s.last) this.#sweep();
	}

	#event(name, e) {
		const room = this.#room(e);
		setNumbers(room, e.participant_count, e.counts);
		if (e.facts) setFacts(room, e.facts);
		if (name === "room.started" && this.named !== false) room.occupants ??= new Map();
		if (name.startsWith("participant.")) this.named = e.occupant !== null;
		if (this.named === false) {
			room.occupants = null;
		} else if (e.occupant) {
			room.occupants ??= new Map();
			if (name === "participant.left") room.occupants.delete(e.occupant.id);
			else room.occupants.set(e.occupant.id, newOccupant(e.occupant));
		}
		this.#put(room);
	}

	#list(r) {
		const room = this.#room(r);
		room.parts = r.parts?.map(p => ({shard: p.shard, people: p.participant_count}));
		setNumbers(room, r.participant_count, r.counts);
		setFacts(room, {...r, lobby_jid: r.lobby?.room_jid ?? null});
		this.#put(room);
	}

	/** Returns a copy of a room to be changed and put back, or a new one. */
	#room(doc) {
		const before = this.#parts.get(doc.room_jid)?.get(shardOf(doc));
		return before ? {...before, parent: doc.parent_room_jid} : newRoom(doc);
	}

	// Rooms have a type, but a domain may have no room. Its first label shows its type, except for the main one.
	#type(domain) {
		const label = domain.slice(0, domain.indexOf("."));
		const [main] = this.domains.values();
		return domain !== main?.domain && (label === "breakout" || label === "lobby") ? label : "main";
	}

	#put(room) {
		const parts = this.#parts.get(room.jid) ?? new Map();
		room.turn = this.#turn;
		this.#parts.set(room.jid, parts.set(room.shard, room));
		this.#show(room.jid, parts);
	}

	#drop(jid, shard) {
		const parts = this.#parts.get(jid);
		if (!parts?.delete(shard)) return;
		if (parts.size === 0) this.#parts.delete(jid);
		this.#show(jid, parts);
	}

	/** Makes the room what its parts say. */
	#show(jid, parts) {
		const before = this.rooms.get(jid);
		const room = merged([...parts.values()]);
		this.#count(before, -1);
		if (room) room.visitors = this.nodes.visitorsOf(room);
		this.#count(room, 1);
		if (room) this.rooms.set(jid, room);
		else this.rooms.delete(jid);
		this.#touch(room ?? before);
	}

	/** Drops the rooms that the last snapshot doesn't have. */
	#sweep() {
		for (const [jid, parts] of this.#parts) {
			for (const [shard, room] of parts) if (room.turn !== this.#turn) this.#drop(jid, shard);
		}
		this.complete = true;
	}

	#touch(room) {
		this.#changed.add(room.jid);
		this.#haystacks.delete(room.jid);
		if (room.parent) this.#changed.add(room.parent); // whose row shows it
	}

	#count(room, sign) {
		if (!room) return;
		const total = this.#totals[room.type];
		total.rooms += sign;
		total.people += sign * room.people;
		if (room.type !== "main") return;
		// Focus counts all visitors of the meeting, including those in this room.
		total.visitors += sign * Math.max(room.visitors ?? 0, room.counts.visitor ?? 0);
		if (room.visitors === null) total.unsure += sign;
	}
}
