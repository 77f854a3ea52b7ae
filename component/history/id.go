package history

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"ppch/component/occupancy"
)

// ID identifies a meeting, a stay or an event. It is computed from Prosody's own facts. The zero ID means none.
type ID [16]byte

// ErrNotAnID is the error of a text that is not an ID.
var ErrNotAnID = errors.New("history: not an id: it has 32 hexadecimal digits")

// ParseID returns the ID that String writes as text.
func ParseID(text string) (ID, error) {
	var id ID
	if b, err := hex.DecodeString(text); err != nil || copy(id[:], b) != len(id) || len(b) != len(id) {
		return ID{}, ErrNotAnID
	}
	return id, nil
}

// String returns 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns the text of String, for JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText sets id to that of a text.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// IsZero reports whether id is the zero ID.
func (id ID) IsZero() bool { return id == ID{} }

// computeID returns an ID that is the same for the same parts.
func computeID(parts ...string) (id ID) {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	copy(id[:], sum[:])
	return id
}

// MeetingID returns the ID of the meeting in a room. created is when the room opened by Prosody's clock.
func MeetingID(shard, room string, created time.Time) ID {
	return computeID("meeting", shard, room, stampText(created))
}

// StayID returns the ID of a stay in a meeting. joined is by Prosody's clock.
func StayID(meeting ID, nick string, joined time.Time) ID {
	return computeID("stay", string(meeting[:]), nick, stampText(joined))
}

// stampText returns a time as the module sends it, in Unix milliseconds.
func stampText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

// ID returns the id of the message of a type, such as "participant.joined", that e causes.
//
// It depends on Prosody's facts only: the meeting and, if an occupant causes the message, its stay.
// For changes that can occur repeatedly in one stay or meeting it also depends on when they did.
// For the status of a domain it depends on the start of the gap.
func (e Event) ID(messageType string) ID {
	parts := []string{"event", messageType, string(e.Meeting[:]), string(e.Stay[:])}
	switch e.Kind {
	case occupancy.EventUpdated, occupancy.EventRoomUpdated:
		parts = append(parts, stampText(e.At))
	case occupancy.EventStatus:
		parts = append(parts, e.Shard, e.Room.String())
		if e.Gap != nil {
			parts = append(parts, stampText(e.Gap.Began))
		}
	}
	return computeID(parts...)
}
