/** Builds parts of the page. Nothing here takes markup: what people write stays text. */

import {visible} from "./format.js";

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
