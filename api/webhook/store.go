package webhook

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"ppch/api/keys"
	"ppch/component/history"
)

// storedEndpoint is an endpoint in the store, with the number and size of its waiting deliveries.
type storedEndpoint struct {
	Endpoint
	number int64
	rows   int
	bytes  int64
}

// storedSettings are the settings of an endpoint in the store, with their generation in the registry.
type storedSettings struct {
	Settings
	Generation uint64 `json:",omitempty"`
}

// readEndpoints returns all endpoints in the order of their numbers.
func readEndpoints(tx *history.Tx) (all []storedEndpoint, err error) {
	err = tx.Each(`SELECT number, owner, id, settings, secret, previous, previous_until, created, failing_since, disabled, disabled_reason FROM webhooks ORDER BY number`, nil, func(scan history.Scan) error {
		var e storedEndpoint
		var owner, settings []byte
		var previousUntil, created, failing, disabled int64
		if err := scan(&e.number, &owner, &e.ID, &settings, &e.Secret, &e.Previous, &previousUntil, &created, &failing, &disabled, &e.DisabledReason); err != nil {
			return err
		}
		var s storedSettings
		if err := json.Unmarshal(settings, &s); err != nil {
			return fmt.Errorf("webhook: settings of %s: %w", e.ID, err)
		}
		e.Settings, e.Generation = s.Settings, s.Generation
		copy(e.Owner[:], owner)
		e.PreviousUntil, e.CreatedAt, e.FailingSince, e.DisabledAt = history.TimeOf(previousUntil), history.TimeOf(created), history.TimeOf(failing), history.TimeOf(disabled)
		all = append(all, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		for _, state := range []string{"0", "3"} { // in the query, so that it uses the index of that state
			var n int
			var size int64
			if _, err := tx.Get(`SELECT COUNT(*), COALESCE(SUM(size), 0) FROM deliveries WHERE webhook = ? AND state = `+state, []any{all[i].number}, &n, &size); err != nil {
				return nil, err
			}
			all[i].rows += n
			all[i].bytes += size
		}
	}
	return all, nil
}

// insertEndpoint adds an endpoint and returns its number.
func insertEndpoint(tx *history.Tx, e Endpoint) (int64, error) {
	settings, err := json.Marshal(storedSettings{e.Settings, e.Generation})
	if err != nil {
		return 0, fmt.Errorf("webhook: settings: %w", err)
	}
	r, err := tx.Exec(`INSERT INTO webhooks (owner, id, settings, secret, previous, previous_until, created) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		e.Owner[:], e.ID, settings, e.Secret, e.Previous, history.Milli(e.PreviousUntil), history.Milli(e.CreatedAt))
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// updateEndpoint writes all of an endpoint but its identity.
func updateEndpoint(tx *history.Tx, number int64, e Endpoint) error {
	settings, err := json.Marshal(storedSettings{e.Settings, e.Generation})
	if err != nil {
		return fmt.Errorf("webhook: settings: %w", err)
	}
	_, err = tx.Exec(`UPDATE webhooks SET settings = ?, secret = ?, previous = ?, previous_until = ?, failing_since = ?, disabled = ?, disabled_reason = ? WHERE number = ?`,
		settings, e.Secret, e.Previous, history.Milli(e.PreviousUntil), history.Milli(e.FailingSince), history.Milli(e.DisabledAt), e.DisabledReason, number)
	return err
}

// deleteEndpoint removes an endpoint. Its deliveries are removed later, in small steps.
func deleteEndpoint(tx *history.Tx, owner keys.Sum, id string) error {
	_, err := tx.Exec(`DELETE FROM webhooks WHERE owner = ? AND id = ?`, owner[:], id)
	return err
}

// insertMessage adds a message and returns its number. shard is empty if no other service has the message.
func insertMessage(tx *history.Tx, e *Event, m Message, now int64, who subject, shard string) (int64, error) {
	r, err := tx.Exec(`INSERT INTO messages (event, type, room, at, created, path, content_type, body, stay, person, shard) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, string(e.Type), e.Room.JID, history.Milli(e.At), now, m.Path, m.ContentType, m.Body, who.stay, who.person, shard)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// insertDelivery adds a delivery that waits or is held.
func insertDelivery(tx *history.Tx, webhook int64, it item, lane int64, state int) error {
	_, err := tx.Exec(`INSERT INTO deliveries (webhook, message, lane, size, state) VALUES (?, ?, ?, ?, ?)`, webhook, it.number, lane, it.size, state)
	return err
}

// failOldest fails the oldest deliveries that wait for an endpoint after a message, and returns the number of the last one, how many there are, and their size.
func failOldest(tx *history.Tx, webhook, after int64, limit int, problem string) (through int64, rows int, bytes int64, err error) {
	if _, err := tx.Get(`SELECT COALESCE(MAX(message), 0), COUNT(*), COALESCE(SUM(size), 0) FROM
		(SELECT message, size FROM deliveries WHERE webhook = ? AND message > ? AND state IN (0, 3) ORDER BY message LIMIT ?)`, []any{webhook, after, limit}, &through, &rows, &bytes); err != nil || rows == 0 {
		return 0, 0, 0, err
	}
	_, err = tx.Exec(`UPDATE deliveries SET state = 2, due = ?, problem = ? WHERE webhook = ? AND message > ? AND message <= ? AND state IN (0, 3)`,
		time.Now().UnixMilli(), problem, webhook, after, through)
	return through, rows, bytes, err
}

// writeOutcomes writes the outcomes of attempts, and returns which of the deliveries waited until then.
// A delivery that was dropped meanwhile because the queue was full may have arrived.
func writeOutcomes(tx *history.Tx, batch []outcome) (waited []bool, err error) {
	waited = make([]bool, len(batch))
	for i, o := range batch {
		var r sql.Result
		if o.ok() {
			r, err = tx.Exec(`UPDATE deliveries SET state = 1, attempts = ?, tried = ?, took = ?, status = ?, problem = '', answer = '' WHERE webhook = ? AND message = ? AND state IN (0, 3)`,
				o.attempts, history.Milli(o.at), o.duration.Milliseconds(), o.status, o.endpoint.number, o.message)
		} else {
			r, err = tx.Exec(`UPDATE deliveries SET state = ?, attempts = ?, due = ?, tried = ?, took = ?, status = ?, problem = ?, answer = ? WHERE webhook = ? AND message = ? AND state = 0`,
				o.state, o.attempts, history.Milli(o.due), history.Milli(o.at), o.duration.Milliseconds(), o.status, o.problem, o.excerpt, o.endpoint.number, o.message)
		}
		if err != nil {
			return nil, err
		}
		n, err := r.RowsAffected()
		if err != nil {
			return nil, err
		}
		if waited[i] = n > 0; waited[i] || !o.ok() {
			continue
		}
		if _, err := tx.Exec(`UPDATE deliveries SET state = 1, attempts = ?, tried = ?, took = ?, status = ?, problem = '', answer = '' WHERE webhook = ? AND message = ?`,
			o.attempts, history.Milli(o.at), o.duration.Milliseconds(), o.status, o.endpoint.number, o.message); err != nil {
			return nil, err
		}
	}
	return waited, nil
}

// readLanes reads lanes of an endpoint that aren't in memory, those that are due first.
// What was tried before the endpoint recovered is due, and what was tried in the future: the clock was set back since.
func readLanes(tx *history.Tx, webhook int64, r reading) (due map[int64]time.Time, more bool, err error) {
	due = map[int64]time.Time{}
	err = tx.Each(`SELECT lane, due FROM (SELECT lane, MIN(message), IIF(tried < ?3 OR tried > ?5, 0, due) AS due FROM deliveries WHERE webhook = ?1 AND state = 0 AND message > ?2 GROUP BY lane) ORDER BY due LIMIT ?4`,
		[]any{webhook, r.after, history.Milli(r.recovered), r.lanes + 1, time.Now().UnixMilli()}, func(scan history.Scan) error {
			var lane, at int64
			err := scan(&lane, &at)
			if more = len(due) == r.lanes; !more {
				due[lane] = history.TimeOf(at)
			}
			return err
		})
	return due, more, err
}

// readLane reads the next messages of a lane, and how often the first one was tried and when it is due, as in readLanes.
func readLane(tx *history.Tx, webhook, lane int64, r reading) (items []item, attempts int, due time.Time, err error) {
	err = tx.Each(`SELECT d.message, d.size, d.attempts, IIF(d.tried < ?4 OR d.tried > ?6, 0, d.due), m.event, m.path, m.content_type, m.body FROM deliveries d JOIN messages m ON m.number = d.message
		WHERE d.webhook = ?1 AND d.lane = ?2 AND d.state = 0 AND d.message > ?3 ORDER BY d.message LIMIT ?5`, []any{webhook, lane, r.after, history.Milli(r.recovered), laneItems, time.Now().UnixMilli()}, func(scan history.Scan) error {
		it := item{message: &stored{}}
		var tries int
		var at int64
		err := scan(&it.number, &it.size, &tries, &at, &it.message.event, &it.message.Path, &it.message.ContentType, &it.message.Body)
		if items == nil {
			attempts, due = tries, history.TimeOf(at)
		}
		items = append(items, it)
		return err
	})
	return items, attempts, due, err
}

// readStays returns the stays of a meeting, as far as they are recorded with nicks.
func readStays(tx *history.Tx, meeting history.ID) (all []Occupant, err error) {
	err = tx.Each(`SELECT s.nick, COALESCE(s.name, ''), COALESCE(s.user_id, ''), s.kind, s.joined, COALESCE(s.left_before, 0) FROM stays s JOIN meetings m ON m.number = s.meeting
		WHERE m.id = ? AND s.nick IS NOT NULL ORDER BY s.joined`, []any{meeting[:]}, func(scan history.Scan) error {
		var o Occupant
		var joined, left int64
		err := scan(&o.ID, &o.Name, &o.UserID, &o.Kind, &joined, &left)
		o.JoinedAt, o.LeftAt = history.TimeOf(joined), history.TimeOf(left)
		all = append(all, o)
		return err
	})
	return all, err
}
