package webhook

import (
	"context"
	"time"

	"ppch/api/keys"
	"ppch/component/history"
)

// hasNames is whether the body of a message m may identify people: it is about a person, or event_sync's list of all who were in a meeting.
const hasNames = `(m.stay IS NOT NULL OR m.type = 'room.ended' AND m.path <> '')`

// meetingOfMessage is the id of the recorded meeting that a message m with names is about, or NULL.
const meetingOfMessage = `IIF(` + hasNames + `, COALESCE(
	(SELECT mt.id FROM stays s JOIN meetings mt ON mt.number = s.meeting WHERE s.id = m.stay),
	(SELECT id FROM meetings WHERE room = m.room AND began <= m.at ORDER BY began DESC LIMIT 1)), NULL)`

// accessEvery is for how long further reads of the same meeting are no new entry of the log: the dashboard reads again and again.
const accessEvery = time.Minute

// reader is a key that reads bodies.
type reader struct {
	key   string // its name
	names bool   // whether it may read names

	meetings map[history.ID]bool // of which it has read names; the zero ID for those that aren't recorded
}

// reader returns the reader for a key.
func (o *Outbox) reader(owner keys.Sum) *reader {
	r := &reader{meetings: map[history.ID]bool{}}
	if key := o.cfg.Keys.Find(owner); key != nil {
		r.key, r.names = key.Name(), keys.Grant{Key: key}.HasNames()
	}
	return r
}

// read returns what the key may read of a body.
func (r *reader) read(body string, named bool, meeting []byte) string {
	switch {
	case !named || body == "":
		return body
	case !r.names:
		return ""
	}
	var id history.ID
	copy(id[:], meeting)
	r.meetings[id] = true
	return body
}

// log records which names were read, as for reads of attendance.
func (r *reader) log(ctx context.Context, store *history.Store) error {
	if len(r.meetings) == 0 {
		return nil
	}
	return store.Write(ctx, func(tx *history.Tx) error {
		now := time.Now()
		for id := range r.meetings {
			var meeting any
			if !id.IsZero() {
				meeting = id[:]
			}
			if _, err := tx.Exec(`INSERT INTO accesses (at, key, action, meeting) SELECT ?1, ?2, 'deliveries', ?3
				WHERE NOT EXISTS (SELECT 1 FROM accesses WHERE key = ?2 AND action = 'deliveries' AND meeting IS ?3 AND at > ?4 AND at <= ?1)`,
				now.UnixMilli(), r.key, meeting, now.Add(-accessEvery).UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}
