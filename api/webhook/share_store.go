package webhook

import (
	"slices"
	"time"

	"ppch/component/history"
)

// indexEvents makes messages quick to find by their event. Only services that share a shard need it.
func indexEvents(tx *history.Tx) error {
	_, err := tx.Exec(`CREATE INDEX IF NOT EXISTS messages_by_event ON messages (event)`)
	return err
}

// holdShard holds what waits of a shard.
func holdShard(tx *history.Tx, shard string) error {
	_, err := tx.Exec(`UPDATE deliveries SET state = 3 WHERE state = 0 AND (SELECT shard FROM messages WHERE number = message) = ?`, shard)
	return err
}

// releaseShard makes what is held of a shard wait.
func releaseShard(tx *history.Tx, shard string) error {
	_, err := tx.Exec(`UPDATE deliveries SET state = 0 WHERE state = 3 AND (SELECT shard FROM messages WHERE number = message) = ?`, shard)
	return err
}

// releaseOthers makes what is held of all shards but these wait.
func releaseOthers(tx *history.Tx, shards []string) error {
	var others []string
	err := tx.Each(`SELECT DISTINCT m.shard FROM deliveries d JOIN messages m ON m.number = d.message WHERE d.state = 3`, nil, func(scan history.Scan) error {
		var shard string
		err := scan(&shard)
		if !slices.Contains(shards, shard) {
			others = append(others, shard)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, shard := range others {
		if err := releaseShard(tx, shard); err != nil {
			return err
		}
	}
	return nil
}

// heldRow is a delivery that is held.
type heldRow struct {
	number  int64
	lane    int64
	size    int
	event   string
	typ     Type
	room    string
	created int64
}

// readHeld returns the first deliveries of an endpoint that are held for a shard, after a message.
func readHeld(tx *history.Tx, webhook int64, shard string, after int64) (all []heldRow, err error) {
	err = tx.Each(`SELECT d.message, d.lane, d.size, m.event, m.type, m.room, m.created FROM deliveries d JOIN messages m ON m.number = d.message
		WHERE d.webhook = ? AND d.state = 3 AND d.message > ? AND m.shard = ? ORDER BY d.message LIMIT ?`, []any{webhook, after, shard, askAtOnce}, func(scan history.Scan) error {
		var h heldRow
		err := scan(&h.number, &h.lane, &h.size, &h.event, &h.typ, &h.room, &h.created)
		all = append(all, h)
		return err
	})
	return all, err
}

// stateOf returns the letter for what became of an event for an endpoint. One that is sent again was delivered before.
func stateOf(tx *history.Tx, webhook int64, event string) (byte, error) {
	letter := byte(letterUnknown)
	err := tx.Each(`SELECT d.state FROM messages m JOIN deliveries d ON d.webhook = ? AND d.message = m.number WHERE m.event = ?`, []any{webhook, event}, func(scan history.Scan) error {
		var state int
		if err := scan(&state); err != nil {
			return err
		}
		switch {
		case state == stateDelivered:
			letter = letterDelivered
		case letter == letterDelivered:
		case state == stateWaiting || state == stateHeld:
			letter = letterWaiting
		case letter == letterUnknown:
			letter = letterFailed
		}
		return nil
	})
	return letter, err
}

// fate is what becomes of a delivery that was held: a state, or it is dropped because it isn't to be sent at all.
type fate struct {
	heldRow
	state   int
	problem string
	drop    bool
}

// settle writes the fates of deliveries of an endpoint, and returns the number and size of those that no longer wait.
func settle(tx *history.Tx, webhook int64, fates []fate) (rows int, size int64, err error) {
	for _, f := range fates {
		query, args := `UPDATE deliveries SET state = ?1, due = IIF(?1 = 0, due, ?2), problem = ?3 WHERE webhook = ?4 AND message = ?5 AND state = 3`,
			[]any{f.state, time.Now().UnixMilli(), f.problem, webhook, f.number}
		if f.drop {
			query, args = `DELETE FROM deliveries WHERE webhook = ? AND message = ? AND state = 3`, []any{webhook, f.number}
		}
		r, err := tx.Exec(query, args...)
		if err != nil {
			return 0, 0, err
		}
		n, err := r.RowsAffected()
		if err != nil {
			return 0, 0, err
		}
		if n > 0 && (f.drop || f.state != stateWaiting) {
			rows++
			size += int64(f.size)
		}
	}
	return rows, size, nil
}
