/**
 * A table with only its visible rows in the document, and a few around them. It scrolls with the page.
 *
 * Rows are placed by transform, so that the focused one can stay in the document while the page scrolls.
 * Their order in the document is that of the table, for screen readers.
 */

import {t} from "./language.js";

const spare = 8; // rows above and below the visible ones

/**
 * @typedef {object} Column
 * @property {string} key  data-cell of its cells
 * @property {string} head  key of the text in its head
 * @property {boolean} [sorts]  whether its head is a button, with the column's key in data-sort
 * @property {boolean} [heads]  whether its cells name their rows
 * @property {function(HTMLElement): void} [build]  creates the content of a cell, once
 * @property {function(HTMLElement): void} [measure]  called with an empty cell when the layout has changed
 * @property {function(HTMLElement, object): void} fill  writes an item into a cell
 */

/** VirtualTable draws items, each with a key. One element of each row can have the focus: that with the class "goes". */
export class VirtualTable {
	#table;
	#body;
	#columns;
	#key;
	#mark;
	#items = [];
	#rows = new Map(); // by key: the rows in the document
	#stale = new Set(); // keys of items that may differ from their row
	#height = 0;
	#active = null; // key of the row that had the focus last, where Tab returns
	#busy = false;
	#drawn = -1; // the number of items that the document has space for

	/**
	 * @param {HTMLTableElement} table  empty
	 * @param {{columns: Column[], key: string, mark: string}} of  key: the field with an item's key; mark: the data- attribute for it
	 */
	constructor(table, {columns, key, mark}) {
		this.#table = table;
		this.#columns = columns;
		this.#drawHead();
		this.#body = table.createTBody();
		this.#body.setAttribute("role", "rowgroup");
		this.#key = key;
		this.#mark = mark;
		this.#body.addEventListener("keydown", e => this.#onKey(e));
		this.#body.addEventListener("focusin", e => this.#activate(e.target.closest("tr")));
		const draw = () => this.#later();
		window.addEventListener("scroll", draw, {passive: true});
		window.addEventListener("resize", () => this.relayout());
	}

	/** Draws all rows again, after a change of their size. */
	relayout() {
		this.#height = 0;
		this.#later();
	}

	/**
	 * Draws items in their order.
	 * @param {object[]} items  the table only reads them
	 * @param {?Set<string>} changed  keys of items that may have changed; null for all
	 */
	show(items, changed) {
		this.#items = items;
		for (const key of changed ?? this.#rows.keys()) if (this.#rows.has(key)) this.#stale.add(key);
		if (this.#isShown) this.draw();
	}

	/** Draws the visible rows. */
	draw() {
		this.#busy = false;
		const items = this.#items;
		if (this.#height === 0) this.#measure();
		if (this.#height === 0) return; // without layout, as on paper or behind the prompt, nothing has a size
		const top = -this.#body.getBoundingClientRect().top; // before any writing, which would cause a second layout
		if (this.#drawn !== items.length) {
			this.#drawn = items.length;
			this.#table.setAttribute("aria-rowcount", items.length + 1);
			this.#body.style.height = `${items.length * this.#height}px`;
		}
		const seen = Math.min(items.length, Math.max(0, Math.floor(top / this.#height)));
		const first = Math.max(0, seen - spare);
		const last = Math.min(items.length, Math.ceil((top + window.innerHeight) / this.#height) + spare);
		this.#place(first, seen, last);
	}

	/** Scrolls to the item and focuses it. */
	focus(key) {
		const at = this.#items.findIndex(i => i[this.#key] === key);
		if (at >= 0) this.#go(at);
	}

	// Only hidden attributes and closed details hide tables; reading those causes no layout.
	get #isShown() {
		return this.#table.closest("[hidden], details:not([open])") === null;
	}

	#drawHead() {
		const head = this.#table.createTHead();
		head.setAttribute("role", "rowgroup");
		const row = head.insertRow();
		row.setAttribute("role", "row");
		row.setAttribute("aria-rowindex", 1);
		for (const {key, head: text, sorts} of this.#columns) {
			const cell = document.createElement("th");
			cell.setAttribute("role", "columnheader");
			cell.scope = "col";
			cell.dataset.cell = key;
			if (sorts) {
				cell.append(document.createElement("button"));
				cell.firstChild.dataset.sort = key;
			}
			(cell.firstChild ?? cell).textContent = t(text);
			row.append(cell);
		}
	}

	#later() {
		if (this.#busy || !this.#isShown) return;
		this.#busy = true;
		requestAnimationFrame(() => this.draw());
	}

	#measure() {
		const probe = this.#newRow();
		this.#body.append(probe);
		this.#height = probe.offsetHeight;
		this.#columns.forEach((column, i) => column.measure?.(probe.children[i]));
		for (const key of this.#rows.keys()) this.#stale.add(key);
		this.#drawn = -1;
		probe.remove();
	}

	/** Puts the rows from first to last into the document; seen is the first visible one. */
	#place(first, seen, last) {
		const wanted = new Map();
		for (let i = first; i < last; i++) wanted.set(this.#items[i][this.#key], i);
		const focused = this.#body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
		const held = focused && this.#keyOf(focused);
		if (held !== null && !wanted.has(held)) {
			const at = this.#items.findIndex(i => i[this.#key] === held);
			if (at >= 0) wanted.set(held, at);
		}
		const free = new Set();
		for (const [key, row] of this.#rows) {
			if (wanted.has(key)) continue;
			this.#rows.delete(key);
			free.add(row);
		}
		const order = [...wanted].sort((a, b) => a[1] - b[1]);
		const tab = wanted.has(this.#active) ? this.#active : this.#items[seen]?.[this.#key];
		// Rows that stay are not moved; free rows between them are passed over.
		const spares = [...free];
		const settled = row => {
			while (row && free.has(row)) row = row.nextElementSibling;
			return row;
		};
		let before = settled(this.#body.firstElementChild);
		for (const [key, at] of order) {
			let row = this.#rows.get(key);
			if (!row) {
				row = spares.pop() ?? this.#newRow();
				row.dataset[this.#mark] = key;
				this.#rows.set(key, row);
				this.#fill(row, this.#items[at], true);
			} else if (this.#stale.has(key)) {
				this.#fill(row, this.#items[at], false);
			}
			this.#set(row, at, key === tab);
			if (row === before) before = settled(before.nextElementSibling);
			else this.#body.insertBefore(row, before);
		}
		this.#stale.clear();
		for (const row of spares) row.remove();
		// A row that moved within the document has lost the focus. A row whose item is gone passes it to a neighbour.
		if (focused && document.activeElement === document.body) {
			const row = this.#rows.get(held) ?? this.#rows.get(tab);
			row?.goes.focus({preventScroll: true});
		}
	}

	#set(row, at, active) {
		if (row.at !== at) {
			row.at = at;
			row.style.transform = `translateY(${at * this.#height}px)`;
			row.setAttribute("aria-rowindex", at + 2); // the head is the first
			row.classList.toggle("odd", at % 2 === 1);
		} else if (row.high !== this.#height) {
			row.style.transform = `translateY(${at * this.#height}px)`;
		}
		row.high = this.#height;
		const tab = active ? 0 : -1;
		if (row.goes.tabIndex !== tab) row.goes.tabIndex = tab;
	}

	#newRow() {
		const row = document.createElement("tr");
		row.setAttribute("role", "row");
		for (const column of this.#columns) {
			const cell = document.createElement(column.heads ? "th" : "td");
			cell.setAttribute("role", column.heads ? "rowheader" : "cell");
			if (column.heads) cell.scope = "row";
			cell.dataset.cell = column.key;
			column.build?.(cell);
			row.append(cell);
		}
		row.goes = row.querySelector(".goes");
		return row;
	}

	/** @param {boolean} fresh  whether the row had another item before, so that nothing in it has changed visibly */
	#fill(row, item, fresh) {
		row.fresh = fresh;
		this.#columns.forEach((column, i) => column.fill(row.children[i], item));
	}

	#keyOf(row) {
		return row.dataset[this.#mark] ?? null;
	}

	#activate(row) {
		if (!row || this.#keyOf(row) === this.#active) return;
		this.#active = this.#keyOf(row);
		for (const other of this.#rows.values()) other.goes.tabIndex = -1;
		row.goes.tabIndex = 0;
	}

	#onKey(e) {
		const row = e.target.closest("tr");
		if (!row || e.altKey || e.ctrlKey || e.metaKey || e.shiftKey) return;
		const page = Math.max(1, Math.floor(window.innerHeight / this.#height) - 3);
		const end = this.#items.length - 1;
		const to = {ArrowUp: row.at - 1, ArrowDown: row.at + 1, PageUp: row.at - page, PageDown: row.at + page, Home: 0, End: end}[e.key];
		if (to === undefined) return;
		e.preventDefault();
		this.#go(Math.min(end, Math.max(0, to)));
	}

	#go(at) {
		const key = this.#items[at][this.#key];
		const top = this.#body.getBoundingClientRect().top + at * this.#height;
		const head = this.#table.tHead.getBoundingClientRect();
		if (top < head.height) window.scrollBy({top: top - head.height - this.#height, behavior: "instant"});
		else if (top + this.#height > window.innerHeight) window.scrollBy({top: top + 2 * this.#height - window.innerHeight, behavior: "instant"});
		this.#active = key;
		this.draw();
		this.#rows.get(key)?.goes.focus({preventScroll: true});
	}
}

/** Writes text if it differs: each writing costs layout work. */
export function write(node, text) {
	if (node.textContent !== text) node.textContent = text;
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Highlights an element for a moment, in a color of style.css. */
export function shine(node, color) {
	if (still.matches) return;
	node.animate([{backgroundColor: `var(${color})`}, {backgroundColor: "transparent"}], {duration: 1600, easing: "ease-out"});
}
