/** What is printed: a plain table, since the one on the screen has only those rows that can be seen. */

import {dated, number, several, span, unknown} from "./format.js";
import {occupantName} from "./room.js";

const most = 1_000;

/**
 * Fills the section that only paper shows: with one room's occupants, or with the rooms as they are listed.
 * @param {?number} trueAt  when that was last known to be true
 */
export function fillPrint(section, store, listed, jid, trueAt) {
	const room = store.rooms.get(jid);
	const now = Date.now();
	const rows = room
		? [...room.occupants?.values() ?? []].map(o => [occupantName(o), o.kind, o.role, o.since ? dated(o.since) : unknown])
		: listed.slice(0, most).map(r => [r.title, r.tenant, number(r.people), r.others, r.created ? span(now - r.created) : unknown]);
	const head = room ? ["Name", "Kind", "Role", "Here since"] : ["Room", "Tenant", "People", "Others", "Open for"];
	const title = document.createElement("h2");
	title.textContent = room ? room.written : "Rooms";
	const said = document.createElement("p");
	const state = `As of ${trueAt === null ? unknown : dated(trueAt)}`;
	said.textContent = room
		? `${state}: ${several(room.people, "person", "people")}.${room.occupants ? "" : " Who is in it isn’t told to this key."}`
		: `${state}: ${several(listed.length, "room", "rooms")}${listed.length > most ? `, of which the first ${number(most)} are printed` : ""}.`;
	const table = document.createElement("table");
	const headRow = table.createTHead().insertRow();
	for (const text of head) headRow.append(Object.assign(document.createElement("th"), {textContent: text, scope: "col"}));
	const body = table.createTBody();
	for (const row of rows) {
		const tr = body.insertRow();
		for (const text of row) tr.insertCell().append(Object.assign(document.createElement("bdi"), {textContent: text}));
	}
	section.replaceChildren(title, said, ...rows.length > 0 ? [table] : []);
}
