-- Times are Unix milliseconds by PPCH's clock.

-- Receivers of events. An id is unique for its owner, the hash of an API key.
CREATE TABLE webhooks (
	number          INTEGER PRIMARY KEY AUTOINCREMENT,
	owner           BLOB NOT NULL,
	id              TEXT NOT NULL,
	settings        TEXT NOT NULL,
	secret          TEXT NOT NULL,
	previous        TEXT NOT NULL DEFAULT '',
	previous_until  INTEGER NOT NULL DEFAULT 0,
	created         INTEGER NOT NULL,
	failing_since   INTEGER NOT NULL DEFAULT 0,
	disabled        INTEGER NOT NULL DEFAULT 0,
	disabled_reason TEXT NOT NULL DEFAULT '',
	UNIQUE (owner, id)
);

-- What is sent. Webhooks with the same format share a message. stay is the stay of the person whom it concerns, person a keyed hash of the user id.
CREATE TABLE messages (
	number       INTEGER PRIMARY KEY AUTOINCREMENT,
	event        TEXT NOT NULL,
	type         TEXT NOT NULL,
	room         TEXT NOT NULL,
	at           INTEGER NOT NULL,
	created      INTEGER NOT NULL,
	path         TEXT NOT NULL,
	content_type TEXT NOT NULL,
	body         BLOB NOT NULL,
	stay         BLOB,
	person       BLOB
);
CREATE INDEX messages_by_person ON messages (person) WHERE person IS NOT NULL;
CREATE INDEX messages_by_stay ON messages (stay) WHERE stay IS NOT NULL;

-- A message for a webhook. state is 0 while it waits, 1 after it was delivered, 2 after it failed. Those of one lane are sent in order.
CREATE TABLE deliveries (
	webhook  INTEGER NOT NULL,
	message  INTEGER NOT NULL,
	lane     INTEGER NOT NULL,
	state    INTEGER NOT NULL DEFAULT 0,
	size     INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	due      INTEGER NOT NULL DEFAULT 0,
	tried    INTEGER NOT NULL DEFAULT 0,
	took     INTEGER NOT NULL DEFAULT 0,
	status   INTEGER NOT NULL DEFAULT 0,
	problem  TEXT NOT NULL DEFAULT '',
	answer   TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (webhook, message)
) WITHOUT ROWID;
CREATE INDEX deliveries_waiting ON deliveries (webhook, lane, message) WHERE state = 0;
