/** What the viewer controls apart from the data: keys, language and density. */

import {chooseLanguage, languages, used} from "./language.js";

const densityItem = "ppch-density"; // in localStorage, only if the viewer has chosen

const find = id => document.getElementById(id);

/**
 * Connects the controls to the page.
 * @param {object} page
 * @param {function(): void} page.relayout  draws rows after a change of their height
 * @param {function(): void} page.clear  clears the search
 * @param {function(): ?string} page.parent  the address to which Esc leads; null in the list of rooms
 * @param {function(): void} page.skip  focuses what follows the head of the page
 */
export function useControls({relayout, clear, parent, skip}) {
	const setDensity = compact => {
		document.body.classList.toggle("compact", compact);
		find("compact").setAttribute("aria-pressed", compact);
		relayout();
	};
	find("compact").addEventListener("click", () => {
		const compact = !document.body.classList.contains("compact");
		if (compact) localStorage.setItem(densityItem, "compact");
		else localStorage.removeItem(densityItem);
		setDensity(compact);
	});
	setDensity(localStorage.getItem(densityItem) === "compact");

	for (const select of document.querySelectorAll("select.language")) {
		select.append(...Object.entries(languages).map(([code, name]) => Object.assign(new Option(name, code, false, code === used.language), {lang: code})));
		select.addEventListener("change", () => {
			chooseLanguage(select.value);
			location.reload();
		});
	}

	find("skip").addEventListener("click", e => {
		e.preventDefault(); // the part of the address after # is the page
		skip();
	});
	window.addEventListener("keydown", e => {
		const typing = e.target.closest?.("input, select, textarea");
		if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && !e.altKey && document.body.dataset.state !== "ask") {
			e.preventDefault();
			const search = () => find("search").focus();
			if (parent()) {
				window.addEventListener("hashchange", search, {once: true}); // after the page's own listener, which shows the list
				location.hash = "#/";
			} else search();
		}
		if (e.key !== "Escape" || document.querySelector(":popover-open")) return;
		if (e.target === find("search")) clear();
		else if (parent() && !typing) location.hash = parent();
	});
}
