/** The list of meetings that the service has recorded. */

import {element, explain, isolated, problemText, showUnanswered} from "./element.js";
import {dayTime, moment, number, roomTitle, spans} from "./format.js";
import {t} from "./language.js";
import {Listing, readPages} from "./listing.js";
import {filterIn, linkTo, meetingsLink} from "./route.js";
import {write} from "./table.js";

const every = 30_000;

const find = id => document.getElementById(id);

/** Shows the page. @param {import("./pages.js").Open} open */
export function show({key, signal}) {
	const asked = filterIn(location.hash);
	const form = find("meetings-filter");
	for (const name of ["room", "from", "to"]) form.elements[name].value = asked[name] ?? "";
	const filter = Object.fromEntries(new FormData(form)); // without what is no day
	const isOn = Object.values(filter).some(Boolean);
	find("meetings-clear").hidden = !isOn;
	form.hidden = false;
	form.addEventListener("submit", e => {
		e.preventDefault();
		location.hash = meetingsLink(Object.fromEntries(new FormData(form)));
	}, {signal});

	const listing = new Listing(find("meetings-table"), [
		{key: "name", head: "column.room", of: nameOf},
		{key: "when", head: "meeting.began", of: m => [dayTime(moment(m.started_at))]},
		{key: "length", head: "meeting.length", of: m => [lengthOf(m)]},
		{key: "people", head: "meeting.peak", labelled: true, of: m => [number(m.peak_participants)]},
	]);
	const empty = find("meetings-empty");
	explain(empty, null);
	draw([], false);
	function draw(items, more, missing) {
		showUnanswered(find("meetings-unanswered"), missing);
		find("meetings-table").hidden = items.length === 0;
		write(find("meetings-found"), items.length === 0 ? "" : t(more ? "meetings.latest" : "meetings.count", {n: items.length}));
		listing.show(items);
	}
	readPages({
		path: `api/meetings?${parameters(filter)}`, field: "meetings", page: 100, most: 1000, every, more: find("meetings-more"), key, signal,
		draw: (items, more, missing) => {
			draw(items, more, missing);
			const why = isOn ? {title: t("meetings.noMatch"), text: t("meetings.noMatch.text")} : {title: t("meetings.none"), text: t("meetings.none.text")};
			explain(empty, items.length > 0 ? null : why);
		},
		fail: problem => {
			form.hidden = problem.code === "history-off" || problem.code === "scope-missing";
			draw([], false);
			explain(empty, problemText(problem));
		},
	});
}

/** The API's parameters for a filter. Days are those of the viewer's zone. */
function parameters({room, from, to}) {
	const query = new URLSearchParams();
	if (room) query.set("room", room);
	if (from) query.set("from", new Date(`${from}T00:00:00`).toISOString());
	if (to) query.set("to", new Date(`${to}T23:59:59.999`).toISOString());
	return query;
}

/** The length of a meeting, within bounds if its end is; up to now while it goes on. */
export function lengthOf(m) {
	const began = moment(m.started_at);
	if (m.ongoing) return spans(Date.now() - began, Date.now() - began);
	return spans(moment(m.ended_after) - began, moment(m.ended_before) - began);
}

function nameOf(m) {
	const {title, tenant, written} = roomTitle(m.display_name, m.tenant);
	const link = element("a", {href: linkTo("meeting", m.id), title: written}, isolated(title));
	return [link, ...tenant ? [isolated(tenant, "tag")] : [], ...m.ongoing ? [element("span", {className: "tag now", textContent: t("meetings.ongoing")})] : []];
}
