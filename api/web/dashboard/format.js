/**
 * How names, numbers and times are written. Nothing here touches the document.
 *
 * Names are hostile text, since anyone who enters a room chooses one. They reach the document only as textContent,
 * inside <bdi>, with invisible characters made visible.
 */

import {digits, hasText, t, used} from "./language.js";

// Narrow units are usual in English only: German would have "1h 5 Min.".
const unit = name => locale => new Intl.NumberFormat(locale, {style: "unit", unit: name, unitDisplay: used.language === "en" ? "narrow" : "short"});

const makers = {
	// By default, some locales write "2:05" but "Mo., 02:05".
	early: locale => new Intl.DateTimeFormat(locale, {timeStyle: "short"}).format(new Date(2026, 0, 1, 2)),
	clock: locale => new Intl.DateTimeFormat(locale, {...time(), second: "2-digit"}),
	minute: locale => new Intl.DateTimeFormat(locale, time()),
	day: locale => new Intl.DateTimeFormat(locale, {weekday: "short", day: "numeric", month: "short", ...time()}),
	weekday: locale => new Intl.DateTimeFormat(locale, {weekday: "short", ...time()}),
	date: locale => new Intl.DateTimeFormat(locale, {day: "numeric", month: "short"}),
	yearly: locale => new Intl.DateTimeFormat(locale, {dateStyle: "medium", timeStyle: "short"}),
	dated: locale => new Intl.DateTimeFormat(locale, {dateStyle: "medium", timeStyle: "medium"}),
	d: unit("day"), h: unit("hour"), m: unit("minute"), s: unit("second"),
};

const time = () => ({hour: format("early").startsWith("0") ? "2-digit" : "numeric", minute: "2-digit"});

let made = {locale: ""};

/** A format of the page's language. Each is made when it is first used: all together would take longer than the first rows. */
function format(name) {
	const {locale} = used;
	if (made.locale !== locale) made = {locale};
	return made[name] ??= makers[name](locale);
}

/** Makes the formats of the list of rooms. */
export function prepare() {
	for (const name of ["dated", "d", "h", "m", "s"]) format(name);
}

/** Stands for an unknown value, which is never 0. */
export const unknown = "—";

/** @param {?number} n  null for unknown */
export const number = n => n === null ? unknown : digits(n);

/** @returns {?number} milliseconds since 1970 for a timestamp of the API, null for none */
export const moment = stamp => stamp ? Date.parse(stamp) : null;

/** A time of day in the viewer's zone, with the date unless that is today. */
export function clock(ms) {
	const today = new Date(ms).toDateString() === new Date().toDateString();
	return format(today ? "clock" : "dated").format(ms);
}

/** A time of day without seconds, with the date unless that is today. */
export const hour = ms => new Date(ms).toDateString() === new Date().toDateString() ? minute(ms) : dayTime(ms);

export const minute = ms => format("minute").format(ms);
export const dated = ms => format("dated").format(ms);

/** A time to the minute, with its day, and the year unless that is the present one. */
export const dayTime = ms => format(new Date(ms).getFullYear() === new Date().getFullYear() ? "day" : "yearly").format(ms);

/** A time of the last days, without a date. */
export const recent = ms => new Date(ms).toDateString() === new Date().toDateString() ? minute(ms) : format("weekday").format(ms);

/** A day without its year. */
export const day = ms => format("date").format(ms);

/** A duration in at most two units. */
export function span(ms) {
	const write = (name, n) => format(name).format(n);
	const seconds = Math.max(0, Math.floor(ms / 1000));
	if (seconds < 60) return write("s", seconds);
	const minutes = Math.floor(seconds / 60);
	if (minutes < 60) return write("m", minutes);
	const hours = Math.floor(minutes / 60);
	if (hours < 24) return `${write("h", hours)} ${write("m", minutes % 60)}`;
	return `${write("d", Math.floor(hours / 24))} ${write("h", hours % 24)}`;
}

/** A duration that may be known within bounds only. */
export const spans = (min, max) => span(min) === span(max) ? span(min) : `${span(min)} – ${span(max)}`;

// Invisible format characters, line ends and other control characters, except the two that join letters or parts of an emoji,
// and those of Arabic script that have a glyph.
const unseen = /(?![\u200c\u200d\u0600-\u0605\u06dd\u070f\u08e2])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Text with its invisible characters, and those that change the direction of others, made visible. */
export function visible(text) {
	return text.replace(unseen, c => {
		const code = c.codePointAt(0);
		if (code < 0x20) return String.fromCodePoint(0x2400 + code); // U+2400 and on are pictures of these
		if (code === 0x7f) return "\u2421";
		return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
	});
}

// Blanks, and letters that look like blanks.
const blank = /^[\s\u115f\u1160\u2800\u3164\uffa0]*$/u;

/** Reports whether a name looks empty. */
export const isBlank = text => blank.test(text);

/**
 * A room's name in two parts: its tenant, which may be "", and the rest.
 * @param {string} name  display_name of the API, which finds the room when given back
 * @param {?string} tenant
 * @returns {{tenant: string, title: string, written: string}} written is the whole name
 */
export function roomTitle(name, tenant) {
	const written = visible(name);
	const prefix = [`${tenant}/`, `[${tenant}]`].find(p => name.startsWith(p) && name.length > p.length);
	return tenant && prefix ? {tenant: visible(tenant), title: visible(name.slice(prefix.length)), written} : {tenant: "", title: written, written};
}

/** Decodes percent-encoded text. */
export function decoded(text) {
	try {
		return decodeURIComponent(text);
	} catch {
		return text; // a % that encodes nothing
	}
}

/**
 * Returns the key by which text is sorted: letters without marks and case, and numbers by value.
 * Comparing such keys is many times as fast as Intl.Collator, which needs a tenth of a second for 10,000 rooms.
 */
export function sortKey(text) {
	return text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase().replace(/\d+/gu, d => d.padStart(12, "0"));
}

/** The kinds that participant_count counts. */
export const isPerson = kind => kind === "user" || kind === "sip" || kind === "sip_video";

/** One occupant of a kind in words; an unknown kind, from a later version, keeps its code. */
export const kindName = kind => hasText(`kind.${kind}`) ? t(`kind.${kind}`) : kind;

/** The kind of an occupant in words, with the operator's rule that hides it. */
export const kindOf = o => o.rule ? `${kindName(o.kind)} (${visible(o.rule)})` : kindName(o.kind);

/** The occupants of a room who are not counted, in words. Jitsi's focus is in each room and not worth mentioning. */
export function notCounted(counts) {
	return Object.entries(counts ?? {})
		.filter(([kind, n]) => n > 0 && kind !== "focus" && !isPerson(kind))
		.map(([kind, n]) => hasText(`kinds.${kind}`) ? t(`kinds.${kind}`, {n}) : `${number(n)} ${kind}`)
		.join(", ");
}
