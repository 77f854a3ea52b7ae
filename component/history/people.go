package history

import (
	"context"
	"encoding/hex"
	"time"
)

// Access is an entry in the log of reads of personal data.
type Access struct {
	At      time.Time
	Key     string // the name of the API key
	Action  string // such as "attendance"
	Meeting ID     // zero if it was a person
}

// Record is all that the file has of a person.
type Record struct {
	UserID    string
	Pseudonym string // empty unless recorded as one
	Stays     []Stay

	// Accesses are who read the record or the attendance of a meeting in it, latest first.
	Accesses []Access
}

// maxRecord is how many stays and accesses a Record has at most.
const maxRecord = 10_000

// Person returns the record of a person by its user id. It has no stays if there is none, and only those on one shard if that isn't empty.
func (s *Store) Person(ctx context.Context, userID, shard string) (r Record, err error) {
	r.UserID = userID
	err = s.Read(ctx, func(tx *Tx) error {
		hash, err := storedHash(tx, userID)
		if err != nil {
			return err
		}
		if r.Stays, err = stays(tx, "WHERE (s.user_id = ?1 OR s.pseudonym = ?2) AND ?3 IN ('', m.shard) ORDER BY s.joined DESC LIMIT ?4", userID, hash, shard, maxRecord); err != nil {
			return err
		}
		for _, stay := range r.Stays {
			if stay.Pseudonym != "" {
				r.Pseudonym = hex.EncodeToString(hash)
			}
		}
		return tx.Each(`SELECT at, key, action, meeting FROM accesses WHERE person = ?2 OR meeting IN
			(SELECT m.id FROM meetings m JOIN stays s ON s.meeting = m.number WHERE s.user_id = ?1 OR s.pseudonym = ?2) ORDER BY at DESC LIMIT ?3`, []any{userID, hash, maxRecord}, func(scan Scan) error {
			var a Access
			var at int64
			var meeting []byte
			err := scan(&at, &a.Key, &a.Action, &meeting)
			a.At = TimeOf(at)
			copy(a.Meeting[:], meeting)
			r.Accesses = append(r.Accesses, a)
			return err
		})
	})
	return r, err
}

// storedHash returns the hash of a user id with the key of the file, or nil if the file has no key.
func storedHash(tx *Tx, userID string) ([]byte, error) {
	var key []byte
	ok, err := tx.Get("SELECT value FROM settings WHERE name = 'pseudonym-key'", nil, &key)
	if err != nil || !ok {
		return nil, err
	}
	return PersonHash(tx, userID)
}

// LogAccess records a read of personal data. Either meeting or userID is empty.
func (s *Store) LogAccess(ctx context.Context, key, action string, meeting ID, userID string) error {
	return s.Write(ctx, func(tx *Tx) error {
		var of, person any
		if !meeting.IsZero() {
			of = meeting[:]
		}
		if userID != "" {
			hash, err := PersonHash(tx, userID)
			if err != nil {
				return err
			}
			person = hash
		}
		_, err := tx.Exec("INSERT INTO accesses (at, key, action, meeting, person) VALUES (?, ?, ?, ?, ?)", Milli(time.Now()), key, action, of, person)
		return err
	})
}

// DropKey throws the key of pseudonyms away, so that the pseudonym of a user id can no longer be computed.
// Later pseudonyms have a new key.
func (s *Store) DropKey(ctx context.Context) error {
	err := s.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec("DELETE FROM settings WHERE name = 'pseudonym-key'")
		return err
	})
	if err != nil {
		return err
	}
	return s.Checkpoint(ctx)
}

// Erase deletes all that the file has of a person and returns how many stays that were on each shard.
// A person who is present stays in the live view, but this stay isn't recorded.
func (r *Recorder) Erase(ctx context.Context, userID string) (erased map[string]int, err error) {
	committed := func() {}
	err = r.cfg.Store.Write(ctx, func(tx *Tx) error {
		hash, err := storedHash(tx, userID)
		if err != nil {
			return err
		}
		all, err := stays(tx, "WHERE s.user_id = ? OR s.pseudonym = ?", userID, hash)
		if err != nil {
			return err
		}
		erased = make(map[string]int)
		for _, stay := range all {
			erased[stay.Shard]++
		}
		if committed, err = r.eraseOutbox(ctx, tx, userID, all); err != nil {
			return err
		}
		for _, statement := range []string{
			"UPDATE present SET occupant = NULL WHERE occupant IS NOT NULL AND json_extract(occupant, '$.user_id') = ?1",
			"DELETE FROM accesses WHERE person = ?2",
			"DELETE FROM stays WHERE user_id = ?1 OR pseudonym = ?2",
		} {
			if _, err := tx.Exec(statement, userID, hash); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	committed()
	return erased, r.cfg.Store.Checkpoint(ctx)
}

// EraseStay deletes one stay of a meeting, such as that of a guest, or returns ErrNoStay.
func (r *Recorder) EraseStay(ctx context.Context, meeting, stay ID) error {
	committed := func() {}
	err := r.cfg.Store.Write(ctx, func(tx *Tx) error {
		all, err := stays(tx, "WHERE s.id = ? AND m.id = ?", stay[:], meeting[:])
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return ErrNoStay
		}
		if committed, err = r.eraseOutbox(ctx, tx, "", all); err != nil {
			return err
		}
		if _, err := tx.Exec("UPDATE present SET occupant = NULL WHERE stay = (SELECT number FROM stays WHERE id = ?)", stay[:]); err != nil {
			return err
		}
		_, err = tx.Exec("DELETE FROM stays WHERE id = ?", stay[:])
		return err
	})
	if err != nil {
		return err
	}
	committed()
	return r.cfg.Store.Checkpoint(ctx)
}

func (r *Recorder) eraseOutbox(ctx context.Context, tx *Tx, userID string, all []Stay) (committed func(), err error) {
	if r.cfg.Outbox == nil {
		return func() {}, nil
	}
	p := Person{UserID: userID}
	for _, s := range all {
		p.Stays = append(p.Stays, s.ID)
	}
	return r.cfg.Outbox.Erase(ctx, tx, p)
}
