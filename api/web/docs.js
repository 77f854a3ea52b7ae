// Starts Swagger UI. A file of its own, because the page's Content-Security-Policy allows no inline script.
"use strict";

const page = document.getElementById("swagger-ui");
const documentURL = new URL(page.dataset.document, document.baseURI);
const root = new URL(".", documentURL);
const keyItem = "ppch-key"; // in sessionStorage, which ends with the tab; the dashboard uses it too

/** Paths of files and pages, which are no part of the API. */
const isPage = path => /^\/(docs|dashboard|openapi\.json|s\/assets\/)/.test(path);

/**
 * Returns the document as the page shows it: without pages, without tickets, which are for programs,
 * and without examples that Swagger UI would send by itself.
 */
function shown(openapi) {
	const doc = structuredClone(openapi);
	doc.servers = [{url: root.href.replace(/\/$/, "")}];
	for (const path of Object.keys(doc.paths).filter(isPage)) delete doc.paths[path];
	for (const item of Object.values(doc.paths)) {
		for (const operation of Object.values(item)) {
			if (operation.security) operation.security = operation.security.filter(s => !("ticket" in s));
		}
	}
	doc.security = doc.security?.filter(s => !("ticket" in s));
	delete doc.components.securitySchemes.ticket;
	const inline = Object.values(doc.paths).flatMap(item => Object.values(item)).flatMap(o => o.parameters ?? []);
	for (const parameter of [...Object.values(doc.components.parameters), ...inline]) {
		delete parameter.example;
		delete parameter.examples;
		if (parameter.schema) {
			delete parameter.schema.example;
			delete parameter.schema.examples;
			delete parameter.schema.default;
		}
	}
	return doc;
}

/** Returns an open room that the key may see, or "". */
async function openRoom(key) {
	if (!key) return "";
	const url = new URL("api/rooms?limit=1&sort=participants", root);
	const response = await fetch(url, {headers: {"X-API-Key": key}, cache: "no-store", redirect: "error"}).catch(() => null);
	if (!response?.ok) return "";
	const {rooms: [first]} = await response.json();
	return first?.display_name ?? first?.room_name ?? "";
}

/** The key in the Authorize dialog, of either kind. */
const keyOf = authorized => authorized.getIn(["apiKey", "value"]) ?? authorized.getIn(["bearer", "value"]) ?? "";

/** Fills in an open room wherever a room is asked for. */
async function fillRoom(openapi, key, specActions) {
	const room = await openRoom(key);
	if (!room) return;
	for (const path of Object.keys(openapi.paths).filter(p => p.includes("{room_name}"))) {
		for (const method of Object.keys(openapi.paths[path])) specActions.changeParam([path, method], "room_name", "path", room);
	}
}

/** Remembers the key for the tab, and then offers an open room. */
function rememberKey(openapi) {
	return system => ({
		statePlugins: {auth: {wrapActions: {
			authorize: original => payload => {
				const result = original(payload);
				const key = payload.apiKey?.value ?? payload.bearer?.value ?? "";
				sessionStorage.setItem(keyItem, key);
				fillRoom(openapi, key, system.specActions);
				return result;
			},
			logout: original => payload => {
				sessionStorage.removeItem(keyItem);
				return original(payload);
			},
		}}},
	});
}

/** Replaces the Execute button of event streams, which never end, by one that shows the events as they come. */
function showEvents(system) {
	const h = system.React.createElement;

	function Events({path, method}) {
		const [stop, setStop] = system.React.useState(null);
		const [text, setText] = system.React.useState("");
		const add = piece => setText(before => (before + piece).slice(-20_000));
		const start = async () => {
			const control = new AbortController();
			setStop(control);
			setText("");
			await read(request(path, method), control.signal, add).catch(err => add(control.signal.aborted ? "" : `\n${err.message}\n`));
			setStop(null);
		};
		system.React.useEffect(() => () => stop?.abort(), [stop]);
		return h("div", {className: "events"},
			h("button", {type: "button", className: "btn execute opblock-control__btn", onClick: () => stop ? stop.abort() : start()}, stop ? "Stop" : "Show events"),
			(stop || text) && h("pre", {className: "events-text", tabIndex: 0, "aria-label": "Events", "aria-live": "off"}, text || "Connecting …"));
	}

	/** The request with the parameters that are filled in. */
	function request(path, method) {
		const url = new URL(root);
		const headers = {Accept: "text/event-stream", "X-API-Key": keyOf(system.authSelectors.authorized())};
		let filled = path;
		for (const parameter of system.specSelectors.operationWithMeta(path, method).get("parameters")) {
			const [name, place, value] = ["name", "in", "value"].map(field => parameter.get(field));
			if (value === undefined || value === "") continue;
			if (place === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(value));
			else if (place === "query") url.searchParams.set(name, value);
			else if (place === "header") headers[name] = value;
		}
		url.pathname += filled.slice(1);
		return new Request(url, {headers, cache: "no-store", redirect: "error"});
	}

	async function read(events, signal, add) {
		const response = await fetch(events, {signal});
		if (!response.ok) return add(`${response.status} ${response.statusText}\n${await response.text()}`);
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		for (let piece = await reader.read(); !piece.done; piece = await reader.read()) add(piece.value);
	}

	const isStream = ({path}) => /\/events$/.test(path);
	return {wrapComponents: {execute: Original => props => isStream(props) ? h(Events, props) : h(Original, props)}};
}

/** Shows the path of an operation as text: Swagger UI puts a link into the button that opens the operation. */
const plainPaths = system => ({wrapComponents: {DeepLink: () => ({text}) => system.React.createElement("span", null, text)}});

/** Names that Swagger UI's controls lack, or that differ from their text, by selector. */
const names = {
	".close-modal": "Close", ".copy-to-clipboard button": "Copy", ".modal-btn.authorize": "Authorize",
	".modal-btn.auth:not(.authorize, .btn-done)": "Logout", "select.examples-select-element": "Example",
};

/** Completes what Swagger UI has drawn, for screen readers and the keyboard. */
function complete() {
	for (const [selector, name] of Object.entries(names)) {
		for (const control of page.querySelectorAll(selector)) control.setAttribute("aria-label", name);
	}
	for (const code of page.querySelectorAll("pre.microlight")) code.tabIndex = 0; // it scrolls
}

async function start() {
	new MutationObserver(complete).observe(page, {childList: true, subtree: true});
	const openapi = await (await fetch(documentURL)).json();
	const key = sessionStorage.getItem(keyItem) ?? "";
	const ui = SwaggerUIBundle({
		spec: shown(openapi),
		dom_id: "#swagger-ui",
		deepLinking: true,
		tryItOutEnabled: true,
		displayRequestDuration: true,
		defaultModelsExpandDepth: 0,
		presets: [SwaggerUIBundle.presets.apis],
		plugins: [rememberKey(openapi), showEvents, plainPaths],
		// null keeps Swagger UI from asking validator.swagger.io about this installation.
		validatorUrl: null,
		onComplete: () => {
			if (!key) return;
			ui.preauthorizeApiKey("apiKey", key);
			fillRoom(openapi, key, ui.specActions);
		},
	});
}

// The dialog's first field is that of the API key; Swagger UI focuses the last one.
document.addEventListener("click", e => {
	if (e.target.closest(".authorize, .authorization__btn")) setTimeout(() => document.querySelector(".dialog-ux input")?.focus());
});

start();
