package history

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"ppch/component/occupancy"
)

// presence is a row of present.
type presence struct {
	nick     string
	stamp    time.Time // when it joined by Prosody's clock, or zero
	kind     occupancy.Kind
	rule     string // of the operator, or empty
	id       ID
	stay     sql.NullInt64
	occupant []byte
}

// storedOccupant is what the file keeps of a present occupant at LevelNames: no address of any kind.
type storedOccupant struct {
	Name        string     `json:"name,omitempty"`
	Role        string     `json:"role,omitempty"`
	Affiliation string     `json:"affiliation,omitempty"`
	JoinedAt    *time.Time `json:"joined_at,omitempty"`
	UserID      string     `json:"user_id,omitempty"`
	UserName    string     `json:"user_name,omitempty"`
	UserGroup   string     `json:"user_group,omitempty"`
}

// present returns the occupants of a room in the file, by nick.
func (b *batch) present(room string) (all []presence, err error) {
	err = b.tx.Each("SELECT nick, joined_stamp, kind, COALESCE(rule, ''), id, stay, occupant FROM present WHERE room = ? ORDER BY nick", []any{room}, func(scan Scan) error {
		var p presence
		var stamp int64
		var id []byte
		err := scan(&p.nick, &stamp, &p.kind, &p.rule, &id, &p.stay, &p.occupant)
		p.stamp = TimeOf(stamp)
		copy(p.id[:], id)
		all = append(all, p)
		return err
	})
	return all, err
}

// record returns what the file has of p.
func (p presence) record() occupancy.Occupant {
	o := occupancy.Occupant{ID: p.nick, Kind: p.kind, Rule: p.rule, Stamp: p.stamp}
	var stored storedOccupant
	if json.Unmarshal(p.occupant, &stored) == nil {
		o.Name, o.Role, o.Affiliation = stored.Name, stored.Role, stored.Affiliation
		o.UserID, o.UserName, o.UserGroup = stored.UserID, stored.UserName, stored.UserGroup
		if stored.JoinedAt != nil {
			o.JoinedAt = *stored.JoinedAt
		}
	}
	return o
}

// stored returns what the file keeps of o while it is present, or nil.
func (b *batch) stored(o occupancy.Occupant) []byte {
	if b.r.keep < LevelNames {
		return nil
	}
	s := storedOccupant{Name: o.Name, Role: o.Role, Affiliation: o.Affiliation, UserID: o.UserID, UserName: o.UserName, UserGroup: o.UserGroup}
	if !o.JoinedAt.IsZero() {
		s.JoinedAt = &o.JoinedAt
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings and times always have JSON
	}
	return text
}

// join records that an occupant joined.
func (b *batch) join(r *openRoom, e occupancy.Event, since time.Time) error {
	o := e.Occupant
	stamp := stampOf(o.Stamp, o.JoinedAt)
	id := StayID(r.id, o.ID, cmp.Or(stamp, e.At))
	stay, err := b.startStay(r, id, e, since)
	if err != nil {
		return err
	}
	if _, err := b.tx.Exec("INSERT OR REPLACE INTO present (room, nick, joined_stamp, kind, rule, id, stay, occupant) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		r.key(), o.ID, Milli(stamp), o.Kind, nullable(o.Rule), id[:], stay, b.stored(o)); err != nil {
		return err
	}
	before := e.Counts
	before[kindIndex(o.Kind)]--
	return b.emit(r, id, e, before, since)
}

// startStay adds the stay of an occupant who joined to the meeting, if that is recorded.
func (b *batch) startStay(r *openRoom, id ID, e occupancy.Event, since time.Time) (stay sql.NullInt64, err error) {
	o := e.Occupant
	if !r.meeting.Valid || !recorded(o.Kind, o.Rule) {
		return stay, nil
	}
	who, err := b.person(o)
	if err != nil {
		return stay, err
	}
	joined, joinedAfter := o.JoinedAt, sql.NullInt64{}
	if joined.IsZero() {
		joined, joinedAfter = e.At, sql.NullInt64{Int64: Milli(since), Valid: true}
	}
	// A row with this id is the same stay, which was ended by mistake.
	if _, err := b.tx.Exec(`INSERT INTO stays (id, meeting, kind, rule, joined_after, joined, nick, name, user_id, pseudonym) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET left_after = NULL, left_before = NULL, reason = NULL`,
		id[:], r.meeting, o.Kind, nullable(o.Rule), joinedAfter, Milli(joined), who.nick, who.name, who.userID, who.pseudonym); err != nil {
		return stay, err
	}
	if _, err := b.tx.Get("SELECT number FROM stays WHERE id = ?", []any{id[:]}, &stay); err != nil {
		return stay, err
	}
	return stay, b.peak(r, e.Counts)
}

// recorded reports whether stays of a kind are recorded: Jicofo is in every room, and Jitsi's clients show no hidden occupant.
// Occupants who are hidden by the operator's rule are people or bots like others.
func recorded(k occupancy.Kind, rule string) bool {
	return k != occupancy.KindFocus && (k != occupancy.KindHidden || rule != "")
}

func (b *batch) peak(r *openRoom, t occupancy.Counts) error {
	_, err := b.tx.Exec("UPDATE meetings SET peak = ?2 WHERE number = ?1 AND peak < ?2", r.meeting, t.People())
	return err
}

// update records that the record of an occupant changed.
func (b *batch) update(r *openRoom, e occupancy.Event, since time.Time) error {
	o := e.Occupant
	var was presence
	var id []byte
	ok, err := b.tx.Get("SELECT kind, COALESCE(rule, ''), id, stay FROM present WHERE room = ? AND nick = ?", []any{r.key(), o.ID}, &was.kind, &was.rule, &id, &was.stay)
	if err != nil {
		return err
	}
	if !ok {
		e.Kind = occupancy.EventJoined
		return b.join(r, e, since)
	}
	copy(was.id[:], id)
	stay := was.stay
	switch {
	case recorded(was.kind, was.rule) && !recorded(o.Kind, o.Rule):
		// Its presence now shows that it isn't a participant.
		if _, err := b.tx.Exec("DELETE FROM stays WHERE number = ?", stay); err != nil {
			return err
		}
		stay = sql.NullInt64{}
	case !recorded(was.kind, was.rule) && recorded(o.Kind, o.Rule):
		if stay, err = b.startStay(r, was.id, e, since); err != nil {
			return err
		}
	case stay.Valid:
		who, err := b.person(o)
		if err != nil {
			return err
		}
		if _, err := b.tx.Exec("UPDATE stays SET kind = ?, rule = ?, name = ?, user_id = ?, pseudonym = ? WHERE number = ?", o.Kind, nullable(o.Rule), who.name, who.userID, who.pseudonym, stay); err != nil {
			return err
		}
		if err := b.peak(r, e.Counts); err != nil {
			return err
		}
	}
	if _, err := b.tx.Exec("UPDATE present SET kind = ?, rule = ?, stay = ?, occupant = ? WHERE room = ? AND nick = ?", o.Kind, nullable(o.Rule), stay, b.stored(o), r.key(), o.ID); err != nil {
		return err
	}
	before := e.Counts
	before[kindIndex(o.Kind)]--
	before[kindIndex(was.kind)]++
	return b.emit(r, was.id, e, before, since)
}

// leave records that an occupant left at since or later.
func (b *batch) leave(r *openRoom, e occupancy.Event, since time.Time) error {
	o := e.Occupant
	var stay sql.NullInt64
	var id []byte
	ok, err := b.tx.Get("DELETE FROM present WHERE room = ? AND nick = ? RETURNING stay, id", []any{r.key(), o.ID}, &stay, &id)
	if err != nil {
		return err
	}
	stayID := StayID(r.id, o.ID, cmp.Or(stampOf(o.Stamp, o.JoinedAt), e.At))
	if ok {
		copy(stayID[:], id)
	}
	// A clock that was set back must not make a stay end before it began.
	if _, err := b.tx.Exec("UPDATE stays SET left_after = MAX(joined, ?), left_before = MAX(joined, ?), reason = NULLIF(?, '') WHERE number = ?", Milli(since), Milli(e.At), string(e.Reason), stay); err != nil {
		return err
	}
	if o.JoinedAt.After(since) {
		since = earlier(o.JoinedAt, e.At)
	}
	before := e.Counts
	before[kindIndex(o.Kind)]++
	return b.emit(r, stayID, e, before, since)
}

// identity is what a stay has of a person, by the level.
type identity struct {
	nick, name, userID sql.NullString
	pseudonym          []byte
}

func (b *batch) person(o occupancy.Occupant) (who identity, err error) {
	switch b.r.cfg.Level {
	case LevelNames:
		who.nick, who.name, who.userID = nullable(o.ID), nullable(o.Name), nullable(o.UserID)
		if o.Name == "" {
			who.name = nullable(o.UserName)
		}
	case LevelPseudonyms:
		if o.UserID != "" {
			who.pseudonym, err = PersonHash(b.tx, o.UserID)
		}
	}
	return who, err
}

func nullable(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// PersonHash returns the pseudonym of a user id: its hash with the key of the file, which it creates if there is none.
func PersonHash(tx *Tx, userID string) ([]byte, error) { return keyedHash(tx, []byte(userID)) }

// keyedHash returns 16 bytes of the HMAC of a text with the key of the file.
func keyedHash(tx *Tx, text []byte) ([]byte, error) {
	var key []byte
	ok, err := tx.Get("SELECT value FROM settings WHERE name = 'pseudonym-key'", nil, &key)
	if err == nil && !ok {
		key, err = newKey(tx)
	}
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)[:16], nil
}

// countsOf counts occupants by kind.
func countsOf(present []presence) (t occupancy.Counts) {
	for _, p := range present {
		t[kindIndex(p.kind)]++
	}
	return t
}

// kindIndex returns the place of a kind in Counts.
func kindIndex(k occupancy.Kind) int { return max(0, slices.Index(kinds, k)) }

var kinds = occupancy.Kinds()
