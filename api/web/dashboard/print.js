/** The printed page: a plain table, since the one on the screen has only its visible rows. */

import {element} from "./element.js";
import {dated, kindOf, notCounted, number, span, unknown} from "./format.js";
import {t} from "./language.js";
import {occupantName} from "./occupants.js";

const most = 1_000;

/**
 * Fills the printed section with the occupants of one room, or with the rooms of the list.
 * @param {?number} trueAt  the time of the data
 */
export function fillPrint(section, store, listed, jid, trueAt) {
	const room = store.rooms.get(jid);
	const now = Date.now();
	const rows = room
		? [...room.occupants?.values() ?? []].map(o => [occupantName(o), kindOf(o), o.role, o.since ? dated(o.since) : unknown])
		: listed.slice(0, most).map(r => [r.title, r.tenant, number(r.people), notCounted(r.counts), r.created ? span(now - r.created) : unknown]);
	const head = (room ? ["column.name", "column.kind", "column.role", "column.since"] : ["column.room", "column.tenant", "column.people", "also.title", "column.open"]).map(key => t(key));
	const title = element("h2", {textContent: room ? room.written : t("rooms.title")});
	const note = element("p", {textContent: [
		t("print.at", {at: trueAt === null ? unknown : dated(trueAt)}),
		room ? t("people", {n: room.people}) : t("rooms", {n: listed.length}),
		room && !room.occupants ? t("note.noNames") : "",
		!room && listed.length > most ? t("print.first", {n: most}) : "",
	].filter(Boolean).join(" · ")});
	const table = element("table");
	const headRow = table.createTHead().insertRow();
	for (const text of head) headRow.append(element("th", {textContent: text, scope: "col"}));
	const body = table.createTBody();
	for (const row of rows) {
		const tr = body.insertRow();
		for (const text of row) tr.insertCell().append(element("bdi", {textContent: text}));
	}
	section.replaceChildren(title, note, ...rows.length > 0 ? [table] : []);
}
