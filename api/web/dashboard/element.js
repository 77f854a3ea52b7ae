/** Builds parts of the page. Nothing here takes markup: what people write stays text. */

import {visible} from "./format.js";
import {hasText, t} from "./language.js";

/** Returns a new element with these properties and children; text becomes a text node. */
export function element(name, properties = {}, ...children) {
	const node = Object.assign(document.createElement(name), properties);
	node.append(...children);
	return node;
}

/** Returns a name for the page: isolated from the direction of the text around it, and without invisible characters. */
export const isolated = (text, className = "") => element("bdi", {textContent: visible(text), className});

/** Adds a name and its values to a list of facts. */
export function addFact(list, name, ...values) {
	list.append(element("div", {}, element("dt", {textContent: name}), element("dd", {}, ...values)));
}

/**
 * Explains in place of a list why it is empty.
 * @param {HTMLElement} box  of the class "empty"
 * @param {?{title: string, text: string, english?: boolean}} why  null hides the box; english: the text is the service's own
 */
export function explain(box, why) {
	box.hidden = why === null;
	if (why === null) return;
	box.replaceChildren(element("p", {className: "title", textContent: why.title}), element("p", {className: "muted", textContent: why.text, lang: why.english ? "en" : ""}));
}

/**
 * Says whose part is missing in an answer of the service, and why in the service's own words.
 * @param {{shard: string, collector: ?string, why: string}[]} [missing]
 */
export function showUnanswered(box, missing = []) {
	box.replaceChildren(...missing.map(({shard, collector, why}) => element("p", {className: "notice"},
		collector === null ? t("unanswered.all", {shard}) : t("unanswered", {shard, collector}), " ", element("span", {lang: "en", textContent: visible(why)}))));
}

/** The explanation of a problem: in the viewer's language if it is a usual one, else in the service's words. */
export function problemText({code, message, status}) {
	if (hasText(`problem.${code}.text`)) return {title: t(`problem.${code}.title`), text: t(`problem.${code}.text`)};
	if (hasText(`problem.${code}.title`)) return {title: t(`problem.${code}.title`), text: message, english: true};
	return {title: t(status > 0 ? "problem.refused" : "lost.title"), text: message, english: status > 0};
}
