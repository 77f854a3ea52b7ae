package occupancy

import (
	"cmp"
	"encoding/binary"
	"strings"
	"time"
	"unique"
)

// Record is an [Occupant] in about half the memory. It never changes, so all readers share it.
type Record struct {
	texts         string // each after its length; see Occupant.texts
	common        unique.Handle[common]
	joined, stamp int64  // times in milliseconds since 1970
	hash          uint64 // in a replica
}

// common are those properties that many occupants have alike.
type common struct {
	kind                    Kind
	rule, role, affiliation string
	connection              Connection
	flags                   PresenceFlags
}

// texts are the texts of an occupant's own.
func (o *Occupant) texts() [9]*string {
	return [...]*string{&o.MovedFrom, &o.ID, &o.Name, &o.RealJID, &o.AvatarURL, &o.UserID, &o.UserName, &o.UserGroup, &o.UserEmail}
}

// NewRecord returns the record of an occupant, with its times in whole milliseconds. It shares no memory with the texts of o.
func NewRecord(o Occupant) *Record {
	var buffer [256]byte
	texts := buffer[:0]
	for _, s := range o.texts() {
		texts = append(binary.AppendUvarint(texts, uint64(len(*s))), *s...)
	}
	return &Record{
		texts: string(texts), joined: o.JoinedAt.UnixMilli(), stamp: o.Stamp.UnixMilli(),
		common: unique.Make(common{o.Kind, o.Rule, o.Role, o.Affiliation, o.Connection, o.Flags}),
	}
}

// Occupant returns the occupant.
func (r *Record) Occupant() Occupant {
	c := r.common.Value()
	o := Occupant{
		Kind: c.kind, Rule: c.rule, Role: c.role, Affiliation: c.affiliation, Connection: c.connection, Flags: c.flags,
		JoinedAt: unixMilli(r.joined), Stamp: unixMilli(r.stamp),
	}
	rest := r.texts
	for _, s := range o.texts() {
		*s, rest = cutText(rest)
	}
	return o
}

// Kind returns the kind of the occupant.
func (r *Record) Kind() Kind { return r.common.Value().kind }

// ID returns the nick of the occupant.
func (r *Record) ID() string {
	_, rest := cutText(r.texts) // MovedFrom
	id, _ := cutText(rest)
	return id
}

// Compare compares occupants by the time at which they joined.
func (r *Record) Compare(other *Record) int {
	return cmp.Or(cmp.Compare(r.joined, other.joined), cmp.Compare(r.stamp, other.stamp), strings.Compare(r.ID(), other.ID()))
}

// stay returns the time that distinguishes this stay from others under the same nick.
func (r *Record) stay() time.Time {
	if at := unixMilli(r.stamp); !at.IsZero() {
		return at
	}
	return unixMilli(r.joined)
}

// moved reports whether MovedFrom is set: it is the first text.
func (r *Record) moved() bool { return r.texts[0] != 0 }

// cutText returns the text after the length that s begins with, and what follows.
func cutText(s string) (text, rest string) {
	n := 0
	for shift := 0; ; shift += 7 {
		b := s[0]
		n, s = n|int(b&0x7f)<<shift, s[1:]
		if b < 0x80 {
			return s[:n], s[n:]
		}
	}
}

// unixMilli returns the time; that of the zero Time is zero again.
func unixMilli(n int64) time.Time { return time.UnixMilli(n).UTC() }
