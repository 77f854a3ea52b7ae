/** The visitor nodes: shards with the visitors of meetings that take place elsewhere. Nothing here touches the document. */

import {domainKey} from "./record.js";

export class Nodes {
	/** The last status of each. @type {Map<string, object>} */
	#statuses = new Map();

	/** Whether the visitors of the rooms of a domain are known; domains without visitor nodes are missing. @type {Map<string, boolean>} */
	#known = new Map();

	/** The statuses. */
	get all() {
		return [...this.#statuses.values()];
	}

	/** The shards whose visitors are unknown. */
	get unknown() {
		return [...new Set(this.all.filter(s => !s.live).map(s => s.shard))];
	}

	/** Takes a status; returns whether it is that of a visitor node. */
	take(status) {
		const key = domainKey(status), known = this.#statuses.delete(key);
		const isNode = status.visitors_of?.length > 0;
		if (isNode) this.#statuses.set(key, status);
		this.#find();
		return isNode || known;
	}

	/** Forgets a domain of a shard that was retired, or all. */
	forget(key) {
		if (key === undefined) this.#statuses.clear();
		else this.#statuses.delete(key);
		this.#find();
	}

	/** Whose visitors are known, as a text to compare. */
	get state() {
		return JSON.stringify([...this.#known]);
	}

	/** The number of visitors of a room, null for unknown. */
	visitorsOf({jid, reported, watched}) {
		const known = this.#known.get(jid.slice(jid.lastIndexOf("@") + 1));
		if (known === undefined) return reported;
		return known ? watched : null;
	}

	#find() {
		this.#known = new Map();
		for (const s of this.#statuses.values()) {
			for (const domain of s.visitors_of) this.#known.set(domain, s.live && this.#known.get(domain) !== false);
		}
	}
}
