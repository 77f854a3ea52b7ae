/** The webhooks of the key, and whether they deliver. */

import {askJSON, patience, problemFor} from "./ask.js";
import {element, explain, isolated, problemText} from "./element.js";
import {dayTime, moment, number} from "./format.js";
import {t} from "./language.js";
import {Listing} from "./listing.js";
import {needsAttention} from "./pages.js";
import {linkTo} from "./route.js";
import {sleep} from "./stream.js";
import {write} from "./table.js";

const every = 15_000;

const find = id => document.getElementById(id);

/** Shows the page. @param {import("./pages.js").Open} open */
export async function show({key, signal}) {
	const listing = new Listing(find("webhooks-table"), [
		{key: "name", head: "webhook.receiver", of: w => [element("a", {href: linkTo("webhook", w.id), title: w.url}, isolated(w.url)), element("code", {className: "muted", textContent: w.id})]},
		{key: "state", head: "connection.state", of: w => [stateOf(w)]},
		{key: "events", head: "webhook.events", of: w => [listOf(w.events)]},
		{key: "waiting", head: "delivery.waiting", labelled: true, of: w => [number(w.waiting_count)]},
	]);
	const empty = find("webhooks-empty");
	const draw = items => {
		find("webhooks-table").hidden = items.length === 0;
		write(find("webhooks-found"), items.length > 0 ? t("webhooks.count", {n: items.length}) : "");
		listing.show(items.toSorted((a, b) => needsAttention(b) - needsAttention(a) || (a.url < b.url ? -1 : 1)));
	};
	draw([]);
	explain(empty, null);
	for (let known = false; !signal.aborted; await sleep(every, signal)) {
		try {
			const {webhooks} = await askJSON("api/webhooks", {key, signal: AbortSignal.any([signal, AbortSignal.timeout(patience)])});
			if (signal.aborted) return;
			draw(webhooks);
			explain(empty, webhooks.length > 0 ? null : {title: t("webhooks.none"), text: t("webhooks.none.text")});
			known = true;
		} catch (err) {
			const problem = problemFor(err);
			if (signal.aborted) return;
			if (known && !problem.isFinal) continue; // everything stays
			draw([]);
			explain(empty, problemText(problem));
		}
	}
}

/** The state of a webhook, in a word. */
export function stateOf(w) {
	const state = needsAttention(w) ? w.disabled_at ? "disabled" : w.state : w.enabled ? w.state : "off";
	const node = element("span", {className: "state", textContent: t(`webhook.state.${state}`)});
	node.dataset.state = state;
	return node;
}

/** Why a webhook doesn't deliver, and what to do; null if it does. */
export function whyNot(w) {
	if (w.disabled_at) return {title: t("webhook.disabled", {at: dayTime(moment(w.disabled_at))}), detail: w.stopped_reason.replace(/^disabled by PPCH: /u, ""), remedy: t("webhook.disabled.text")};
	if (w.state === "failing") return {title: t("webhook.failing", {at: dayTime(moment(w.failing_since))}), detail: "", remedy: t("webhook.failing.text")};
	if (w.state === "stopped" && w.enabled) return {title: t("webhook.stopped"), detail: w.stopped_reason, remedy: ""};
	return w.enabled ? null : {title: t("webhook.state.off"), detail: "", remedy: t("webhook.off.text")};
}

/**
 * Events or rooms that a webhook selects, in words.
 * @param {string} all  key of the word for all, which has a gender in some languages
 */
export const listOf = (list, all = "webhook.all") => list.length > 0 ? list.join(", ") : t(all);
