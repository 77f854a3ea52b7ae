// Writes a web page of the rooms that are booked now, and of those among them that are empty.
//
//   PPCH_URL=http://127.0.0.1:8890 PPCH_API_KEY=… node booked-but-empty.mjs bookings.json > index.html
//
// bookings.json is a list such as [{"room": "planning", "title": "Weekly", "from": "2026-11-30T09:00:00Z", "to": "2026-11-30T10:00:00Z"}].
// The key needs the scope count. Run it each minute. It ends with status 1, and writes no page, if bookings.json or the answer is unusable.

import { readFileSync } from "node:fs";

const graceMinutes = 10; // after the beginning, before a room counts as not used
const pageOf = 40; // rooms in one request

const escape = text => String(text).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);

// people asks PPCH about rooms by name, and returns the number in each, or why that is unknown.
async function people(names) {
  const query = new URLSearchParams(names.map(name => ["name", name]));
  const answer = await fetch(new URL(`/api/rooms?${query}`, process.env.PPCH_URL), {
    headers: { "X-API-Key": process.env.PPCH_API_KEY },
    signal: AbortSignal.timeout(10_000),
  });
  const doc = await answer.json();
  if (answer.status === 503) return new Map(names.map(name => [name, { why: doc.detail }]));
  if (!answer.ok) throw new Error(`${answer.status} ${doc.code}: ${doc.detail}`);
  return new Map(doc.rooms.flatMap(room => room.asked_as.map(name =>
    [name, room.exact ? { count: room.participant_count } : { why: room.note ?? "the number is not exact" }])));
}

// stateOf says what a booking is used for now.
function stateOf(booking, found, now) {
  if (found.why) return ["unknown", `unknown: ${found.why}`];
  if (found.count > 0) return ["used", `${found.count} ${found.count === 1 ? "person" : "people"}`];
  const minutes = Math.floor((now - Date.parse(booking.from)) / 60_000);
  return minutes < graceMinutes ? ["waiting", "has just begun"] : ["empty", `booked but empty, ${minutes} minutes after the beginning`];
}

const now = Date.now();
const bookings = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const b of bookings) {
  if (typeof b.room !== "string" || b.room === "" || Number.isNaN(Date.parse(b.from)) || Number.isNaN(Date.parse(b.to))) {
    throw new Error(`${process.argv[2]}: a booking needs room, from and to, such as "2026-11-30T09:00:00Z": ${JSON.stringify(b)}`);
  }
}
const current = bookings.filter(b => Date.parse(b.from) <= now && now < Date.parse(b.to));
const names = [...new Set(current.map(b => b.room))];
const found = new Map();
for (let i = 0; i < names.length; i += pageOf) {
  for (const [name, state] of await people(names.slice(i, i + pageOf))) found.set(name, state);
}

const rows = current.map(b => {
  const [state, text] = stateOf(b, found.get(b.room), now);
  return `<tr class="${state}"><td>${escape(b.room)}</td><td>${escape(b.title ?? "")}</td><td>${escape(text)}</td></tr>`;
});
console.log(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="60">
<title>Booked rooms</title>
<style>
  body { font: 18px/1.5 system-ui, sans-serif; margin: 2rem; color-scheme: light dark }
  td, th { padding: .25rem 1rem; text-align: left }
  .empty td { background: #ffd54f; color: #000 }
  .unknown td { font-style: italic }
</style>
<h1>Booked rooms</h1>
<p>As of ${new Date(now).toISOString()}. ${rows.filter(r => r.includes('class="empty"')).length} booked but empty.</p>
<table><thead><tr><th>Room</th><th>Booking</th><th>Now</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody></table>
</html>`);
