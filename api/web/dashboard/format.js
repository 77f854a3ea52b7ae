/**
 * How names, numbers and times are written. Nothing here touches the document.
 *
 * Names are hostile text: whoever enters a room chooses them. They reach the document by textContent alone,
 * inside <bdi>, and with what can't be seen made visible.
 */

const counted = new Intl.NumberFormat();
const clockTime = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit", second: "2-digit"});
const minuteTime = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit"});
const dayTime = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "medium"});

/** What stands for a value that isn't known. Never a 0. */
export const unknown = "—";

/** @param {?number} n  null for unknown */
export const number = n => n === null ? unknown : counted.format(n);

/** @returns "1 room", "2 rooms" */
export const several = (n, one, many) => `${number(n)} ${n === 1 ? one : many}`;

/** @returns {?number} milliseconds since 1970 for a timestamp of the API, null for none */
export const moment = stamp => stamp ? Date.parse(stamp) : null;

/** A time of day in the viewer's zone, with the date where it isn't today's. */
export function clock(ms) {
	return new Date(ms).toDateString() === new Date().toDateString() ? clockTime.format(ms) : dayTime.format(ms);
}

export const minute = ms => minuteTime.format(ms);
export const dated = ms => dayTime.format(ms);

/** A duration as people say it, in two units at most. */
export function span(ms) {
	const s = Math.max(0, Math.floor(ms / 1000));
	if (s < 60) return `${s}s`;
	const m = Math.floor(s / 60);
	if (m < 60) return `${m}m`;
	const h = Math.floor(m / 60);
	if (h < 24) return `${h}h ${m % 60}m`;
	return `${Math.floor(h / 24)}d ${h % 24}h`;
}

// Format characters without a look of their own, line ends and the rest of what Unicode calls control. Not among them
// are the two that join letters or the parts of an emoji, and those of Arabic script that are drawn.
const unseen = /(?![\u200c\u200d\u0600-\u0605\u06dd\u070f\u08e2])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Text that somebody wrote, with each character shown that could not be seen, or would turn the direction of others. */
export function visible(text) {
	return text.replace(unseen, c => {
		const code = c.codePointAt(0);
		if (code < 0x20) return String.fromCodePoint(0x2400 + code); // U+2400 and on are pictures of these
		if (code === 0x7f) return "\u2421";
		return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
	});
}

// Blanks, and letters that are drawn as blanks.
const blank = /^[\s\u115f\u1160\u2800\u3164\uffa0]*$/u;

/** Whether a name would be seen as none. */
export const isBlank = text => blank.test(text);

/**
 * A room's name as people write it: its tenant apart, and percent-encoded only where it would be another room's else, or could not be seen.
 * What is shown as written finds the room wherever PPCH asks for one. On another domain than the main one that takes the domain,
 * and a slash where the rest isn't the JID itself.
 * @param {string} name  room_name of the API, or a JID
 * @param {string} [main]  the main domain, without which the JID of a room there is shown as such
 * @returns {{tenant: string, title: string, written: string}}
 */
export function roomTitle(name, main = "") {
	const at = name.indexOf("@");
	let domain = at < 0 ? "" : name.slice(at);
	const [, group = "", rest] = /^(?:\[([^\]]*)\](?=.))?(.*)$/su.exec(at < 0 ? name : name.slice(0, at));
	const tenant = visible(group);
	const title = [plain(rest, ""), plain(rest, "%")].find(text => localpart(text) === rest);
	if (domain === `@${main}` && title) domain = "";
	if (!title || domain && !rest.includes("%")) return {tenant, title: visible(name), written: visible(name)};
	const written = `${group && encodeUnseen(group)}${group || domain ? "/" : ""}${title}${domain}`;
	return {tenant, title: domain ? written : title, written};
}

// What joins letters, or parts of an emoji, where there are such.
const joiner = /^[\u200c\u200d]$/u;
const seen = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u;
const drawnAsNothing = /^[\u115f\u1160\u2800\u3164\uffa0\ufffd]$/u;

/** Decodes part of a link but for what would mean something else then, and for what can't be seen. */
function plain(part, keep) {
	return encodeUnseen(decoded(part), `:?#[]@!$&'()*+,;=/\\${keep}`);
}

function encodeUnseen(text, also = "") {
	const characters = [...text];
	return characters.map((c, i) => {
		const last = characters[i - 1] ?? " ", next = characters[i + 1] ?? " ";
		const shown = c === " " ? last !== " " && next !== " "
			: joiner.test(c) ? last > "\u007f" && next > "\u007f"
			: seen.test(c) && !drawnAsNothing.test(c);
		return shown && !also.includes(c) ? c : encodeURIComponent(c).replace(/[!'()*]/gu, c => `%${c.charCodeAt(0).toString(16)}`).toLowerCase();
	}).join("");
}

/** The localpart of the room to which a link leads that holds nothing that Jitsi would delete from it; null for more marks in a row than PPCH reads. */
function localpart(link) {
	const browsed = link.replace(/[^!-~]+|["<>^`{|}]/gu, encodeURIComponent);
	const name = decoded(browsed).normalize("NFKC").toLowerCase();
	return /\p{M}{30}/u.test(name.normalize("NFKD")) ? null : encodeURIComponent(name).toLowerCase();
}

/** What a percent-encoded text says. */
export function decoded(text) {
	try {
		return decodeURIComponent(text);
	} catch {
		return text; // a % that encodes nothing
	}
}

/**
 * What text is sorted by: letters without their marks and case, and numbers by their value.
 * Comparing such keys is many times as fast as Intl.Collator, which would take a tenth of a second for 10,000 rooms.
 */
export function sortKey(text) {
	return text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase().replace(/\d+/gu, d => d.padStart(12, "0"));
}

const kinds = {
	user: ["person", "people"],
	sip: ["caller", "callers"],
	sip_video: ["room system", "room systems"],
	focus: ["focus", "focus"],
	recorder: ["recorder", "recorders"],
	transcriber: ["transcriber", "transcribers"],
	hidden: ["hidden", "hidden"],
	visitor: ["visitor", "visitors"],
};

/** The kinds that participant_count counts. */
export const isPerson = kind => kind === "user" || kind === "sip" || kind === "sip_video";

/** A kind in words; one that a later version tells is shown as it is. */
export const kindName = (kind, n = 1) => kinds[kind]?.[n === 1 ? 0 : 1] ?? kind;

/** Who is in a room without being counted, in words. Focus is in each room of Jitsi's and worth no word. */
export function others(counts) {
	return Object.entries(counts ?? {})
		.filter(([kind, n]) => n > 0 && kind !== "focus" && !isPerson(kind))
		.map(([kind, n]) => `${number(n)} ${kindName(kind, n)}`)
		.join(", ");
}
