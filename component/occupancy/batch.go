package occupancy

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Errors of [Shard.Apply]. Each requires a resync.
var (
	// ErrTotals means that the replica's totals differ from the reported ones: a change was missed.
	ErrTotals = errors.New("occupancy: the totals differ")

	// ErrNotBegun means that no snapshot was begun before this batch.
	ErrNotBegun = errors.New("occupancy: no snapshot was begun")

	// ErrOutOfOrder means that a batch belongs to a snapshot that is already complete.
	ErrOutOfOrder = errors.New("occupancy: batch of a snapshot that is already complete")

	// ErrForeign means that a domain reported a room of another domain.
	ErrForeign = errors.New("occupancy: a room of another domain")
)

// Batch is one message of a MUC domain about its rooms.
type Batch struct {
	Deltas []Delta

	// Synced is set in the batch that completes a snapshot and in all after it.
	Synced bool

	// Rooms and Occupants are the domain's totals after the batch.
	// Unseen is whether there may be rooms that Prosody couldn't read. All three are valid only with Synced.
	Rooms, Occupants int
	Unseen           bool

	// Origin is how another program has numbered the batch; its Index means nothing.
	// It is zero for a batch from Prosody itself, which the [Shard] numbers.
	Origin Origin
}

// Delta is what has changed in one room, as absolute facts: applying it twice does no harm.
type Delta struct {
	// Room is the bare JID of the room as Prosody knows it.
	Room string

	// New is whether Present lists all occupants of the room.
	New bool

	// Gone is whether the room has ended. Apart from the reasons the other fields are then empty.
	Gone bool

	// Facts is nil if they haven't changed.
	Facts *RoomFacts

	// Left are the nicks of occupants who left, Present complete records without their kind. No nick is in both.
	Left    []string
	Present []Occupant

	// Reasons are why occupants left, by nick, Reason is why all others did, and empty if unknown.
	// Alternate is the address of the room that was named instead of a destroyed one, or empty.
	Reasons   map[string]LeaveReason
	Reason    LeaveReason
	Alternate string
}

// LeaveReason is why an occupant left; empty if Prosody doesn't know.
type LeaveReason string

// Why an occupant left. All but [LeaveMoved] come from Prosody; that one is the word of the occupant's own client.
const (
	LeaveByChoice      LeaveReason = "left"
	LeaveKicked        LeaveReason = "kicked"
	LeaveBanned        LeaveReason = "banned"
	LeaveRoomDestroyed LeaveReason = "room-destroyed"
	LeaveDisconnected  LeaveReason = "disconnected" // its connection ended, or was not resumed in time
	LeaveReplaced      LeaveReason = "replaced"     // by another connection of the same client
	LeaveMoved         LeaveReason = "moved"        // into another room of the meeting, such as a breakout room
)

// ParseLeaveReason returns the reason of that name, or an empty one for an unknown name.
func ParseLeaveReason(name string) LeaveReason {
	switch r := LeaveReason(name); r {
	case LeaveByChoice, LeaveKicked, LeaveBanned, LeaveRoomDestroyed, LeaveDisconnected, LeaveReplaced, LeaveMoved:
		return r
	}
	return ""
}

// reasonOf returns why the occupant of a nick left by this delta.
func (d *Delta) reasonOf(nick string) LeaveReason {
	if d == nil {
		return ""
	}
	if r, ok := d.Reasons[nick]; ok {
		return r
	}
	return d.Reason
}

// RoomFacts are the properties of a room, occupants aside.
type RoomFacts struct {
	CreatedAt   time.Time // zero if unknown
	Stamp       time.Time // CreatedAt by Prosody's clock
	MeetingID   string
	Subject     string
	Password    bool
	MembersOnly bool
	Visitors    *int   // on other servers; nil until focus reports it
	Lobby       string // JID, or empty
	Breakouts   []Breakout
}

// Breakout is a breakout room as its main room lists it.
type Breakout struct {
	JID  string
	Name string
}

// clone returns a copy that the caller owns.
func (f RoomFacts) clone() RoomFacts {
	f.Breakouts = slices.Clone(f.Breakouts)
	return f
}

// own returns a copy that the caller owns and that shares no memory with the text that f was decoded from.
func (f RoomFacts) own() RoomFacts {
	f = f.clone()
	f.MeetingID, f.Subject, f.Lobby = strings.Clone(f.MeetingID), strings.Clone(f.Subject), strings.Clone(f.Lobby)
	for i, b := range f.Breakouts {
		f.Breakouts[i] = Breakout{JID: strings.Clone(b.JID), Name: strings.Clone(b.Name)}
	}
	return f
}

// withoutNames returns a copy of f without the texts that people write.
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

// equalNumbers reports whether two optional numbers are equal.
func equalNumbers(a, b *int) bool {
	return a == b || a != nil && b != nil && *a == *b
}
