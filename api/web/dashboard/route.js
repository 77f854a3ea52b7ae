/** The pages by the part of the address after #: "#/", "#/room/JID", "#/meetings?room=planning", "#/meeting/ID", "#/webhooks", "#/webhook/ID". */

import {decoded} from "./format.js";

/** @typedef {{page: "list"|"room"|"meetings"|"meeting"|"webhooks"|"webhook", id: ?string}} Place  id: of the room, the meeting or the webhook */

/** @returns {Place} the list of rooms for every other address */
export function placeIn(hash) {
	const [, list, one, id] = /^#\/(?:(meetings|webhooks)(?:\?.*)?|(room|meeting|webhook)\/(.+))$/u.exec(hash) ?? [];
	return list ? {page: list, id: null} : one ? {page: one, id: decoded(id)} : {page: "list", id: null};
}

/** The address of a page about one thing. */
export const linkTo = (page, id) => `#/${page}/${encodeURIComponent(id)}`;

export const roomLink = jid => linkTo("room", jid);

/** The page to which Esc leads from a page; null for none. */
export const parentOf = {list: null, room: "#/", meetings: "#/", meeting: "#/meetings", webhooks: "#/", webhook: "#/webhooks"};

/** The address of the meetings that a filter selects: those of a room, or of some days. */
export function meetingsLink(filter = {}) {
	const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
	return query.size > 0 ? `#/meetings?${query}` : "#/meetings";
}

/** The filter in the address of the meetings: room, from, to. */
export const filterIn = hash => Object.fromEntries(new URLSearchParams(/^#\/meetings\?(.*)$/u.exec(hash)?.[1] ?? ""));
