/** A table that draws all its rows, for lists that come in pages. Under a row, a button may unfold details. */

import {askJSON, patience, problemFor} from "./ask.js";
import {element} from "./element.js";
import {icon} from "./icons.js";
import {t} from "./language.js";
import {sleep} from "./stream.js";

/**
 * @typedef {object} Field
 * @property {string} key  data-cell of its cells
 * @property {string} head  key of the text in its head
 * @property {boolean} [labelled]  whether its cells have the text of their head where there is no head, on a phone
 * @property {function(object): (string|Node)[]} of  the content of a cell; the first field names the row
 */

/** Listing draws items, each with an id. */
export class Listing {
	#body;
	#fields;
	#detail;
	#open = new Set(); // ids of unfolded items

	/**
	 * @param {HTMLTableElement} table  its content is replaced
	 * @param {Field[]} fields
	 * @param {function(object): Node[]} [detail]  what a button in the first cell unfolds
	 */
	constructor(table, fields, detail = null) {
		this.#fields = fields;
		this.#detail = detail;
		const heads = fields.map(({key, head}) => {
			const cell = element("th", {scope: "col", textContent: t(head)});
			cell.dataset.cell = key;
			return cell;
		});
		this.#body = element("tbody");
		table.replaceChildren(element("thead", {}, element("tr", {}, ...heads)), this.#body);
		this.#body.addEventListener("click", e => this.#onClick(e));
	}

	/** Draws items in their order. What is unfolded stays so, and what has the focus keeps it. */
	show(items) {
		const focused = this.#body.contains(document.activeElement) ? this.#place(document.activeElement) : null;
		this.#body.replaceChildren(...items.flatMap(item => this.#rows(item)));
		if (focused) this.#body.querySelectorAll(`[data-id="${CSS.escape(focused.id)}"] :is(a, button)`)[focused.at]?.focus({preventScroll: true});
	}

	#place(node) {
		const {id} = node.closest("tr").dataset;
		const all = [...this.#body.querySelectorAll(`[data-id="${CSS.escape(id)}"] :is(a, button)`)];
		return {id, at: all.indexOf(node)};
	}

	#rows(item) {
		const row = element("tr");
		row.dataset.id = item.id;
		this.#fields.forEach(({key, head, labelled, of}, i) => {
			const cell = element(i === 0 ? "th" : "td", i === 0 ? {scope: "row"} : {}, ...of(item));
			cell.dataset.cell = key;
			if (labelled) cell.dataset.label = t(head);
			row.append(cell);
		});
		if (!this.#detail) return [row];
		const open = this.#open.has(item.id);
		const button = element("button", {className: "unfold"}, icon("chevron"), ...row.firstChild.childNodes);
		button.setAttribute("aria-expanded", open);
		row.firstChild.append(button);
		const details = element("tr", {className: "detail", hidden: !open}, element("td", {colSpan: this.#fields.length}, ...open ? this.#detail(item) : []));
		details.dataset.id = item.id;
		details.item = item;
		return [row, details];
	}

	#onClick(e) {
		const button = e.target.closest(".unfold");
		if (!button) return;
		const details = button.closest("tr").nextElementSibling;
		const {item} = details;
		if (details.hidden) this.#open.add(item.id);
		else this.#open.delete(item.id);
		details.hidden = !details.hidden;
		button.setAttribute("aria-expanded", !details.hidden);
		details.firstChild.replaceChildren(...details.hidden ? [] : this.#detail(item));
	}
}

/**
 * Reads a list of the API that comes in pages, and its newest pages again every few seconds, until signal aborts.
 *
 * @param {object} of
 * @param {string} of.path  with "?" and the parameters that stay
 * @param {string} of.field  the list in the answer; its items have an id
 * @param {number} of.page  items in a page
 * @param {number} of.most  items in an answer at most
 * @param {number} of.every  milliseconds
 * @param {HTMLButtonElement} of.more  reads the next page
 * @param {string} of.key
 * @param {AbortSignal} of.signal
 * @param {function(object[], boolean): void} of.draw  called with all items, and whether there are more
 * @param {function(Error): void} of.fail  called with a problem
 */
export async function readPages({path, field, page, most, every, more, key, signal, draw, fail}) {
	let items = [], next = null, missing = [];
	const read = (limit, cursor = "") => {
		const within = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
		return askJSON(`${path}&limit=${limit}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, {key, signal: within});
	};
	const redraw = async reading => {
		const problem = await reading().catch(problemFor);
		if (signal.aborted) return;
		more.hidden = next === null;
		if (!problem) draw(items, next !== null, missing);
		else if (items.length === 0 || problem.isFinal) fail(problem); // after other problems everything stays
	};
	more.hidden = true;
	more.addEventListener("click", () => redraw(async () => {
		more.hidden = true;
		const answer = await read(page, next);
		items = [...items, ...answer[field].filter(item => !items.some(known => known.id === item.id))];
		next = answer.next_cursor;
		missing = answer.unanswered;
	}), {signal});
	while (!signal.aborted) {
		await redraw(async () => {
			const answer = await read(Math.min(most, Math.max(page, items.length)));
			const again = new Set(answer[field].map(item => item.id));
			const older = items.length > answer[field].length && answer.next_cursor !== null ? items.filter(item => !again.has(item.id)) : [];
			items = [...answer[field], ...older];
			missing = answer.unanswered;
			if (older.length === 0) next = answer.next_cursor;
		});
		await sleep(every, signal);
	}
}
