package occupancy

import (
	"errors"
	"slices"
	"time"
)

// What Apply refuses. After each of these only a new snapshot helps.
var (
	// ErrTotals is returned where a domain has other totals than were told: something has been missed.
	ErrTotals = errors.New("occupancy: the totals differ")

	// ErrNotBegun is returned for a batch to which no snapshot belongs.
	ErrNotBegun = errors.New("occupancy: no snapshot has been begun")

	// ErrOutOfOrder is returned for a batch of a snapshot that has been complete before.
	ErrOutOfOrder = errors.New("occupancy: part of a snapshot after its end")

	// ErrForeign is returned for a room that isn't on the domain that tells of it.
	ErrForeign = errors.New("occupancy: a room of another domain")
)

// Batch is one message of a MUC domain about its rooms.
type Batch struct {
	Deltas []Delta

	// Synced is set in the batch that completes a snapshot and in all after it.
	Synced bool

	// Rooms and Occupants are how many the domain has once the batch is applied.
	// They are told only with Synced, as is Unseen: whether there may be rooms that the domain couldn't look at.
	Rooms, Occupants int
	Unseen           bool
}

// Delta is what is told of one room: absolute facts, so that to apply one twice does no harm.
type Delta struct {
	// Room is the bare JID of the room as Prosody knows it.
	Room string

	// New is whether the occupants are stated from scratch: whoever isn't in Present isn't there.
	New bool

	// Gone is whether there is no such room any more. Then nothing else is told.
	Gone bool

	// Facts are nil where they stay as they are.
	Facts *RoomFacts

	// Left are nicks, Present whole occupants without their kind. Nobody is in both.
	Left    []string
	Present []Occupant
}

// RoomFacts is what is true of a room besides who is in it.
type RoomFacts struct {
	CreatedAt   time.Time // zero if unknown
	Stamp       time.Time // CreatedAt as Prosody's own clock had it
	MeetingID   string
	Subject     string
	Password    bool
	MembersOnly bool
	Visitors    *int   // on other servers; nil where focus hasn't said
	Lobby       string // JID, or empty
	Breakouts   []Breakout
}

// Breakout is a breakout room as its main room knows it.
type Breakout struct {
	JID  string
	Name string
}

// clone returns a copy that the caller owns.
func (f RoomFacts) clone() RoomFacts {
	f.Breakouts = slices.Clone(f.Breakouts)
	return f
}

// withoutNames returns f without what people write.
func (f RoomFacts) withoutNames() RoomFacts {
	f = f.clone()
	f.Subject = ""
	for i := range f.Breakouts {
		f.Breakouts[i].Name = ""
	}
	return f
}

func (f RoomFacts) equal(g RoomFacts) bool {
	return f.CreatedAt.Equal(g.CreatedAt) && f.Stamp.Equal(g.Stamp) && f.MeetingID == g.MeetingID && f.Subject == g.Subject &&
		f.Password == g.Password && f.MembersOnly == g.MembersOnly && equalNumbers(f.Visitors, g.Visitors) &&
		f.Lobby == g.Lobby && slices.Equal(f.Breakouts, g.Breakouts)
}

// equalNumbers reports whether two numbers, each nil where it isn't known, are the same.
func equalNumbers(a, b *int) bool {
	return a == b || a != nil && b != nil && *a == *b
}
