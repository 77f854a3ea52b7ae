/** The chips above the list: rooms of a size, and rooms of a tenant. */

import {element} from "./element.js";
import {t} from "./language.js";

const sizes = [2, 5, 10, 50, 100];
const mostTenants = 6;

export class Filters {
	#box;
	#onChange;
	#size = 0;
	#tenant = null;
	#drawn = "";

	/**
	 * @param {HTMLElement} box
	 * @param {function(): void} onChange  called when the viewer has chosen
	 */
	constructor(box, onChange) {
		this.#box = box;
		this.#onChange = onChange;
		box.addEventListener("click", e => {
			const chip = e.target.closest("button");
			if (!chip) return;
			const {size, tenant} = chip.dataset;
			if (size !== undefined) this.#size = this.#size === Number(size) ? 0 : Number(size);
			else this.#tenant = this.#tenant === tenant ? null : tenant;
			this.#onChange();
		});
	}

	get isOn() {
		return this.#size > 0 || this.#tenant !== null;
	}

	/** Shows all rooms. */
	clear() {
		this.#size = 0;
		this.#tenant = null;
	}

	/** Reports whether a room is shown. */
	keeps(room) {
		return room.people >= this.#size && (this.#tenant === null || room.tenant === this.#tenant);
	}

	/**
	 * Draws the chips that tell rooms apart.
	 * @param {Iterable<object>} rooms  all main rooms
	 */
	draw(rooms) {
		let total = 0;
		const atLeast = sizes.map(() => 0);
		const tenants = new Map();
		for (const room of rooms) {
			total++;
			for (let i = 0; i < sizes.length && room.people >= sizes[i]; i++) atLeast[i]++;
			if (room.tenant) tenants.set(room.tenant, (tenants.get(room.tenant) ?? 0) + 1);
		}
		const chips = [];
		sizes.forEach((size, i) => {
			const apart = atLeast[i] > 0 && atLeast[i] < (i > 0 ? atLeast[i - 1] : total);
			if (apart || size === this.#size) chips.push({size, text: t("filter.size", {size}), n: atLeast[i], on: size === this.#size});
		});
		const largest = [...tenants].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, mostTenants);
		if (this.#tenant !== null && !largest.some(([tenant]) => tenant === this.#tenant)) largest.push([this.#tenant, tenants.get(this.#tenant) ?? 0]);
		for (const [tenant, n] of largest) chips.push({tenant, text: tenant, n, on: tenant === this.#tenant});
		const drawn = JSON.stringify(chips);
		if (drawn === this.#drawn) return;
		this.#drawn = drawn;
		this.#box.hidden = chips.length === 0;
		const focused = this.#box.contains(document.activeElement) ? document.activeElement : null;
		const nodes = chips.map(chip => this.#chip(chip));
		this.#box.replaceChildren(...nodes);
		if (focused) nodes.find(n => n.dataset.size === focused.dataset.size && n.dataset.tenant === focused.dataset.tenant)?.focus();
	}

	#chip({size, tenant, text, n, on}) {
		const chip = element("button", {className: "chip", title: t("rooms", {n})}, element("bdi", {textContent: text}));
		chip.setAttribute("aria-pressed", on);
		if (size !== undefined) chip.dataset.size = size;
		else chip.dataset.tenant = tenant;
		return chip;
	}
}
