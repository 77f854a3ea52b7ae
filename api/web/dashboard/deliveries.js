/** One webhook: its settings, why it doesn't deliver, and its last deliveries, which can be sent again. */

import {ask, askJSON, patience, problemFor} from "./ask.js";
import {sentence} from "./connection.js";
import {addFact, element, explain, isolated, problemText} from "./element.js";
import {dayTime, hour, moment, number, unknown, visible} from "./format.js";
import {t} from "./language.js";
import {Listing, readPages} from "./listing.js";
import {sleep} from "./stream.js";
import {write} from "./table.js";
import {listOf, stateOf, whyNot} from "./webhooks.js";

const every = 10_000;

const find = id => document.getElementById(id);

/** Shows the page. @param {import("./pages.js").Open} open */
export async function show({id, key, signal}) {
	const path = `api/webhooks/${encodeURIComponent(id)}`;
	const within = () => AbortSignal.any([signal, AbortSignal.timeout(patience)]);
	const post = async end => (await ask(path + end, {method: "POST", key, signal: within()})).json();
	clear();
	useActions(post, signal);
	const listing = new Listing(find("deliveries"), fields, d => detailOf(d, post, signal));
	let reading = new AbortController();
	signal.addEventListener("abort", () => reading.abort());
	const read = state => {
		reading.abort();
		reading = new AbortController();
		for (const chip of find("delivery-states").children) chip.setAttribute("aria-pressed", chip.dataset.state === state);
		readPages({
			path: `${path}/deliveries?${state && `state=${state}`}`, field: "deliveries", page: 20, most: 100, every, more: find("deliveries-more"), key, signal: reading.signal,
			draw: items => {
				find("deliveries").hidden = items.length === 0;
				listing.show(items);
				explain(find("deliveries-empty"), items.length > 0 ? null : {title: t("deliveries.none"), text: t(state ? "deliveries.none.state" : "deliveries.none.text")});
			},
			fail: problem => explain(find("deliveries-empty"), problemText(problem)),
		});
	};
	find("delivery-states").addEventListener("click", e => e.target.dataset.state !== undefined && read(e.target.dataset.state), {signal});
	for (let shown = false; !signal.aborted; await sleep(every, signal)) {
		try {
			const webhook = await askJSON(path, {key, signal: within()});
			if (signal.aborted) return;
			explain(find("webhook-empty"), null);
			drawWebhook(webhook);
			if (!shown) read("");
			shown = true;
		} catch (err) {
			const problem = problemFor(err);
			if (signal.aborted) return;
			if (shown && !problem.isFinal) continue; // everything stays
			if (shown) clear();
			explain(find("webhook-empty"), problemText(problem));
			if (problem.isFinal) return reading.abort();
		}
	}
}

function clear() {
	for (const id of ["webhook-empty", "deliveries-empty"]) explain(find(id), null);
	for (const id of ["webhook-name", "test-result", "replay-result"]) write(find(id), "");
	for (const id of ["webhook-facts", "deliveries"]) find(id).replaceChildren();
	for (const id of ["webhook-why", "webhook-all", "test", "deliveries", "deliveries-more", "test-answer"]) find(id).hidden = true;
}

function drawWebhook(w) {
	find("webhook-all").hidden = find("test").hidden = false;
	write(find("webhook-name"), visible(w.url));
	const why = whyNot(w);
	find("webhook-why").hidden = why === null;
	find("webhook-why").dataset.grade = w.enabled ? "error" : "wait";
	write(find("webhook-why-title"), why?.title ?? "");
	write(find("webhook-why-detail"), why?.detail ? visible(sentence(why.detail)) : "");
	write(find("webhook-why-text"), why?.remedy ?? "");
	const facts = find("webhook-facts");
	facts.replaceChildren();
	addFact(facts, t("connection.state"), stateOf(w));
	addFact(facts, t("delivery.waiting"), number(w.waiting_count));
	addFact(facts, t("webhook.events"), listOf(w.events));
	addFact(facts, t("chart.rooms"), isolated(listOf(w.rooms, "webhook.allRooms")));
	addFact(facts, t("column.who"), t(w.names ? "webhook.names" : "webhook.numbers"));
	addFact(facts, t("webhook.format"), w.format);
	addFact(facts, "ID", element("code", {textContent: w.id}));
	addFact(facts, t("webhook.created"), dayTime(moment(w.created_at)));
	if (w.template) addFact(facts, t("webhook.template"), element("code", {textContent: visible(w.template)}));
}

/** Connects the buttons: a test, and all events of a time once more. */
function useActions(post, signal) {
	const result = (id, act) => async e => {
		e.preventDefault();
		const button = e.currentTarget.querySelector("button") ?? e.currentTarget;
		button.disabled = true;
		write(find(id), t("webhook.sending"));
		try {
			write(find(id), await act());
		} catch (err) {
			if (!signal.aborted) write(find(id), problemText(problemFor(err)).text);
		}
		button.disabled = false;
		window.dispatchEvent(new Event("ppch:now")); // reads everything again
	};
	find("test").addEventListener("click", result("test-result", async () => {
		const {delivered, status, problem, answer, duration_ms: took} = await post("/test");
		find("test-answer").hidden = !answer;
		write(find("test-answer"), lines(answer ?? ""));
		return t(delivered ? "webhook.test.delivered" : "webhook.test.failed", {result: visible(problem ?? `HTTP ${status}`), took});
	}), {signal});
	const form = find("replay");
	const local = ms => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
	form.elements.from.value = local(Date.now() - 3_600_000);
	form.elements.to.value = local(Date.now() + 60_000);
	form.addEventListener("submit", result("replay-result", async () => {
		const [from, to] = ["from", "to"].map(name => new Date(form.elements[name].value).toISOString());
		const {replayed} = await post(`/replay?${new URLSearchParams({from, to})}`);
		return t("webhook.replayed", {n: replayed});
	}), {signal});
}

const fields = [
	{key: "name", head: "delivery.event", of: d => [element("span", {textContent: d.type}), ...d.room_jid ? [isolated(d.room_jid.split("@")[0], "muted")] : []]},
	{key: "time", head: "delivery.time", of: d => [hour(moment(d.time))]},
	{key: "state", head: "connection.state", of: d => {
		const node = element("span", {className: "state", textContent: t(`delivery.${d.state}`)});
		node.dataset.state = d.state === "waiting" && d.attempts > 0 ? "failing" : d.state;
		return [node];
	}},
	{key: "answer", head: "delivery.result", of: d => [d.problem ? visible(d.problem) : d.status ? `HTTP ${d.status}` : unknown]},
];

function detailOf(d, post, signal) {
	const facts = element("dl", {className: "facts"});
	addFact(facts, t("delivery.attempts"), number(d.attempts));
	if (d.last_attempt_at) addFact(facts, t("delivery.last"), `${dayTime(moment(d.last_attempt_at))} · ${d.duration_ms} ms`);
	if (d.next_attempt_at) addFact(facts, t("delivery.next"), dayTime(moment(d.next_attempt_at)));
	if (d.room_jid) addFact(facts, t("column.room"), isolated(d.room_jid));
	addFact(facts, t("delivery.id"), element("code", {textContent: visible(d.event_id)}));
	const parts = [facts];
	const add = (key, text) => parts.push(element("h4", {textContent: t(key)}), element("pre", {tabIndex: 0, textContent: text}));
	if (d.answer) add("delivery.answer", lines(d.answer));
	add("delivery.body", d.body ? bodyOf(d) : t("delivery.erased"));
	if (d.state !== "waiting" && d.body) parts.push(replayButton(d, post, signal));
	return parts;
}

function replayButton(d, post, signal) {
	const result = element("span", {className: "muted", role: "status"});
	const button = element("button", {textContent: t("webhook.replay")});
	button.addEventListener("click", async () => {
		button.disabled = true;
		try {
			await post(`/deliveries/${encodeURIComponent(d.id)}/replay`);
			write(result, t("webhook.replayed", {n: 1}));
			window.dispatchEvent(new Event("ppch:now"));
		} catch (err) {
			button.disabled = false;
			if (!signal.aborted) write(result, problemText(problemFor(err)).text);
		}
	});
	return element("p", {className: "line"}, button, result);
}

/** Text of several lines, with its other invisible characters made visible. */
const lines = text => text.split(/\r?\n/u).map(visible).join("\n");

/** The body of a delivery; JSON is indented. */
function bodyOf(d) {
	try {
		if (/\bjson\b/u.test(d.content_type)) return lines(JSON.stringify(JSON.parse(d.body), null, 2));
	} catch {
		// It is shown as it is.
	}
	return lines(d.body);
}
