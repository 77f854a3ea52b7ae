/** The occupants of a room: a table of the people, and one of the occupants who are not counted. */

import {element} from "./element.js";
import {dated, hour, isBlank, isPerson, kindOf, span, unknown, visible} from "./format.js";
import {icon} from "./icons.js";
import {hasText, t} from "./language.js";
import {by, Order} from "./order.js";
import {VirtualTable, write} from "./table.js";

const rank = {visitor: 0, recorder: 1, transcriber: 2, hidden: 3, focus: 4};

/** The name of an occupant. One without a name is known by the id, which is the nick in the room. */
export function occupantName(o) {
	if (!isBlank(o.name)) return visible(o.name);
	return o.kind === "user" ? t("occupant.noName", {id: visible(o.id)}) : visible(o.id);
}

export class Occupants {
	#tables;
	#counts;
	#details;

	/** @param {function(): number} now  the time of the data, for ages */
	constructor(now) {
		const find = id => document.getElementById(id);
		const table = id => ({element: find(id), table: new VirtualTable(find(id), {columns: columns(now), key: "key", mark: "id"})});
		this.#tables = {people: table("people"), others: table("others")};
		this.#counts = {people: find("people-count"), others: find("others-count")};
		this.#details = find("not-counted");
		this.#details.addEventListener("toggle", () => this.#tables.others.table.relayout());
	}

	/** @param {?Map<string, import("./record.js").Occupant>} occupants  null if they are not shown */
	show(occupants) {
		const all = [...occupants ?? []].map(([key, o]) => ({...o, key, rank: rank[o.kind] ?? 5}));
		this.#draw("people", all.filter(o => isPerson(o.kind)), by("since", "key"));
		this.#draw("others", all.filter(o => !isPerson(o.kind)), by("rank", "since", "key"));
		this.#details.hidden = !all.some(o => !isPerson(o.kind));
	}

	#draw(which, items, compare) {
		const order = new Order(compare);
		order.reset(items, compare, () => true);
		const {element, table} = this.#tables[which];
		element.hidden = items.length === 0;
		write(this.#counts[which], t("number", {n: items.length}));
		table.show(order.items, null);
	}
}

const columns = now => [
	{key: "name", head: "column.name", heads: true, build: cell => {
		// A focused row shows its whole name.
		cell.append(element("span", {className: "goes"}, element("bdi")), element("span", {className: "kind tag"}));
	}, fill: (cell, o) => {
		const [name, kind] = cell.children;
		const text = occupantName(o);
		write(name.firstChild, text);
		name.title = text;
		name.classList.toggle("nameless", isBlank(o.name));
		write(kind, o.kind === "user" ? "" : kindOf(o));
		kind.hidden = o.kind === "user";
	}},
	{key: "media", head: "column.media", fill: (cell, o) => {
		const icons = [
			o.hand && ["hand", "on"],
			o.screen && ["screen", "on"],
			o.audio !== null && ["mic", o.audio ? "on" : "off"],
			o.video !== null && ["camera", o.video ? "on" : "off"],
		].filter(Boolean);
		const drawn = icons.map(i => i.join("-")).join(" ");
		if (cell.dataset.value === drawn) return;
		cell.dataset.value = drawn;
		cell.replaceChildren(...icons.map(([name, state]) => icon(state === "on" ? name : `${name}-off`, t(`media.${name}.${state}`))));
	}},
	{key: "role", head: "column.role", fill: (cell, o) => write(cell, hasText(`role.${o.role}`) ? t(`role.${o.role}`) : visible(o.role))},
	{key: "since", head: "column.since", fill: (cell, o) => {
		write(cell, o.since === null ? unknown : t("occupant.since", {at: hour(o.since), age: span(now() - o.since)}));
		cell.title = o.since === null ? t("occupant.sinceUnknown") : dated(o.since);
	}},
];
