package history

import (
	"context"
	"time"

	"ppch/component/occupancy"
)

// Outbox receives the events of each batch within the transaction that records them, to store what is to be sent.
// The Recorder calls one method at a time, except Needs.
type Outbox interface {
	// Needs is how much the messages of all endpoints together contain of a person; LevelOff if no endpoint wants events.
	// It decides what the file keeps of present occupants. Call [Recorder.Changed] when it changes.
	Needs() Level

	// Append adds to tx what is to be sent because of events. It must not wait for anything but the database.
	// committed runs once the events are in the file; nil for nothing.
	Append(ctx context.Context, tx *Tx, events []Event) (committed func(), err error)

	// Erase removes from the tables of the Outbox what they have of a person, before the stays are deleted.
	// committed runs once that is in the file.
	Erase(ctx context.Context, tx *Tx, p Person) (committed func(), err error)
}

// Person is a person to erase.
type Person struct {
	// UserID is as in [occupancy.Occupant], empty for a guest.
	UserID string

	// Stays are the stays of the person in the file. Message ids and bodies may refer to them.
	Stays []ID
}

// Event is a change of a room or of a domain as it is recorded.
//
// Of an occupant who left while PPCH wasn't watching, Occupant has only what the file kept: at least ID, Kind and Stamp.
// Facts may then be nil, too, and Seq is that of the snapshot that showed the change.
type Event struct {
	occupancy.Event

	// Shard names the Prosody.
	Shard string

	// Meeting and Stay are computed. Stay is zero for events of a room, both are for events of a domain.
	Meeting, Stay ID

	// Created is when the room opened by Prosody's clock, or zero if Prosody doesn't know.
	Created time.Time

	// MeetingID is the id that Jitsi gave the meeting, or empty.
	MeetingID string

	// Main is, for a lobby room, the main room, which a person waits to enter; nil if it isn't known.
	Main *MainRoom

	// Before counts the occupants before the change, Counts after it.
	Before occupancy.Counts

	// NotBefore and At are the bounds of when it happened. They are equal for a change that PPCH watched.
	NotBefore time.Time

	// Gap is, for EventStatus, the time without watching that begins or, if Ended is set, that is over; nil for other kinds.
	Gap *Gap
}

// MainRoom is the open main room of an Event; its fields are as in Event.
type MainRoom struct {
	Meeting   ID
	MeetingID string
	Created   time.Time
}

// Gap is a time in which PPCH didn't watch the rooms of a domain.
type Gap struct {
	Domain string
	Began  time.Time // when the domain was last confirmed
	Ended  time.Time // zero while it lasts
	Reason GapReason
}

// GapReason is why there is a Gap.
type GapReason string

// The reasons of gaps, in addition to those of [occupancy.Reason].
const (
	GapStopped  GapReason = "stopped"  // PPCH wasn't running
	GapOverload GapReason = "overload" // events came faster than they could be stored
	GapStore    GapReason = "store"    // the file couldn't be written
	GapResync   GapReason = "resync"   // the stream of changes was interrupted for a moment
)
