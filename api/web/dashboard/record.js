/** One room and one occupant, as the page keeps them. Nothing here touches the document. */

import {decoded, isPerson, moment, roomTitle, sortKey, visible} from "./format.js";

/**
 * @typedef {object} Occupant
 * @property {string} id
 * @property {string} name  as the occupant wrote it
 * @property {string} kind
 * @property {string=} rule the operator's rule that hides it
 * @property {string} role
 * @property {?number} since
 * @property {boolean} hand  whether the hand is raised
 * @property {?boolean} audio  whether the microphone is on; null for unknown
 * @property {?boolean} video  the same for the camera
 * @property {boolean} screen  whether the screen is shared
 *
 * @typedef {object} Room
 * @property {string} jid
 * @property {string} title  without the tenant
 * @property {string} tenant
 * @property {string} written  both, as they find the room
 * @property {string} titleKey  by which the title is sorted; tenantKey likewise
 * @property {string} tenantKey
 * @property {?string} link  the meeting's URL
 * @property {"main"|"breakout"|"lobby"} type
 * @property {?string} parent  JID of the main room
 * @property {number} people
 * @property {Object<string, number>} counts
 * @property {?number} created
 * @property {?string} subject
 * @property {boolean} password
 * @property {boolean} membersOnly
 * @property {?number} reported  the number of visitors as the service reported it, null for unknown
 * @property {?number} watched  the last number on the visitor nodes; null without any
 * @property {?number} visitors  which of them is the present number, null for unknown
 * @property {?string} lobby  JID
 * @property {Array<{room_jid: string, name: ?string}>} breakouts
 * @property {?Map<string, Occupant>} occupants  null where names are not shown
 * @property {string} shard  empty for unknown, and where several shards have the room
 * @property {Array<{shard: string, people: number}>=} parts  where several shards have it
 */

/**
 * Returns a room of which only the name is known.
 * @returns {Room}
 */
export function newRoom({room_jid: jid, room_name: name, display_name: shown, meeting_url: link, parent_room_jid: parent, shard}) {
	const room = {
		jid, shown: shown ?? name, title: "", tenant: "", written: "", titleKey: "", tenantKey: "", link: webLink(link), parent, type: "main",
		people: 0, counts: {}, created: null, subject: null, password: false, membersOnly: false, reported: null, watched: null, visitors: null, lobby: null, breakouts: [],
		occupants: null, shard: shard ?? "",
	};
	setTitle(room, null);
	return room;
}

function setTitle(room, tenant) {
	Object.assign(room, roomTitle(room.shown, tenant));
	room.titleKey = sortKey(room.title);
	room.tenantKey = sortKey(room.tenant);
}

/** The URL if a browser opens it as a web page, otherwise null. */
const webLink = url => /^https?:\/\//u.test(url ?? "") ? url : null;

/** Text in which a search for the room or for a person in it looks. */
export function searchable(room) {
	const names = room.occupants ? [...room.occupants.values()].map(o => o.name) : [];
	return [room.title, room.written, decoded(room.jid), room.subject ?? "", ...names].join("\n").toLowerCase();
}

/** Takes in how many occupants are in a room. */
export function setNumbers(room, people, counts) {
	room.people = people;
	room.counts = counts;
}

/** Takes in the facts of a room, except its occupants. */
export function setFacts(room, f) {
	if ((f.tenant ?? "") !== room.tenant) setTitle(room, f.tenant);
	room.type = f.type;
	room.created = moment(f.created_at);
	room.subject = f.subject && visible(f.subject);
	room.password = f.password_protected;
	room.membersOnly = f.members_only;
	room.reported = f.visitors ?? null;
	room.watched = f.visitors_watched ?? null;
	room.lobby = f.lobby_jid;
	room.breakouts = f.breakout_rooms ?? [];
}

/** How many visitors of the meeting are in other rooms, on visitor nodes; null for unknown. */
export const visitorsElsewhere = room => room.visitors === null ? null : Math.max(0, room.visitors - (room.counts.visitor ?? 0));

/** Keeps only what the page shows: there may be a hundred thousand occupants. */
export function newOccupant(o) {
	return {
		id: o.id, name: o.name, kind: o.kind, role: o.role, since: moment(o.joined_at), hand: o.hand_raised === true,
		audio: not(o.audio_muted), video: not(o.video_muted), screen: o.screen_sharing === true,
		...o.rule && {rule: o.rule},
	};
}

const not = muted => typeof muted === "boolean" ? !muted : null;

/**
 * Returns the first people in a room, in order of arrival.
 * @returns {Occupant[]} at most n of them, each with a name
 */
export function firstPeople(room, n) {
	const first = [];
	for (const o of room.occupants?.values() ?? []) {
		if (!isPerson(o.kind) || o.name.trim() === "") continue;
		let at = first.length;
		while (at > 0 && (o.since ?? Infinity) < (first[at - 1].since ?? Infinity)) at--;
		if (at < n) first.splice(at, 0, o);
		if (first.length > n) first.pop();
	}
	return first;
}

/** The shard of a document, as a key. */
export const shardOf = doc => doc.shard ?? "";

/** The key of a domain of a shard. */
export const domainKey = doc => `${doc.shard} ${doc.domain}`;

/**
 * Returns one room for those of several shards, with the facts of the oldest and the numbers of all; undefined without any.
 * @param {Room[]} parts
 */
export function merged(parts) {
	if (parts.length < 2) return parts[0];
	const oldest = parts.reduce((a, b) => (b.created ?? Infinity) < (a.created ?? Infinity) ? b : a);
	const counts = {};
	for (const p of parts) for (const [kind, n] of Object.entries(p.counts)) counts[kind] = (counts[kind] ?? 0) + n;
	const named = parts.every(p => p.occupants);
	return {
		...oldest, counts, shard: "",
		reported: parts.every(p => p.reported === 0) ? 0 : null, // each may count the same visitors
		watched: parts.every(p => p.watched === oldest.watched) ? oldest.watched : null,
		people: parts.reduce((n, p) => n + p.people, 0),
		parts: parts.map(({shard, people}) => ({shard, people})),
		occupants: named ? new Map(parts.flatMap(p => [...p.occupants].map(([id, o]) => [`${p.shard}/${id}`, o]))) : null,
	};
}
