package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"ppch/component/history"
)

// problemErased is the problem of a delivery whose body was erased before it was delivered.
const problemErased = "the person was erased"

// subject is whose data the body of a message contains. Its fields are nil without such data.
type subject struct {
	stay   []byte
	person []byte // hash of the user id; nil also for a guest
}

// subjectOf returns the subject of a message about e, with or without what identifies people.
func subjectOf(tx *history.Tx, e *Event, stay history.ID, named bool) (s subject, err error) {
	if e.Occupant == nil || !named {
		return subject{}, nil
	}
	s.stay = stay[:]
	if e.Occupant.UserID != "" {
		s.person, err = personHash(tx, e.Occupant.UserID)
	}
	return s, err
}

// personHash returns a hash of a user id with a key of the file, which it creates if there is none.
// It isn't the key of pseudonyms: bodies have to be found also after that was thrown away.
func personHash(tx *history.Tx, userID string) ([]byte, error) {
	var key []byte
	ok, err := tx.Get(`SELECT value FROM settings WHERE name = 'webhook-person-key'`, nil, &key)
	if err == nil && !ok {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
		_, err = tx.Exec(`INSERT INTO settings (name, value) VALUES ('webhook-person-key', ?)`, key)
	}
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(userID))
	return mac.Sum(nil)[:16], nil
}

// Erase implements [history.Outbox]: it deletes the bodies that are about a person. Deliveries of them that wait fail.
func (o *Outbox) Erase(_ context.Context, tx *history.Tx, p history.Person) (committed func(), err error) {
	stays, err := staysOf(tx, p)
	if err != nil {
		return nil, fmt.Errorf("webhook: erase bodies: %w", err)
	}
	var all []failedRows
	for _, stay := range stays {
		failed, err := eraseStay(tx, stay)
		if err != nil {
			return nil, fmt.Errorf("webhook: erase bodies: %w", err)
		}
		all = append(all, failed...)
	}
	return func() {
		for _, failed := range all {
			for _, e := range *o.all.Load() {
				if e.number == failed.webhook {
					e.queue.settled(failed.rows, failed.bytes)
					e.queue.forget() // it may have a body in memory
				}
			}
			o.metrics.dropped(failed.rows)
		}
	}, nil
}

// staysOf returns the stays of a person, and those that only messages know because no history is kept.
func staysOf(tx *history.Tx, p history.Person) ([]history.ID, error) {
	if p.UserID == "" {
		return p.Stays, nil
	}
	hash, err := personHash(tx, p.UserID)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(p.Stays)
	err = tx.Each(`SELECT DISTINCT stay FROM messages WHERE person = ? AND stay IS NOT NULL`, []any{hash}, func(scan history.Scan) error {
		var stay []byte
		if err := scan(&stay); err != nil {
			return err
		}
		if id := history.ID(stay); !slices.Contains(all, id) {
			all = append(all, id)
		}
		return nil
	})
	return all, err
}

// aboutStay are the messages about a stay, and those about a whole meeting that list it.
const aboutStay = `(SELECT number FROM messages WHERE stay = ?1 UNION ALL SELECT number FROM messages WHERE type = 'room.ended' AND path <> '' AND room IN
	(SELECT m.room FROM stays s JOIN meetings m ON m.number = s.meeting WHERE s.id = ?1))`

// failedRows are deliveries of one endpoint that no longer wait.
type failedRows struct {
	webhook int64
	rows    int
	bytes   int64
}

// eraseStay deletes the bodies with data of a stay, and returns which deliveries waited.
func eraseStay(tx *history.Tx, stay history.ID) (failed []failedRows, err error) {
	err = tx.Each(`SELECT webhook, COUNT(*), SUM(size) FROM deliveries WHERE state IN (0, 3) AND message IN `+aboutStay+` GROUP BY webhook`, []any{stay[:]}, func(scan history.Scan) error {
		var f failedRows
		err := scan(&f.webhook, &f.rows, &f.bytes)
		failed = append(failed, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(`UPDATE deliveries SET state = 2, due = ?3, problem = ?2 WHERE state IN (0, 3) AND message IN `+aboutStay,
		stay[:], problemErased, time.Now().UnixMilli()); err != nil {
		return nil, err
	}
	_, err = tx.Exec(`UPDATE messages SET body = '' WHERE number IN `+aboutStay, stay[:])
	return failed, err
}
