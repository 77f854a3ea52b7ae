/** Follows the events of a share link, and reconnects by itself. */

const token = location.pathname.split("/").at(-1);
const address = path => new URL(`${token}${path}`, location.href);

/** How long to wait before the next try: longer each time, with chance, so that many screens don't come at once. */
const firstWait = 1000, longestWait = 20_000, endedWait = 60_000;

/** The longest wait while the service answers but has no place for a stream: what is shown is then never much older. */
const longestPoll = 8000;

/** A stream that is silent for so long is dead: the service sends something every 5 s. */
const silence = 15_000;

const sleep = ms => new Promise(done => setTimeout(done, ms));

/**
 * Follows the link for ever.
 * @param {object} to
 * @param {function(): void} to.heard  the service was heard
 * @param {function(boolean): void} to.streaming  whether a stream keeps the document current; without one it ages between two tries
 * @param {function(object): void} to.show  a document
 * @param {function(object): void} to.beat  the last document is still true
 * @param {function({code: string, reason: string}): void} to.fail  the numbers are unknown
 * @param {function(string): void} to.end  the link is not valid
 */
export async function follow(to) {
	let wait = firstWait;
	const version = await pageVersion();
	for (;;) {
		const began = Date.now();
		let pause = 0, longest = longestWait;
		try {
			pause = await check(to, version);
			longest = longestPoll;
			if (!pause) await stream(to);
		} catch {
			// the service can't be reached
		}
		wait = Date.now() - began > longestWait ? firstWait : Math.min(longest, 2 * wait);
		await sleep(Math.max(pause, wait / 2 + Math.random() * wait / 2));
	}
}

/** Asks for the document once, because a stream that fails doesn't say why. Returns how long to wait if there is no use in a stream. */
async function check(to, version) {
	const answer = await fetch(address(".json"), {cache: "no-store", signal: AbortSignal.timeout(silence)});
	const body = await answer.json();
	to.heard();
	if (answer.ok) {
		if (version && await pageVersion() !== version) location.reload(); // the service was upgraded
		to.show(body);
		return 0;
	}
	if (answer.status === 404 || answer.status === 410) {
		to.end(body.code);
		return endedWait;
	}
	to.fail(body);
	return answer.status === 503 && body.code !== "too-many-streams" ? 0 : 1000 * (Number(answer.headers.get("Retry-After")) || 10);
}

/** Follows the stream until it ends. */
function stream(to) {
	return new Promise(done => {
		const events = new EventSource(address("/events"));
		let dog;
		const heard = () => {
			clearTimeout(dog);
			dog = setTimeout(over, silence);
		};
		const over = () => {
			clearTimeout(dog);
			events.close();
			to.streaming(false);
			done();
		};
		const on = (name, then) => events.addEventListener(name, event => {
			heard();
			to.heard();
			to.streaming(true);
			then(JSON.parse(event.data));
		});
		heard();
		on("shared", doc => to.show(doc));
		on("beat", beat => to.beat(beat));
		on("problem", problem => to.fail(problem));
		on("end", ({code}) => {
			to.end(code);
			over();
		});
		events.onerror = over;
	});
}

/** The version of this page, "" if it is unknown. */
async function pageVersion() {
	try {
		return (await fetch(location.href, {method: "HEAD", cache: "no-store"})).headers.get("ETag") ?? "";
	} catch {
		return "";
	}
}
