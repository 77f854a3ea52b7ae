/** Polling, for keys that can't follow events. */

import {ask, askHealth, askJSON, patience, Problem, problemFor} from "./ask.js";
import {sleep} from "./stream.js";

const every = 5_000, maxWait = 60_000;

/**
 * Fills the store until signal aborts.
 *
 * @param {object} to
 * @param {string} to.key
 * @param {import("./store.js").Store} to.store
 * @param {AbortSignal} to.signal
 * @param {function(): ?string} to.room  the JID of the room whose occupants are wanted, or null
 * @param {function(): void} to.onRound  called after each round
 * @param {function(Problem, number, ?number): void} to.onLost  as for events
 * @returns {Promise<Problem>} why the service refuses for good
 */
export async function poll({key, store, signal, room, onRound, onLost}) {
	let etag = "", heard = null;
	for (let wait = every; ;) {
		try {
			const round = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
			applyHealth(store, await askHealth(round));
			etag = await readRooms(key, store, round, etag);
			if (store.named === null) await readNamed(key, store, round);
			await readOccupants(key, store, round, room());
			wait = every;
			heard = Date.now();
			onRound();
		} catch (err) {
			if (signal.aborted) return new Problem({status: 0, code: "stopped", detail: ""});
			const problem = problemFor(err);
			if (problem.isFinal && (problem.status === 401 || problem.status === 403)) return problem;
			wait = Math.max(Math.min(wait * 2, maxWait), problem.retryAfter * 1000);
			if (problem.code === "prosody-unavailable" || problem.code === "count-unknown") {
				setUnknown(store, problem);
				onRound();
			} else {
				onLost(problem, wait, heard);
			}
			etag = "";
		}
		await sleep(wait, signal);
	}
}

/** Takes the statuses of /health as status events. */
function applyHealth(store, health) {
	const visitors = new Set(health.shards.filter(s => s.kind === "visitors").map(s => s.shard)); // lists leave out their rooms
	const hidden = visitors.size < health.shards.length ? visitors : new Set();
	for (const {shard, domain, status} of health.domains.filter(d => !hidden.has(d.shard))) {
		store.apply("status", {shard, domain, live: status === "ok", status, reason: status === "ok" ? null : health.reason, as_of: null});
	}
}

/** Marks all domains as not live, with the service's reason. */
function setUnknown(store, problem) {
	for (const d of store.domains.values()) {
		if (d.live) Object.assign(d, {live: false, status: `error: ${problem.message}`, reason: problem.reason});
	}
}

/** Reads all pages of the list, unless there is only one and it hasn't changed. */
async function readRooms(key, store, signal, etag) {
	const rooms = [];
	let asOf = null, first = "";
	for (let cursor = ""; cursor !== null;) {
		const path = `api/rooms?type=all&limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
		const response = await ask(path, {key, signal, headers: etag && !cursor ? {"If-None-Match": etag} : {}});
		if (response.status === 304) {
			for (const d of store.domains.values()) d.asOf = Date.parse(response.headers.get("PPCH-As-Of"));
			return etag;
		}
		const page = await response.json();
		rooms.push(...page.rooms);
		asOf ??= Date.parse(page.as_of);
		if (!cursor && page.next_cursor === null) first = response.headers.get("ETag");
		cursor = page.next_cursor;
	}
	store.replace(rooms, asOf);
	return first;
}

/** Finds out whether the key may see names, from one room: lists with names would be large. */
async function readNamed(key, store, signal) {
	const {rooms: [room]} = await askJSON("api/rooms?limit=1&expand=occupants", {key, signal});
	if (room) store.named = room.occupants !== null;
}

async function readOccupants(key, store, signal, jid) {
	if (!jid) return;
	const room = await askJSON(`api/rooms/${encodeURIComponent(jid)}`, {key, signal}).catch(err => {
		if (err.status === 400 || err.code === "room-not-allowed") return null; // the page's address names no room that this key may see
		throw err;
	});
	store.setOccupants(jid, room?.occupants ?? null);
}
