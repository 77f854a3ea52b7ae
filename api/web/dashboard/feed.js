/** What happens: a quiet list for who looks, and now and again a sentence for who listens. */

import {clock, kindName, minute, number, roomTitle, several} from "./format.js";
import {occupantName} from "./room.js";
import {roomLink} from "./rooms.js";

const kept = 60;
const drawEvery = 500;     // nobody reads faster
const sayEvery = 15_000;

const verbs = {"participant.joined": "joined", "participant.left": "left", "room.started": "opened", "room.ended": "closed"};

export class Feed {
	#list = document.getElementById("feed");
	#idle = document.getElementById("feed-idle");
	#said = document.getElementById("said");
	#pause = document.getElementById("feed-pause");
	#news = [];
	#drawnAt = 0;
	#timer = 0;
	#room = null;
	#tally = {joined: 0, left: 0, opened: 0, closed: 0};
	#sayTimer = 0;
	#sum;

	/** @param {function(): string} sum  says how many rooms and people there are */
	constructor(sum) {
		this.#sum = sum;
		this.#pause.addEventListener("click", () => {
			const paused = this.#pause.getAttribute("aria-pressed") !== "true";
			this.#pause.setAttribute("aria-pressed", paused);
			this.#later();
		});
	}

	/** Takes an event of the stream. */
	add(name, e) {
		const verb = verbs[name];
		if (!verb && name !== "reset") return;
		const who = e.occupant;
		if (who?.kind === "focus") return; // who comes and goes with each room
		this.#news.push({name, verb, at: Date.parse(e.time), jid: e.room_jid ?? null, title: e.room_name ? roomTitle(e.room_name).written : "", who, people: e.participant_count});
		if (this.#news.length > kept) this.#news.shift();
		if (verb) this.#tally[verb]++;
		this.#later();
		this.#sayTimer ||= setTimeout(() => this.#say(), sayEvery);
	}

	/** Shows only what happens in one room, or all with null. */
	of(jid) {
		if (jid === this.#room) return;
		this.#room = jid;
		for (const item of this.#list.children) item.hidden = !this.#isShown(item.dataset.jid);
		this.#idle.hidden = [...this.#list.children].some(item => !item.hidden);
	}

	#isShown(jid) {
		return this.#room === null || jid === this.#room;
	}

	#later() {
		this.#timer ||= setTimeout(() => this.#draw(), Math.max(0, this.#drawnAt + drawEvery - performance.now()));
	}

	#draw() {
		this.#timer = 0;
		if (this.#pause.getAttribute("aria-pressed") === "true") return;
		this.#drawnAt = performance.now();
		const items = this.#news.map(n => this.#item(n)).reverse();
		this.#news = [];
		this.#list.prepend(...items);
		while (this.#list.children.length > kept) this.#list.lastChild.remove();
		this.#idle.hidden = [...this.#list.children].some(item => !item.hidden);
	}

	#item(n) {
		const item = document.createElement("li");
		item.dataset.event = n.name;
		if (n.jid) item.dataset.jid = n.jid;
		item.hidden = !this.#isShown(n.jid);
		const time = document.createElement("time");
		time.dateTime = new Date(n.at).toISOString();
		time.textContent = minute(n.at);
		time.title = clock(n.at);
		const text = document.createElement("p");
		if (n.name === "reset") {
			text.textContent = "All was read anew; what happened meanwhile isn’t listed.";
		} else if (n.verb === "opened" || n.verb === "closed") {
			text.append(room(n), ` ${n.verb}`);
		} else {
			text.append(person(n.who), ` ${n.verb} `, room(n), muted(` · ${number(n.people)} now`));
		}
		item.append(time, text);
		return item;
	}

	#say() {
		this.#sayTimer = 0;
		const {joined, left, opened, closed} = this.#tally;
		this.#tally = {joined: 0, left: 0, opened: 0, closed: 0};
		if (this.#pause.getAttribute("aria-pressed") === "true") return;
		const parts = [joined && `${number(joined)} joined`, left && `${number(left)} left`,
			opened && `${several(opened, "room", "rooms")} opened`, closed && `${number(closed)} closed`].filter(Boolean);
		if (parts.length > 0) this.#said.textContent = `${parts.join(", ")}. ${this.#sum()}`;
	}
}

function person(who) {
	if (!who) return "Somebody"; // whose name this key may not know
	const name = document.createElement("bdi");
	name.className = "who";
	name.textContent = who.kind === "user" || who.name ? occupantName(who) : `A ${kindName(who.kind)}`;
	name.title = name.textContent;
	return name;
}

function room(n) {
	const a = document.createElement("a");
	a.href = roomLink(n.jid);
	a.append(Object.assign(document.createElement("bdi"), {textContent: n.title}));
	a.title = n.title;
	return a;
}

function muted(text) {
	return Object.assign(document.createElement("span"), {className: "muted", textContent: text});
}
