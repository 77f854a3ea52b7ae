-- Times are Unix milliseconds. Columns that end in _stamp are by Prosody's clock, 0 if it doesn't know; all others are by PPCH's.

CREATE TABLE settings (
	name  TEXT NOT NULL PRIMARY KEY,
	value BLOB NOT NULL
) WITHOUT ROWID;

-- When each MUC domain was last confirmed.
CREATE TABLE domains (
	domain    TEXT NOT NULL PRIMARY KEY,
	confirmed INTEGER NOT NULL
) WITHOUT ROWID;

-- Times without watching. ended is NULL while one lasts.
CREATE TABLE gaps (
	number INTEGER PRIMARY KEY,
	domain TEXT NOT NULL,
	began  INTEGER NOT NULL,
	ended  INTEGER,
	reason TEXT NOT NULL
);
CREATE INDEX gaps_by_time ON gaps (domain, began);

-- A meeting is the life of a room. Both bounds of its end are NULL while it goes on.
CREATE TABLE meetings (
	number       INTEGER PRIMARY KEY,
	id           BLOB NOT NULL UNIQUE,
	shard        TEXT NOT NULL,
	room         TEXT NOT NULL,
	type         TEXT NOT NULL,
	tenant       TEXT NOT NULL,
	parent       TEXT,
	meeting_id   TEXT,
	began        INTEGER NOT NULL,
	ended_after  INTEGER,
	ended_before INTEGER,
	peak         INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX meetings_by_time ON meetings (began);
CREATE INDEX meetings_by_room ON meetings (room, began);
CREATE INDEX meetings_by_parent ON meetings (parent, began) WHERE parent IS NOT NULL;
CREATE INDEX meetings_by_end ON meetings (ended_before) WHERE ended_before IS NOT NULL;

-- joined_after is NULL if joined is exact. Both bounds of the end are NULL while a stay goes on.
CREATE TABLE stays (
	number       INTEGER PRIMARY KEY,
	id           BLOB NOT NULL UNIQUE,
	meeting      INTEGER NOT NULL REFERENCES meetings ON DELETE CASCADE,
	kind         TEXT NOT NULL,
	joined_after INTEGER,
	joined       INTEGER NOT NULL,
	left_after   INTEGER,
	left_before  INTEGER,
	reason       TEXT,
	nick         TEXT,
	name         TEXT,
	user_id      TEXT,
	pseudonym    BLOB
);
CREATE INDEX stays_by_meeting ON stays (meeting);
CREATE INDEX stays_by_end ON stays (left_before) WHERE left_before IS NOT NULL;
CREATE INDEX stays_by_user ON stays (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX stays_by_pseudonym ON stays (pseudonym) WHERE pseudonym IS NOT NULL;

-- The rooms that are open, to compare with a snapshot after a restart. meeting is NULL for what isn't recorded.
CREATE TABLE open_rooms (
	room          TEXT NOT NULL PRIMARY KEY,
	domain        TEXT NOT NULL,
	type          TEXT NOT NULL,
	created_stamp INTEGER NOT NULL,
	id            BLOB NOT NULL,
	meeting_id    TEXT NOT NULL,
	meeting       INTEGER REFERENCES meetings ON DELETE SET NULL
) WITHOUT ROWID;
CREATE INDEX open_rooms_by_domain ON open_rooms (domain);

-- The occupants who are present. stay is NULL for what isn't recorded, occupant for a level below names.
CREATE TABLE present (
	room         TEXT NOT NULL REFERENCES open_rooms ON DELETE CASCADE,
	nick         TEXT NOT NULL,
	joined_stamp INTEGER NOT NULL,
	kind         TEXT NOT NULL,
	id           BLOB NOT NULL,
	stay         INTEGER REFERENCES stays ON DELETE SET NULL,
	occupant     BLOB,
	PRIMARY KEY (room, nick)
) WITHOUT ROWID;
CREATE INDEX present_by_stay ON present (stay) WHERE stay IS NOT NULL;
CREATE INDEX open_rooms_by_meeting ON open_rooms (meeting) WHERE meeting IS NOT NULL;

-- Who read what of people. person is a keyed hash of the user id.
CREATE TABLE accesses (
	number  INTEGER PRIMARY KEY,
	at      INTEGER NOT NULL,
	key     TEXT NOT NULL,
	action  TEXT NOT NULL,
	meeting BLOB,
	person  BLOB
);
CREATE INDEX accesses_by_time ON accesses (at);
CREATE INDEX accesses_by_meeting ON accesses (meeting) WHERE meeting IS NOT NULL;
CREATE INDEX accesses_by_person ON accesses (person) WHERE person IS NOT NULL;

-- Peaks within steps of some seconds, of the rooms of one type. watched is for how many seconds of the step they are known.
CREATE TABLE rollups (
	step         INTEGER NOT NULL,
	at           INTEGER NOT NULL,
	type         TEXT NOT NULL,
	rooms        INTEGER NOT NULL,
	participants INTEGER NOT NULL,
	watched      INTEGER NOT NULL,
	PRIMARY KEY (step, at, type)
) WITHOUT ROWID;
