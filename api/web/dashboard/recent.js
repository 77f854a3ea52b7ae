/**
 * The number of people in each room during the last hour, as far as the page knows it: from the service's recent events,
 * and from those of the stream since. Nothing here touches the document.
 */

import {isPerson} from "./format.js";

const hour = 3_600_000;
const most = 20_000; // events; more would be megabytes

/** @typedef {{at: number, jid: ?string, shard: string, before: ?number, people: ?number}} Change  jid is null for a gap, in which events may be missing */

export class Recent {
	/** @type {Change[]} in order of time */
	#changes = [];
	#since = Infinity; // nothing is missing from then on, except in gaps

	/** Takes an event of the stream. */
	add(name, e) {
		const change = changeOf(name, e);
		if (!change) return;
		this.#since = Math.min(this.#since, change.at);
		this.#changes.push(change);
		this.#trim(Date.now());
	}

	/**
	 * Takes the service's recent events in place of those that came before them.
	 * @param {{since: string, events: object[]}} answer
	 * @param {?string} jid  of the room to which the events belong; null for all rooms
	 */
	fill({since, events}, jid) {
		const from = Date.parse(since);
		const older = events.map(e => changeOf(e.event, e)).filter(Boolean);
		const replaced = c => c.at >= from && (jid === null || c.jid === jid || c.jid === null);
		const last = older.at(-1)?.at ?? from;
		const kept = this.#changes.filter(c => !replaced(c) || c.at > last);
		this.#changes = [...kept, ...older].sort((a, b) => a.at - b.at);
		if (jid === null) this.#since = Math.min(this.#since, from);
		this.#trim(Date.now());
	}

	/**
	 * Returns how many people were in a room, as steps: each value lasts until the next.
	 * Where several shards have the room, it is their sum.
	 * @param {import("./record.js").Room} room  as it is now
	 * @param {number} since  from when on all events of the room are known
	 * @param {number} now
	 * @returns {import("./chart.js").Sample[]}
	 */
	of(room, since, now) {
		const from = Math.max(Math.min(since, this.#since), now - hour);
		const own = this.#changes.filter(c => (c.jid === room.jid || c.jid === null) && c.at >= from);
		const begun = room.created !== null && room.created >= from;
		const samples = [];
		const [first] = own;
		const people = new Map((room.parts ?? [room]).map(p => [p.shard ?? "", p.people]));
		for (const c of own.toReversed()) if (c.jid !== null) people.set(c.shard, c.before);
		if (begun) for (const shard of people.keys()) people.set(shard, 0);
		const sum = () => [...people.values()].reduce((all, n) => all === null || n === null ? null : all + n, 0);
		if (begun) samples.push({at: room.created, value: 0});
		else if (!first) samples.push({at: Math.min(from, now), value: room.people});
		else if (first.jid !== null) samples.push({at: from, value: sum()});
		for (const c of own) {
			if (room.created !== null && c.at < room.created) continue;
			if (c.jid === null) for (const shard of people.keys()) people.set(shard, null);
			else people.set(c.shard, c.people);
			samples.push({at: c.at, value: sum()});
		}
		samples.push({at: now, value: room.people});
		return samples;
	}

	#trim(now) {
		const {length} = this.#changes;
		let drop = Math.max(0, length - most);
		while (drop < length && this.#changes[drop].at < now - hour) drop++;
		// In large steps, since each moves all that follows.
		if (drop < 1000 && length <= most + 1000) return;
		this.#since = Math.max(this.#since, this.#changes[drop - 1].at);
		this.#changes.splice(0, drop);
	}
}

function changeOf(name, e) {
	const at = Date.parse(e.time);
	if (name === "reset" || name === "status" && !e.live && !e.visitors_of) return {at, jid: null, shard: "", before: null, people: null};
	if (!name.startsWith("room.") && !name.startsWith("participant.")) return null;
	const moved = {"participant.joined": -1, "participant.left": 1}[name] ?? 0;
	const counted = e.occupant ? isPerson(e.occupant.kind) : null;
	const before = moved === 0 || counted === false ? e.participant_count : counted ? e.participant_count + moved : null;
	return {at, jid: e.room_jid, shard: e.shard ?? "", before, people: e.participant_count};
}
