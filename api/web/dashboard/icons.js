/** Icons, drawn from the symbols in index.html. */

const svg = "http://www.w3.org/2000/svg";

/**
 * Returns an icon. With a label it is an image that screen readers read, without one it is decoration.
 * @param {string} name  of the symbol, without "icon-"
 * @param {string} [label]
 */
export function icon(name, label = "") {
	const node = document.createElementNS(svg, "svg");
	node.setAttribute("class", `icon icon-${name}`);
	node.append(document.createElementNS(svg, "use"));
	node.firstChild.setAttribute("href", `#icon-${name}`);
	if (label) {
		node.setAttribute("role", "img");
		node.setAttribute("aria-label", label);
		node.append(Object.assign(document.createElementNS(svg, "title"), {textContent: label}));
	} else {
		node.setAttribute("aria-hidden", "true");
	}
	return node;
}
