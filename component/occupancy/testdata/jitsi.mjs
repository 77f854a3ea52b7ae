// Which room Jitsi's web client enters for what stands behind the host in a link, worked out step by step,
// so that Go's answer can be held against it. It reads a JSON array of such texts and writes one of answers:
// {local} for a room, {none} with the reason where no room is entered.
//
// Facts: jitsi-meet's react/features/base/util/uri.ts (parseURIString, getBackendSafeRoomName) and resources/prosody-plugins/util.lib.lua,
// docker-jitsi-meet's web/rootfs/defaults/meet.conf and system-config.js, Prosody's util/encodings.c (nameprep).
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";

const percent = c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;

/** The browser: the path of a link, whose first slash may be written. Chromium encodes two characters that Node.js leaves as they are. */
export const browse = text => new URL(`https://meet.example/${text.replace(/^[/\\]/, "")}`).pathname.replace(/[\^|]/g, percent);

const meaningless = new Set(":?#[]@!$&'()*+,;=></\"");

/** The client: the room of a path. */
function roomOf(segment) {
	let name = [...segment].filter(c => !meaningless.has(c)).join("");
	try {
		name = decodeURIComponent(name);
	} catch {
		// It is taken as it is.
	}
	return encodeURIComponent(name.normalize("NFKC").toLowerCase()).toLowerCase();
}

// RFC 3454, table B.1.
const nothing = /[\u00ad\u034f\u1806\u180b-\u180d\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]/gu;

// Of table B.2 what lower-casing does not do.
const folded = {ß: "ss", ς: "σ", ŉ: "ʼn", ǰ: "ǰ", և: "եւ", ẖ: "ẖ", ẗ: "ẗ", ẘ: "ẘ", ẙ: "ẙ", ẚ: "aʾ", ẛ: "ṡ"};

/** nginx and SSI, the client's config.js, Prosody: the tenant of a path, null where there is no such address. */
function tenantOf(segment) {
	let label;
	try {
		label = decodeURIComponent(segment); // nginx
	} catch {
		return null; // 400
	}
	if (/[?&:'"]/.test(label)) return null; // no location of nginx's matches
	label = label.split(".").join("_").toLowerCase(); // config.js
	label = label.replace(nothing, "").normalize("NFKC").toLowerCase(); // nameprep
	label = [...label].map(c => folded[c] ?? c).join("").normalize("NFKC");
	return /[\s"&'/:<>@.[\]]/u.test(label) || label === "" ? null : `[${label}]`;
}

/** What is entered by a link. */
export function enter(text) {
	const parts = browse(text).split("/").slice(1);
	if (parts.length > 2) return {none: "too many parts"};
	const room = roomOf(parts.at(-1));
	if (!room) return {none: "no room"};
	if (parts.length === 1) return {local: room};
	const tenant = tenantOf(parts[0]);
	return tenant ? {local: tenant + room} : {none: "no tenant"};
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
	process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(enter)));
}
