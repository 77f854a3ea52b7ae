/** What is known of one room, and of one occupant, as the page keeps it of what the API tells. Nothing here touches the document. */

import {decoded, moment, others, roomTitle, sortKey, visible} from "./format.js";

/**
 * @typedef {object} Occupant
 * @property {string} id
 * @property {string} name  as the occupant wrote it
 * @property {string} kind
 * @property {string} role
 * @property {?number} since
 * @property {boolean} hand  whether it says to have raised its hand
 *
 * @typedef {object} Room
 * @property {string} jid
 * @property {string} title  for people, as is tenant
 * @property {string} tenant
 * @property {string} written  both, as they lead to the room
 * @property {string} titleKey  what it is sorted by, as is tenantKey
 * @property {string} tenantKey
 * @property {"main"|"breakout"|"lobby"} type
 * @property {?string} parent  JID of the room to which it belongs
 * @property {number} people
 * @property {Object<string, number>} counts
 * @property {string} others  who is there without being counted, in words
 * @property {?number} created
 * @property {?string} subject
 * @property {boolean} password
 * @property {boolean} membersOnly
 * @property {?number} visitors  null where that isn't known
 * @property {?string} lobby  JID
 * @property {Array<{room_jid: string, name: ?string}>} breakouts
 * @property {?Map<string, Occupant>} occupants  null where names aren't told
 */

/**
 * Returns a room of which nothing is known yet but what it is called.
 * @returns {Room}
 */
export function newRoom({room_jid: jid, room_name: name, parent_room_jid: parent}) {
	const {title, tenant, written} = roomTitle(name);
	return {
		jid, title, tenant, written, parent, type: "main", titleKey: sortKey(title.replace(/^\//u, "")), tenantKey: sortKey(tenant),
		people: 0, counts: {}, others: "", created: null, subject: null, password: false, membersOnly: false, visitors: null, lobby: null, breakouts: [],
		occupants: null,
	};
}

/** Text in which a search for the room or for somebody in it looks. */
export function searchable(room) {
	const names = room.occupants ? [...room.occupants.values()].map(o => o.name) : [];
	return [room.title, room.written, decoded(room.jid), room.subject ?? "", ...names].join("\n").toLowerCase();
}

/** Takes in who is in a room, in numbers. */
export function setNumbers(room, people, counts) {
	room.people = people;
	room.counts = counts;
	room.others = others(counts);
}

/** Takes in what is true of a room besides. */
export function setFacts(room, f) {
	room.type = f.type;
	room.created = moment(f.created_at);
	room.subject = f.subject && visible(f.subject);
	room.password = f.password_protected;
	room.membersOnly = f.members_only;
	room.visitors = f.visitors ?? null;
	room.lobby = f.lobby_jid;
	room.breakouts = f.breakout_rooms ?? [];
}

/** How many visitors of the meeting are in other rooms, on visitor nodes; null where that isn't known. */
export const visitorsElsewhere = room => room.visitors === null ? null : Math.max(0, room.visitors - (room.counts.visitor ?? 0));

/** Of all that is told of an occupant only what is shown: there may be a hundred thousand. */
export function newOccupant(o) {
	return {id: o.id, name: o.name, kind: o.kind, role: o.role, since: moment(o.joined_at), hand: o.hand_raised === true};
}
