/** The pages that the service's store feeds, meetings and webhooks: their links, and what is loaded while one of them is open. */

import {askJSON} from "./ask.js";
import {explain} from "./element.js";
import {t} from "./language.js";
import {write} from "./table.js";

// Most viewers never open these.
const modules = {
	meetings: () => import("./meetings.js"),
	meeting: () => import("./attendance.js"),
	webhooks: () => import("./webhooks.js"),
	webhook: () => import("./deliveries.js"),
};

const lookEvery = 300_000;

/**
 * @typedef {object} Open  what each page gets
 * @property {?string} id  of the meeting or the webhook
 * @property {string} key
 * @property {AbortSignal} signal  aborts when the viewer leaves the page
 */

export class Pages {
	#key = "";
	#place = null;
	#stop = new AbortController();
	#looked = false;
	#find = id => document.getElementById(id);

	/** Uses a key that the service accepts. */
	start(key) {
		if (this.#key === key) return;
		this.#key = key;
		this.#show();
		setInterval(() => !document.hidden && this.#look(), lookEvery);
	}

	/** Opens the page of a place, if it is one of these, and leaves the last one. */
	open(place) {
		this.#stop.abort();
		this.#stop = new AbortController();
		this.#place = place;
		for (const link of this.#find("pages").children) {
			const own = link.dataset.page.split(" ").includes(place.page);
			if (own) link.setAttribute("aria-current", "page");
			else link.removeAttribute("aria-current");
		}
		this.#show();
	}

	/** Finds out, once, which pages the key may see. */
	look() {
		if (!this.#looked) this.#look();
		this.#looked = true;
	}

	async #show() {
		const {page, id} = this.#place ?? {};
		if (!modules[page] || !this.#key) return;
		const {signal} = this.#stop;
		const {show} = await modules[page]().catch(() => ({
			show: () => explain(this.#find(`${page}-empty`), {title: t("lost.title"), text: t("problem.noAnswer")}),
		}));
		if (!signal.aborted) show({id, key: this.#key, signal});
	}

	async #look() {
		const ask = path => askJSON(path, {key: this.#key}).catch(problem => problem);
		const [{meetings, ...noMeetings}, {webhooks, ...noWebhooks}] = await Promise.all([ask("api/meetings?limit=1"), ask("api/webhooks")]);
		this.#offer("to-meetings", noMeetings);
		this.#offer("to-webhooks", noWebhooks);
		this.#find("room-meetings").hidden = !meetings;
		const bad = (webhooks ?? []).filter(needsAttention).length;
		const mark = this.#find("webhooks-mark");
		mark.hidden = bad === 0;
		write(mark, t("number", {n: bad}));
		mark.title = t("webhooks.attention", {n: bad});
	}

	/** Shows a link, unless the key may not see its page or there is no answer. */
	#offer(id, {code, status}) {
		if (status === 0) return;
		this.#find(id).hidden = code === "scope-missing";
		const none = this.#find("to-meetings").hidden && this.#find("to-webhooks").hidden;
		this.#find("pages").hidden = none;
		document.body.classList.toggle("paged", !none);
	}
}

/** Whether a webhook doesn't deliver although it should. */
export const needsAttention = webhook => webhook.disabled_at !== null || !["ok", "unknown"].includes(webhook.state) && webhook.enabled;
