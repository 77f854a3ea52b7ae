/** How current the page is: the connection to the service, and the service's connection to Prosody. */

import {askHealth} from "./ask.js";
import {element} from "./element.js";
import {clock, dated, span, unknown} from "./format.js";
import {hasText, t} from "./language.js";
import {domainKey} from "./record.js";
import {write} from "./table.js";

const patience = 6_000; // after so long without an answer, "connecting" is no longer the news

/** @typedef {{is: "connecting"|"open"|"polling"|"lost", since?: number, problem?: Error, until?: number, heard?: ?number}} Connection */

export class ConnectionView {
	/** @type {Connection} */
	connection = {is: "connecting", since: Date.now()};
	#store;
	#find = id => document.getElementById(id);
	#health = null;
	#drawnState = "";

	/** @param {import("./store.js").Store} store */
	constructor(store) {
		this.#store = store;
		this.#find("retry").addEventListener("click", () => window.dispatchEvent(new Event("ppch:now")));
		this.#find("connection").addEventListener("toggle", e => e.newState === "open" && this.#open());
	}

	/** The state of the page as a whole. */
	get state() {
		const {is} = this.connection;
		if (is === "lost" || is === "connecting") return is;
		if (this.#store.domains.size > 0 && !this.#store.live) return "stale";
		if (!this.#store.complete) return "connecting";
		return is === "polling" ? is : "live";
	}

	/** Whether the numbers are those of now. */
	get isCurrent() {
		return this.state === "live" || this.state === "polling";
	}

	/** Why totals are unknown, in a few words. */
	get why() {
		if (this.state === "connecting") return t("totals.loading");
		return this.trueAt === null ? t("totals.unknown") : t("totals.old", {at: clock(this.trueAt)});
	}

	/** The time of which the page's data are; null for never. */
	get trueAt() {
		if (this.isCurrent) return Date.now();
		return this.connection.is === "lost" ? this.connection.heard : this.#store.staleSince;
	}

	draw() {
		const {state} = this;
		if (document.body.dataset.state !== state) document.body.dataset.state = state;
		write(this.#find("state-text"), this.#pill(state));
		write(this.#find("rooms-title"), this.#heading(state));
		this.#drawProblem(state);
		const isOpen = this.#find("connection").matches(":popover-open");
		if (isOpen) this.#drawDomains();
		if (state === this.#drawnState) return;
		this.#drawnState = state;
		document.querySelector("link[rel=icon]").href = this.isCurrent ? "icon.svg" : "icon-stale.svg";
		if (isOpen) this.#readHealth();
	}

	#open() {
		this.#drawDomains();
		this.#readHealth();
	}

	#pill(state) {
		if ((state === "stale" || state === "lost") && this.trueAt !== null) return t(`state.${state}.since`, {age: span(Date.now() - this.trueAt)});
		return t(`state.${state}`);
	}

	#heading(state) {
		if (state !== "stale" && state !== "lost") return t("rooms.now");
		return this.trueAt === null ? t("rooms.unknown") : t("rooms.at", {at: clock(this.trueAt)});
	}

	#drawProblem(state) {
		const problem = {lost: () => this.#lost(), stale: () => this.#stale(), connecting: () => this.#slow()}[state]?.() ?? null;
		const box = this.#find("problem");
		if (box.hidden !== (problem === null)) box.hidden = problem === null;
		this.#find("retry").hidden = state !== "lost";
		if (!problem) return;
		box.dataset.grade = problem.grade;
		write(this.#find("problem-title"), problem.title);
		const detail = this.#find("problem-detail");
		write(detail, problem.detail);
		detail.lang = problem.english ? "en" : "";
		write(this.#find("problem-age"), problem.age);
	}

	#lost() {
		const {problem, until, heard} = this.connection;
		const wait = Math.ceil((until - Date.now()) / 1000);
		return {
			grade: "error",
			title: problem.status ? t("lost.refused") : t("lost.title"),
			detail: problem.message,
			english: problem.status > 0,
			age: `${age(heard)} ${wait > 0 ? t("lost.next", {wait: span(wait * 1000)}) : t("lost.trying")}`,
		};
	}

	#stale() {
		const bad = [...this.#store.domains.values()].filter(d => !d.live);
		const all = bad.length === this.#store.domains.size;
		const [first] = bad.filter(d => d.reason !== "syncing").concat(bad);
		const loading = bad.every(d => d.reason === "syncing" || d.reason === "connecting");
		const title = reason(first);
		const fixes = details(bad);
		return {
			grade: loading ? "wait" : "error",
			title: all ? title : t("reason.in", {problem: title, domains: this.#places(bad).join(", ")}),
			detail: fixes.length === 0 ? t("reason.passing") : fixes.join(" "),
			english: fixes.length > 0,
			age: age(this.#store.staleSince),
		};
	}

	/** The names of bad domains; that of a shard for all of its domains. */
	#places(bad) {
		const good = [...this.#store.domains.values()].filter(d => !bad.includes(d)).map(d => d.shard);
		const several = this.#store.shards > 1;
		return [...new Set(bad.map(d => several && !good.includes(d.shard) ? d.shard : this.#name(d)))];
	}

	/** The name of a domain, with its shard if there are several. */
	#name({domain, shard}) {
		return this.#store.shards + this.#store.nodes.all.length > 1 ? t("shard.domain", {domain, shard}) : domain;
	}

	#slow() {
		const {is, since} = this.connection;
		if (is !== "connecting" || Date.now() - since < patience) return null;
		return {grade: "error", title: t("lost.title"), detail: t("problem.noAnswer"), age: age(null)};
	}

	#drawDomains() {
		const body = this.#find("domains").tBodies[0];
		const domains = [...this.#store.domains.values(), ...this.#store.nodes.all];
		while (body.rows.length > domains.length) body.lastChild.remove();
		const said = new Set(); // domains of one shard have the same problem
		domains.forEach((d, i) => {
			const row = body.rows[i] ?? body.insertRow();
			if (!row.cells.length) {
				row.append(element("th", {scope: "row"}));
				for (const cell of ["state", "asof", "mode"]) row.insertCell().dataset.cell = cell;
				row.cells[1].append(element("span"), element("p", {className: "muted", lang: "en"}));
			}
			row.dataset.domain = d.domain;
			const mode = this.#health?.domains.find(h => domainKey(h) === domainKey(d))?.mode;
			const lost = this.connection.is === "lost";
			const live = d.live && !lost;
			const asOf = lost && d.live ? this.connection.heard : d.asOf; // a domain that was live then may not be live now
			const state = lost ? t("unknown") : live ? t("state.live") : reason(d);
			const updated = live ? t("connection.now") : asOf ? t("connection.ago", {at: clock(asOf), age: span(Date.now() - asOf)}) : unknown;
			const [detail] = live || lost ? [] : details([d]);
			write(row.cells[0], this.#name(d));
			write(row.cells[1].firstChild, state);
			write(row.cells[1].lastChild, said.has(detail) ? "" : detail ?? "");
			said.add(detail);
			write(row.cells[2], updated);
			write(row.cells[3], mode ?? unknown);
		});
	}

	async #readHealth() {
		const note = this.#find("connection-health");
		try {
			this.#health = await askHealth();
			const {connected, since, last_answer: answered, version, commit} = this.#health;
			write(note, [
				since ? t(connected ? "connection.up" : "connection.down", {since: dated(Date.parse(since))}) : t("connection.never"),
				answered ? t("connection.answered", {at: clock(Date.parse(answered))}) : "",
				`PPCH ${version}${commit ? ` (${commit.slice(0, 12)})` : ""}`,
			].filter(Boolean).join(" "));
		} catch {
			write(note, t("problem.noAnswer"));
		}
		this.#drawDomains();
	}
}

function age(since) {
	return since ? t("age.known", {at: clock(since), age: span(Date.now() - since)}) : t("age.none");
}

/** Why a domain's rooms are unknown, in a few words. */
export const reason = d => hasText(`reason.${d.reason}`) ? t(`reason.${d.reason}`) : t("reason.other");

/** What the service says about domains, which includes how to fix it. */
function details(domains) {
	return [...new Set(domains.map(d => d.status.replace(/^error: /u, "")))].filter(s => s !== "syncing").map(sentence);
}

/** The service's words as a sentence. */
export function sentence(text) {
	const begun = text.replace(/^[a-z]+(?=[\s,:])/u, word => word.charAt(0).toUpperCase() + word.slice(1)); // but not the name of a host
	return /[.!?]$/u.test(begun) ? begun : `${begun}.`;
}
