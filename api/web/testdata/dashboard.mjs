// Tests the dashboard's modules without a browser. Arguments: the folder with the modules, and the catalogue of the English texts.
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";

globalThis.document = {baseURI: "http://ppch/dashboard/"};
globalThis.window = new EventTarget();
const load = name => import(pathToFileURL(`${process.argv[2]}/${name}`));
const {follow, Parser} = await load("stream.js");
const {askHealth, askJSON} = await load("ask.js");
const {poll} = await load("poll.js");
const {visitorsElsewhere} = await load("record.js");
const {Store} = await load("store.js");
const {by, Order} = await load("order.js");
const {firstPeople, newOccupant, newRoom, setFacts} = await load("record.js");
const {Recent} = await load("recent.js");
const {isBlank, kindOf, notCounted, roomTitle, sortKey, span, visible} = await load("format.js");
const {parts, preferred, t, useLanguage} = await load("language.js");
const english = JSON.parse(readFileSync(process.argv[3], "utf8"));
useLanguage("en", "en", english);

assert.equal(kindOf(newOccupant({id: "1", name: "Minutes", kind: "hidden", rule: "bots\u202e"})), "hidden (bots⟨U+202E⟩)");
assert.equal(kindOf(newOccupant({id: "1", name: "Ada", kind: "sip"})), "caller");

let seed = 20261122;
const random = n => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % n;

/** Reads a stream in pieces of such sizes. */
function read(text, size) {
	const events = [], place = {id: "", held: false};
	const parser = new Parser((name, data) => events.push([name, data]), place);
	for (let at = 0; at < text.length;) {
		const next = at + size();
		for (let more = parser.take(text.slice(at, next)); more; more = parser.take("")) parser.rested();
		at = next;
	}
	return {events, id: place.id};
}

const ago = seconds => new Date(Date.now() - seconds * 1000).toISOString();
const facts = {type: "main", created_at: null, subject: null, password_protected: false, members_only: false, visitors: 0, lobby_jid: null, breakout_rooms: []};
const status = (domain, live, more = {}) => ({event: "status", domain, live, status: live ? "ok" : "error: fix it", reason: null, as_of: new Date().toISOString(), ...more});
const room = (n, people, more = {}) => ({
	room_jid: `room${n}@muc.x`, room_name: `room${n}`, parent_room_jid: null, participant_count: people.length, counts: {user: people.length}, facts, continues: false,
	occupants: people.map(id => ({id, name: `Name of ${id}`, kind: "user", role: "participant", joined_at: null, hand_raised: false})), ...more,
});
const snapshot = (rooms, {part = 1, last = true, known = true} = {}) =>
	({event: "snapshot", part, last, domains: [{domain: "muc.x", known, as_of: known ? new Date().toISOString() : null}], rooms});

let hurry;

/** Has the page's requests answered, one after the other and without waits between. */
function answering(answer) {
	globalThis.fetch = async (url, how) => answer(url, how);
	hurry ??= setInterval(() => window.dispatchEvent(new Event("ppch:now")), 1);
}

/** Leaves the page's requests without an answer, and has its patience end at once. */
function neverAnswering() {
	AbortSignal.timeout = () => AbortSignal.abort();
	answering((url, {signal}) => new Promise((_, fail) => signal?.aborted ? fail(signal.reason) : signal?.addEventListener("abort", () => fail(signal.reason))));
}

function followed(rooms) {
	const store = new Store();
	store.apply("status", status("muc.x", true));
	store.apply("snapshot", snapshot(rooms));
	return store;
}

const tests = {
	"a stream is the same in any chunks"() {
		const text = 'retry: 2000\n\nid: a-1\nevent: status\ndata: {"a":"é\\n"}\n\n: keep-alive\nid: a-2\n\nevent: room.ended\r\ndata: {"b":\r\ndata: 2}\r\n\r\nid: a-3\n\n';
		const whole = read(text, () => text.length);
		assert.deepEqual(whole, {events: [["status", {a: "é\n"}], ["room.ended", {b: 2}]], id: "a-3"});
		for (let size = 1; size < 9; size++) assert.deepEqual(read(text, () => size), whole);
		for (let i = 0; i < 100; i++) assert.deepEqual(read(text, () => 1 + random(12)), whole);
	},

	"no client resumes between a reset and the end of the following snapshot"() {
		const part = last => `event: snapshot\ndata: {"last":${last}}\n\n`;
		assert.equal(read("id: 4\nevent: status\ndata: {}\n\nid: 5\nevent: reset\ndata: {}\n\n", () => 100).id, "");
		assert.equal(read(`id: 5\nevent: reset\ndata: {}\n\n${part(false)}: keep-alive\nid: 6\n\n`, () => 100).id, "");
		assert.equal(read(`id: 5\nevent: reset\ndata: {}\n\n${part(false)}id: 7\n${part(true)}`, () => 100).id, "7");
		assert.equal(read(`${part(false)}id: 7\n\n`, () => 100).id, "");
	},

	"totals are always the sum of the rooms"() {
		const store = followed([]);
		const truth = new Map();
		for (let turn = 0; turn < 3000; turn++) {
			const n = random(20), people = truth.get(n), id = `p${random(6)}`;
			const tell = (name, occupant = null) => store.apply(name, {...room(n, truth.get(n) ?? []), occupant: occupant && room(n, [occupant]).occupants[0], facts: name === "room.started" ? facts : null});
			if (!people) {
				truth.set(n, []);
				tell("room.started");
			} else if (people.includes(id)) {
				truth.set(n, people.filter(p => p !== id));
				tell("participant.left", id);
			} else if (random(5) === 0) {
				truth.delete(n);
				tell("room.ended");
			} else {
				truth.set(n, [...people, id]);
				tell("participant.joined", id);
			}
			if (turn % 500 === 499) store.apply("snapshot", snapshot([...truth].map(([m, ids]) => room(m, ids))));
			assert.deepEqual(store.total("main"), {rooms: truth.size, people: [...truth.values()].flat().length, visitors: 0, unsure: 0});
			for (const [m, ids] of truth) assert.deepEqual([...store.rooms.get(`room${m}@muc.x`).occupants.keys()].sort(), [...ids].sort());
		}
	},

	"a snapshot in parts replaces what was known, and totals wait for its last part"() {
		const store = new Store();
		store.apply("status", status("muc.x", true));
		store.apply("snapshot", snapshot([room(1, ["a"], {continues: true})], {last: false}));
		assert.equal(store.total("main"), null);
		store.apply("snapshot", snapshot([room(1, ["b"]), room(2, ["c"])], {part: 2}));
		assert.deepEqual([...store.rooms.get("room1@muc.x").occupants.keys()], ["a", "b"]);
		store.apply("snapshot", snapshot([room(2, ["d"])], {last: false}));
		assert.equal(store.total("main"), null);
		store.apply("snapshot", snapshot([], {part: 2}));
		assert.deepEqual([...store.rooms.keys()], ["room2@muc.x"]);
		assert.equal(store.total("main").people, 1);
		assert.deepEqual([...store.rooms.get("room2@muc.x").occupants.keys()], ["d"]);
	},

	"visitors that focus hasn't counted yet are unknown, and those in the room count once"() {
		const visitors = n => ({facts: {...facts, visitors: n}});
		const store = followed([room(1, [], visitors(null)), room(2, [], visitors(5)), room(3, [], {...visitors(2), counts: {visitor: 2}})]);
		assert.deepEqual(store.total("main"), {rooms: 3, people: 0, visitors: 7, unsure: 1});
		assert.deepEqual([1, 2, 3].map(n => visitorsElsewhere(store.rooms.get(`room${n}@muc.x`))), [null, 5, 0]);
		store.apply("room.updated", room(1, [], visitors(0)));
		assert.deepEqual(store.total("main"), {rooms: 3, people: 0, visitors: 7, unsure: 0});
	},

	"visitors are unknown while a visitor node is, and known again without an event for each room"() {
		const node = (shard, live, more = {}) => status(`muc.${shard}.x`, live, {shard, kind: "visitors", visitors_of: ["muc.x"], ...more});
		const visitors = (n, watched) => ({facts: {...facts, visitors: n, visitors_watched: watched}});
		const store = followed([]);
		const seen = () => [store.total("main").visitors, store.total("main").unsure, ...[1, 2].map(n => visitorsElsewhere(store.rooms.get(`room${n}@muc.x`)))];
		store.apply("status", node("v1", true));
		store.apply("status", node("v2", false));
		store.apply("snapshot", snapshot([room(1, [], visitors(null, 2)), room(2, [], visitors(null, 0))]));
		assert.deepEqual(seen(), [0, 2, null, null]);
		assert.deepEqual(store.nodes.unknown, ["v2"]);
		assert.ok(store.live); // participants are known
		store.take();
		store.apply("status", node("v2", true));
		assert.deepEqual(seen(), [2, 0, 2, 0]);
		assert.deepEqual([...store.take()].sort(), ["room1@muc.x", "room2@muc.x"]);
		store.apply("status", node("v1", true, {as_of: ago(1)}));
		assert.ok(!store.hasChanged);
		store.apply("status", node("v1", false));
		assert.deepEqual(seen(), [0, 2, null, null]);
		store.apply("room.updated", room(1, [], visitors(null, 5)));
		store.apply("status", node("v1", true));
		assert.deepEqual(seen(), [5, 0, 5, 0]);
		store.apply("reset", {event: "reset", reason: "retired", shard: "v1", domain: "muc.v1.x"});
		store.apply("status", node("v2", false, {visitors_of: []})); // of another Jitsi now
		store.apply("snapshot", snapshot([room(1, [], visitors(7)), room(2, [], visitors(null))]));
		assert.deepEqual(seen(), [7, 1, 7, null]);
		assert.deepEqual(store.nodes.all, []);
	},

	"visitors of a room on two shards count once"() {
		const store = new Store();
		for (const shard of ["a", "b"]) store.apply("status", status("muc.x", true, {shard}));
		store.apply("status", status("muc.v1.x", true, {shard: "v1", kind: "visitors", visitors_of: ["muc.x"]}));
		const domains = ["a", "b"].map(shard => ({shard, domain: "muc.x", known: true, as_of: new Date().toISOString()}));
		const on = shard => room(1, [], {shard, facts: {...facts, visitors: 3, visitors_watched: 3}});
		store.apply("snapshot", {...snapshot([on("a"), on("b")]), domains});
		assert.equal(store.total("main").visitors, 3);
	},

	"a shard that was retired is not missed"() {
		for (const reset of [{reason: "retired", shard: "b", domain: "muc.x"}, {reason: "slow-consumer", shard: null, domain: null}]) {
			const store = new Store();
			store.apply("status", status("muc.x", true, {shard: "a"}));
			store.apply("status", status("muc.x", false, {shard: "b"}));
			const domains = [{shard: "a", domain: "muc.x", known: true, as_of: new Date().toISOString()}];
			store.apply("reset", {event: "reset", ...reset});
			if (!reset.shard) store.apply("status", status("muc.x", true, {shard: "a"}));
			store.apply("snapshot", {...snapshot([]), domains});
			assert.ok(store.live);
			assert.deepEqual(store.total("main"), {rooms: 0, people: 0, visitors: 0, unsure: 0});
		}
	},

	"a room on two shards is one, with the people of both"() {
		const store = new Store();
		const on = (shard, doc) => ({...doc, shard});
		for (const shard of ["a", "b"]) store.apply("status", on(shard, status("muc.x", true)));
		const domains = ["a", "b"].map(shard => ({shard, domain: "muc.x", known: true, as_of: new Date().toISOString()}));
		store.apply("snapshot", {...snapshot([on("a", room(1, ["x"], {continues: true})), on("a", room(1, ["y"])), on("b", room(1, ["x"]))]), domains});
		const seen = () => {
			const {people, parts, occupants} = store.rooms.get("room1@muc.x");
			return [people, parts?.map(p => p.shard).join("+"), occupants.size, store.total("main").rooms, store.total("main").people];
		};
		// The snapshot has all numbers in the first piece of a room; here that is one.
		assert.deepEqual(seen(), [2, "a+b", 3, 1, 2]);
		store.apply("participant.joined", on("b", {...room(1, ["x", "z"]), facts: null, occupant: {id: "z", name: "Z", kind: "user"}}));
		assert.deepEqual(seen(), [3, "a+b", 4, 1, 3]);
		store.apply("room.ended", on("a", {...room(1, []), facts: null, occupant: null}));
		assert.deepEqual(seen(), [2, undefined, 2, 1, 2]);
		store.apply("status", on("a", status("muc.x", false, {as_of: ago(16)})));
		assert.equal(store.total("main"), null);
		assert.deepEqual(store.unknownShards("muc.x"), ["a"]);
	},

	"what isn't known is null and never 0"() {
		const store = followed([room(1, ["a"])]);
		assert.equal(store.total("main").people, 1);
		assert.equal(store.total("lobby"), null);
		store.apply("status", status("muc.x", false));
		assert.equal(store.total("main").people, 1); // for a moment, with its age
		store.apply("status", status("muc.x", false, {as_of: ago(16)}));
		assert.equal(store.total("main"), null);
		store.apply("status", status("muc.x", true));
		store.silentSince = Date.now() - 16_000;
		assert.equal(store.total("main"), null);
		store.silentSince = null;
		store.apply("snapshot", snapshot([], {known: false}));
		assert.equal(store.total("main"), null);
		store.apply("snapshot", snapshot([]));
		assert.equal(store.total("main").people, 0);
	},

	"old numbers are shown as long as the service shows them, independent of the viewer's clock"() {
		for (const skew of [-3600, 0, 3600]) {
			const store = followed([room(1, ["a"])]);
			const stale = seconds => status("muc.x", false, {time: ago(skew), as_of: ago(skew + seconds), max_staleness_seconds: 60});
			store.apply("status", stale(50));
			assert.equal(store.total("main")?.people, 1, `${skew}`);
			store.apply("status", stale(61));
			assert.equal(store.total("main"), null, `${skew}`);
			store.apply("status", status("muc.x", true));
			store.silentSince = Date.now() - 50_000;
			assert.equal(store.total("main").people, 1);
			store.silentSince = Date.now() - 61_000;
			assert.equal(store.total("main"), null);
		}
	},

	"rooms without names have none"() {
		const store = followed([room(1, ["a"], {occupants: null})]);
		assert.equal(store.named, false);
		store.apply("participant.joined", {...room(1, ["a", "b"]), occupant: null, facts: null});
		assert.equal(store.rooms.get("room1@muc.x").people, 2);
		assert.equal(store.rooms.get("room1@muc.x").occupants, null);
	},

	async "a key is given up where the service itself refuses it, and not where something else answers"() {
		const refuse = (status, code) => new Response(code ? JSON.stringify({code, detail: "No."}) : "<h1>No.</h1>", {status});
		for (const [answers, ends, lost] of [
			[[refuse(404), refuse(401), refuse(403, "key-expired")], "key-expired", ["not-ppch", "not-ppch"]],
			[[refuse(429, "too-many-requests"), refuse(503, "too-many-streams"), refuse(403, "scope-missing")], "scope-missing", ["too-many-requests", "too-many-streams"]],
		]) {
			const seen = [];
			answering(() => answers.shift());
			const problem = await follow({path: "api/events", key: "k", signal: new AbortController().signal, onLost: p => seen.push(p.code), onOpen() {}, onEvent() {}});
			assert.deepEqual([problem.code, seen], [ends, lost]);
		}
		const health = () => new Response(`{"domains": [], "shards": []}`);
		const answers = [health(), refuse(403), health(), refuse(401, "wrong-key")], seen = [];
		answering(() => answers.shift());
		const problem = await poll({key: "k", store: new Store(), signal: new AbortController().signal, room: () => null, onRound() {}, onLost: p => seen.push(p.code)});
		assert.deepEqual([problem.code, seen], ["wrong-key", ["not-ppch"]]);
	},

	async "an error while handling an event loads everything again"() {
		const asked = [];
		answering((url, {headers}) => {
			asked.push(headers["Last-Event-ID"]);
			return asked.length > 2
				? new Response(`{"code": "wrong-key"}`, {status: 403})
				: new Response("id: 1\nevent: status\ndata: {}\n\nid: 2\nevent: room.ended\ndata: {}\n\n", {headers: {"Content-Type": "text/event-stream"}});
		});
		let count = 0;
		const onEvent = () => {
			if (++count === 4) null.fails;
		};
		const said = console.error;
		console.error = () => {};
		await follow({path: "api/events", key: "k", signal: new AbortController().signal, onLost() {}, onOpen() {}, onEvent});
		console.error = said;
		assert.deepEqual(asked, [undefined, "2", undefined]);
	},

	async "asking gives up on what never answers"() {
		neverAnswering();
		await assert.rejects(askJSON("api/stats/history", {key: "k"}), {name: "AbortError"});
		await assert.rejects(askHealth(), {name: "AbortError"});
	},

	async "asking again and again gives up on what never answers"() {
		const store = followed([room(1, ["a"])]), stop = new AbortController();
		neverAnswering();
		const seen = [];
		await poll({key: "k", store, signal: stop.signal, room: () => null, onRound() {}, onLost: p => {
			seen.push(p.code);
			stop.abort();
		}});
		assert.deepEqual(seen, ["no-answer"]);
	},

	"an order that is kept is the order of all"() {
		const compare = by("-people", "key");
		const keep = item => item.people < 8;
		const all = new Map();
		const order = new Order(compare);
		order.reset([], compare, keep);
		for (let turn = 0; turn < 500; turn++) {
			const changed = new Set();
			for (let i = random(6); i >= 0; i--) {
				const key = `k${random(60)}`;
				changed.add(key);
				if (random(4) === 0) all.delete(key);
				else all.set(key, {key, people: random(10) || null});
			}
			order.update(item => changed.has(item.key), [...changed].map(key => all.get(key)).filter(Boolean));
			assert.deepEqual(order.items, [...all.values()].filter(keep).sort(compare));
		}
	},

	"names are shown as they are, and what can't be seen is"() {
		assert.equal(visible("a\u0000b\u001b\u007f"), "a␀b␛␡");
		assert.equal(visible("\u202eevil\u2069\u200b\u2028"), "⟨U+202E⟩evil⟨U+2069⟩⟨U+200B⟩⟨U+2028⟩");
		assert.equal(visible("👩‍🚀 می‌خواهم <b>&amp;"), "👩‍🚀 می‌خواهم <b>&amp;");
		assert.deepEqual([" ", "\u3164\u2800", "", "x"].map(isBlank), [true, true, true, false]);
		assert.deepEqual(roomTitle("acme/stand up", "acme"), {tenant: "acme", title: "stand up", written: "acme/stand up"});
		assert.deepEqual(roomTitle("[acme]stand up", "acme"), {tenant: "acme", title: "stand up", written: "[acme]stand up"});
		assert.deepEqual(roomTitle("stand up", null), {tenant: "", title: "stand up", written: "stand up"});
		assert.deepEqual(roomTitle("acme/", "acme"), {tenant: "", title: "acme/", written: "acme/"});
		assert.deepEqual(roomTitle("null/x", null), {tenant: "", title: "null/x", written: "null/x"});
		assert.deepEqual(roomTitle("\u202egnp", null).title, "⟨U+202E⟩gnp");
		assert.deepEqual(["room10", "Éa", "room9", "eb"].sort((a, b) => sortKey(a) < sortKey(b) ? -1 : 1), ["Éa", "eb", "room9", "room10"]);
		assert.deepEqual([59_999, 60_000, 7_500_000, 90_000_000].map(span), ["59s", "1m", "2h 5m", "1d 1h"]);
	},

	"texts follow the number and take values as text or as nodes"() {
		assert.deepEqual([0, 1, 1234].map(n => t("people", {n})), ["0 people", "1 person", "1,234 people"]);
		assert.deepEqual(parts("activity.participant.joined", {who: {node: 1}, room: "planning"}), [{node: 1}, " joined ", "planning"]);
		assert.deepEqual(parts("activity.participant.left", {who: "{room}", room: "<b>"}), ["{room}", " left ", "<b>"]);
		assert.equal(t("no.such.key"), "no.such.key");
		assert.equal(notCounted({user: 3, focus: 1, recorder: 1, visitor: 2, alien: 4}), "1 recorder, 2 visitors, 4 alien");
		useLanguage("fr", "fr-CH", {people: {one: "{n} personne", other: "{n} personnes"}});
		assert.deepEqual([0, 1, 2].map(n => t("people", {n})), ["0 personne", "1 personne", "2 personnes"]);
		useLanguage("en", "en", english);
	},

	"the language is the viewer's choice, else the first of the browser's that exists"() {
		assert.deepEqual(preferred(null, ["pt-BR", "de-CH", "fr"]), {language: "de", locale: "de-CH"});
		assert.deepEqual(preferred("es", ["de"]), {language: "es", locale: "es"});
		assert.deepEqual(preferred("constructor", ["xx"]), {language: "en", locale: "en"});
		assert.deepEqual(preferred(null, []), {language: "en", locale: "en"});
	},

	"the first people are those who came first"() {
		const r = newRoom({room_jid: "a@x", room_name: "a"});
		assert.deepEqual(firstPeople(r, 3), []);
		r.occupants = new Map([["c", 30], ["a", 10], ["x", null], ["b", 20], ["d", 40]].map(([name, since]) => [name, {name, since, kind: "user"}]));
		r.occupants.set("f", {name: "focus", since: 1, kind: "focus"}).set("n", {name: " ", since: 2, kind: "user"});
		assert.deepEqual(firstPeople(r, 3).map(o => o.name), ["a", "b", "c"]);
		assert.deepEqual(firstPeople(r, 9).map(o => o.name), ["a", "b", "c", "d", "x"]);
	},

	"a room's tenant is not in its title"() {
		const r = newRoom({room_jid: "[acme]x@m", room_name: "[acme]x", display_name: "acme/x", meeting_url: "javascript:alert(1)"});
		assert.deepEqual([r.title, r.tenant, r.link], ["acme/x", "", null]);
		setFacts(r, {...facts, tenant: "acme"});
		assert.deepEqual([r.title, r.tenant, r.written, r.titleKey], ["x", "acme", "acme/x", "x"]);
		assert.equal(newRoom({room_jid: "x@m", room_name: "x", meeting_url: "https://meet.x/x"}).link, "https://meet.x/x");
	},

	"a room's last hour is what its events say, with gaps where they are missing"() {
		const now = Date.now(), at = minutes => now - minutes * 60_000, time = minutes => new Date(at(minutes)).toISOString();
		const event = (name, minutes, people, kind = "user", jid = "a@m") => ({event: name, time: time(minutes), room_jid: jid, participant_count: people, occupant: {id: "x", kind}});
		const steps = (recent, of, since = Infinity) => recent.of({jid: "a@m", created: null, ...of}, since, now).map(s => [Math.round((now - s.at) / 60_000), s.value]);
		const recent = new Recent();
		assert.deepEqual(steps(recent, {people: 3}), [[0, 3], [0, 3]]);
		recent.add("participant.joined", event("participant.joined", 2, 3));
		recent.add("participant.joined", event("participant.joined", 1, 9, "user", "b@m"));
		assert.deepEqual(steps(recent, {people: 3}), [[2, 2], [2, 3], [0, 3]]);
		recent.fill({since: time(15), events: [event("participant.left", 10, 1), event("participant.joined", 5, 2), event("participant.joined", 2, 3)]}, "a@m");
		assert.deepEqual(steps(recent, {people: 3}, at(15)), [[15, 2], [10, 1], [5, 2], [2, 3], [0, 3]]);
		assert.deepEqual(steps(recent, {people: 3, created: at(12)}, at(15)), [[12, 0], [10, 1], [5, 2], [2, 3], [0, 3]]);
		recent.add("reset", {time: time(1)});
		assert.deepEqual(steps(recent, {people: 4}, at(15)).slice(-2), [[1, null], [0, 4]]);
		const other = new Recent();
		other.fill({since: time(90), events: [event("participant.joined", 70, 1), event("participant.joined", 30, 2, "focus")]}, null);
		assert.deepEqual(steps(other, {people: 2}), [[60, 2], [30, 2], [0, 2]]);
		const split = new Recent();
		split.add("participant.joined", {...event("participant.joined", 20, 3), shard: "a"});
		split.add("participant.left", {...event("participant.left", 10, 1), shard: "b"});
		const parts = [{shard: "a", people: 3}, {shard: "b", people: 1}];
		assert.deepEqual(steps(split, {people: 4, parts}, at(30)), [[30, 4], [20, 5], [10, 4], [0, 4]]);
	},
};

for (const [name, test] of Object.entries(tests)) {
	try {
		await Promise.race([test(), new Promise((_, fail) => setTimeout(fail, 10_000, new Error("it takes too long")))]);
	} catch (err) {
		console.error(`${name}: ${err.stack}`);
		process.exitCode = 1;
	}
}
process.exit(); // the modules keep a message channel open, as long as there is a page
