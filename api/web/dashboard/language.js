/**
 * The language of the page: one catalogue of texts for each, in which a text may depend on a number.
 * Other pages use the same catalogues; nothing here knows what they show.
 */

/** The languages, by the names that their speakers use. */
export const languages = {en: "English", de: "Deutsch", fr: "Français", es: "Español"};

const item = "ppch-language"; // in localStorage, only if the viewer has chosen one

let texts = {};
let plurals = new Intl.PluralRules("en");
let numbers = new Intl.NumberFormat("en");

/** The language of the texts, and the locale by which numbers and times are written: "de" and "de-CH". */
export const used = {language: "en", locale: "en"};

/** Loads the catalogue of the viewer's language. */
export async function loadLanguage() {
	const {language, locale} = preferred(stored(), navigator.languages);
	const response = await fetch(new URL(`${language}.json`, import.meta.url));
	if (!response.ok) throw new Error(`the texts in ${language}: ${response.status}`);
	useLanguage(language, locale, await response.json());
}

/** Uses a catalogue. */
export function useLanguage(language, locale, catalogue) {
	Object.assign(used, {language, locale});
	texts = catalogue;
	plurals = new Intl.PluralRules(locale);
	numbers = new Intl.NumberFormat(locale);
}

/** Remembers the viewer's choice; a reload applies it. */
export function chooseLanguage(language) {
	localStorage.setItem(item, language);
}

function stored() {
	try {
		return localStorage.getItem(item);
	} catch {
		return null; // the browser blocks storage
	}
}

/**
 * Returns the first of the viewer's languages that there is a catalogue for.
 * @param {?string} chosen  by hand
 * @param {readonly string[]} wanted  BCP 47 tags, the best first
 */
export function preferred(chosen, wanted) {
	const base = tag => tag.toLowerCase().split("-")[0];
	const language = Object.hasOwn(languages, chosen ?? "") ? chosen : wanted.map(base).find(l => Object.hasOwn(languages, l)) ?? "en";
	return {language, locale: wanted.find(tag => base(tag) === language) ?? language};
}

/** A number in the viewer's way of writing. */
export const digits = n => numbers.format(n);

/**
 * Returns the text of a key.
 * @param {string} key
 * @param {Object<string, string|number>} [values]  for the names in braces; n also chooses between singular and plural
 */
export function t(key, values = {}) {
	return parts(key, values).join("");
}

/**
 * Returns the text of a key in pieces, so that values can be nodes of the document.
 * @param {string} key
 * @param {Object<string, string|number|Node>} [values]
 * @returns {Array<string|Node>}
 */
export function parts(key, values = {}) {
	let text = texts[key];
	if (text === undefined) return [key];
	if (typeof text === "object") text = text[plurals.select(values.n)] ?? text.other;
	return text.split(/\{(\w+)\}/u).map((piece, i) => {
		if (i % 2 === 0) return piece;
		const value = values[piece] ?? "";
		return typeof value === "number" ? digits(value) : value;
	}).filter(piece => piece !== "");
}

/** Reports whether there is a text for a key. */
export const hasText = key => texts[key] !== undefined;

/** Writes the texts of a page: data-t is the key of an element's text, data-t-NAME that of its attribute NAME. */
export function translate(root) {
	document.documentElement.lang = used.language;
	for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
	for (const name of ["aria-label", "placeholder", "title"]) {
		for (const node of root.querySelectorAll(`[data-t-${name}]`)) node.setAttribute(name, t(node.getAttribute(`data-t-${name}`)));
	}
}
