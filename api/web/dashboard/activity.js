/** The activity list: joins and leaves, rooms that open and close, and now and again a sentence for screen readers. */

import {element} from "./element.js";
import {clock, kindName, minute} from "./format.js";
import {icon} from "./icons.js";
import {parts, t} from "./language.js";
import {occupantName} from "./occupants.js";
import {newRoom} from "./record.js";
import {roomLink} from "./route.js";

const kept = 60;
const drawEvery = 500; // milliseconds; more often would be too fast to read
const sayEvery = 15_000;

const icons = {"participant.joined": "joined", "participant.left": "left", "room.started": "opened", "room.ended": "closed", "reset": "reload"};

export class Activity {
	#list = document.getElementById("activity");
	#idle = document.getElementById("activity-idle");
	#status = document.getElementById("activity-status");
	#pause = document.getElementById("activity-pause");
	#all = [];  // the last events of all rooms
	#own = [];  // those of the room that is shown
	#news = []; // events that are not in the document yet
	#drawnAt = 0;
	#timer = 0;
	#room = null;
	#tally = {};
	#sayTimer = 0;
	#sum;
	#sharded;

	/**
	 * @param {function(): string} sum  returns the number of rooms and people in words
	 * @param {function(): boolean} sharded  whether there are several shards
	 */
	constructor(sum, sharded) {
		this.#sum = sum;
		this.#sharded = sharded;
		this.#pause.addEventListener("click", () => {
			const paused = this.#pause.getAttribute("aria-pressed") !== "true";
			this.#pause.setAttribute("aria-pressed", paused);
			this.#pause.textContent = t(paused ? "activity.resume" : "activity.pause");
			this.#later();
		});
	}

	/** Takes an event of the stream. */
	add(name, e) {
		const n = newsOf(name, e);
		if (!n) return;
		push(this.#all, n);
		const own = this.#room === null || n.jid === this.#room;
		if (this.#room !== null && own) push(this.#own, n);
		if (own) push(this.#news, n);
		this.#tally[name] = (this.#tally[name] ?? 0) + 1;
		this.#later();
		this.#sayTimer ||= setTimeout(() => this.#say(), sayEvery);
	}

	/**
	 * Takes events from before the page was opened.
	 * @param {object[]} events  the oldest first
	 * @param {?string} jid  of the room to which they belong; null for all rooms
	 */
	fill(events, jid) {
		if (jid !== null && jid !== this.#room) return;
		const into = jid === null ? this.#all : this.#own;
		const listed = new Set(into.map(identity));
		const older = events.filter(e => e.event !== "reset").map(e => newsOf(e.event, e)).filter(n => n && !listed.has(identity(n)));
		into.splice(0, into.length, ...[...older, ...into].sort((a, b) => a.at - b.at).slice(-kept));
		if (jid === this.#room) this.#redraw();
	}

	/** Shows the events of one room, or of all with null. */
	of(jid) {
		if (jid === this.#room) return;
		this.#room = jid;
		this.#own = this.#all.filter(n => n.jid === jid);
		this.#redraw();
	}

	/** Explains why there are no events. */
	explain(text) {
		this.#idle.textContent = text;
	}

	#later() {
		this.#timer ||= setTimeout(() => this.#draw(), Math.max(0, this.#drawnAt + drawEvery - performance.now()));
	}

	#draw() {
		this.#timer = 0;
		if (this.#pause.getAttribute("aria-pressed") === "true") return;
		this.#drawnAt = performance.now();
		const items = this.#news.map(n => item(n, this.#sharded())).reverse();
		this.#news = [];
		this.#list.prepend(...items);
		while (this.#list.children.length > kept) this.#list.lastChild.remove();
		this.#idle.hidden = this.#list.children.length > 0;
	}

	#redraw() {
		this.#news = [...this.#room === null ? this.#all : this.#own];
		this.#list.replaceChildren();
		this.#drawnAt = 0;
		this.#idle.hidden = this.#news.length > 0;
		this.#later();
	}

	#say() {
		this.#sayTimer = 0;
		const tally = this.#tally;
		this.#tally = {};
		if (this.#pause.getAttribute("aria-pressed") === "true") return;
		const said = Object.keys(icons).filter(name => tally[name] && name !== "reset").map(name => t(`said.${name}`, {n: tally[name]}));
		if (said.length > 0) this.#status.textContent = `${said.join(", ")}. ${this.#sum()}`;
	}
}

function item(n, sharded) {
	const time = element("time", {dateTime: new Date(n.at).toISOString(), textContent: minute(n.at), title: clock(n.at)});
	const text = element("p", {}, ...parts(`activity.${n.name}`, {who: n.name.startsWith("participant.") ? person(n.who) : "", room: n.jid ? room(n) : ""}));
	if (n.who !== undefined) text.append(muted(` · ${t("people", {n: n.people})}${sharded && n.shard ? ` · ${n.shard}` : ""}`));
	const li = element("li", {}, icon(icons[n.name]), text, time);
	li.dataset.event = n.name;
	if (n.jid) li.dataset.jid = n.jid;
	return li;
}

/** Returns an event as the list shows it, or null. */
function newsOf(name, e) {
	if (!icons[name] || e.occupant?.kind === "focus") return null; // focus comes and goes with each room
	const {written = ""} = e.room_jid ? newRoom(e) : {};
	const who = name.startsWith("participant.") ? e.occupant : undefined;
	return {name, at: Date.parse(e.time), jid: e.room_jid ?? null, written, who, people: e.participant_count, shard: e.shard ?? ""};
}

/** Tells events apart. */
const identity = n => `${n.at} ${n.name} ${n.jid} ${n.shard} ${n.who?.id}`;

/** Adds an event to a list of the last ones. */
function push(list, n) {
	list.push(n);
	if (list.length > kept) list.shift();
}

function person(who) {
	if (!who) return t("activity.person"); // this key may not see names
	const name = who.kind === "user" || who.name ? occupantName(who) : capital(kindName(who.kind));
	return element("bdi", {className: "who", textContent: name, title: name});
}

const capital = text => text.charAt(0).toUpperCase() + text.slice(1);

function room(n) {
	return element("a", {href: roomLink(n.jid), title: n.written}, element("bdi", {textContent: n.written}));
}

function muted(text) {
	return element("span", {className: "muted", textContent: text});
}
