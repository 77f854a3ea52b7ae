package view

import (
	"fmt"
	"strings"
	"time"

	"ppch/component/occupancy"
)

// inexactNote explains an inexact count.
const inexactNote = "participant_count is the number of all occupants, Jitsi's focus and recorders included. " +
	"For the exact number of people, load the Lua module mod_room_participants_api in Prosody."

// unknownShardsNote explains a count without some shards.
const unknownShardsNote = "The room may also be on shards that can't be read now (%s). participant_count is without them: there are at least as many people."

// RoomPart is a room on one of several shards that have it.
type RoomPart struct {
	Shard            string                 `json:"shard"`
	ParticipantCount int                    `json:"participant_count"`
	Exact            bool                   `json:"exact"`
	Counts           map[occupancy.Kind]int `json:"counts"`
	CreatedAt        *string                `json:"created_at"`
	AsOf             string                 `json:"as_of"`
}

// Room is a room with its occupants: "GET /api/rooms/{room_name}". The terminal and the doctor decode it; the API encodes its parts separately.
type Room struct {
	RoomName string `json:"room_name"`
	NameNote string `json:"name_note"`
	Headcount
	Participants []string `json:"participants"`
	RoomDetail
	Occupants []OccupantDetail `json:"occupants"`
	AsOf      string           `json:"as_of"`
}

// Headcount is whether a room exists, and its number of people.
// Clients have relied on the types of these fields since version 1.
type Headcount struct {
	Exists           bool `json:"exists"`
	ParticipantCount int  `json:"participant_count"`
	HasParticipants  bool `json:"has_participants"`
}

// NewHeadcount returns the document for a room.
func NewHeadcount(room occupancy.Room) Headcount {
	if !room.Exists {
		return Headcount{}
	}
	return Headcount{Exists: true, ParticipantCount: room.Participants, HasParticipants: room.Participants > 0}
}

// RoomCounts is everything else that is counted in a room.
type RoomCounts struct {
	RoomJID     *string `json:"room_jid"`
	DisplayName string  `json:"display_name"`
	MeetingURL  *string `json:"meeting_url"`

	Counts    map[occupancy.Kind]int `json:"counts"`
	CreatedAt *string                `json:"created_at"`
	Source    occupancy.Source       `json:"source"`
	Exact     bool                   `json:"exact"`
	Note      string                 `json:"note,omitempty"`

	// Shard is the shard that has the room, or was asked for it, nil (null) if several have it or if that is unknown. Parts are the rooms of a split room on
	// each of its shards, and UnknownShards those that may have the room, too.
	Shard         *string    `json:"shard"`
	Split         bool       `json:"split,omitempty"`
	Parts         []RoomPart `json:"parts,omitempty"`
	UnknownShards []string   `json:"unknown_shards,omitempty"`

	// MeetingParticipantCount includes the people in breakout rooms.
	MeetingParticipantCount *int `json:"meeting_participant_count"`

	Visitors       *int                     `json:"visitors"`
	VisitorsSource occupancy.VisitorsSource `json:"visitors_source,omitempty"` // absent without a number from focus
	Lobby          *RelatedRoom             `json:"lobby"`
	BreakoutRooms  []BreakoutRoom           `json:"breakout_rooms"`
}

// RelatedRoom is another room of the same meeting. Its fields are nil (null) if its domain isn't watched.
type RelatedRoom struct {
	RoomJID          string `json:"room_jid"`
	Exists           *bool  `json:"exists"`
	ParticipantCount *int   `json:"participant_count"`
}

// BreakoutRoom is a breakout room. Its name is free text, and nil (null) for keys that may not read names.
type BreakoutRoom struct {
	RelatedRoom
	Name *string `json:"name"`
}

// NewRoomCounts returns the document for a room, with or without the names of breakout rooms.
func NewRoomCounts(names *occupancy.NameResolver, room occupancy.Room, named bool) RoomCounts {
	doc := RoomCounts{
		DisplayName: names.Display(room.JID),
		MeetingURL:  OrNull(names.MeetingURL(room.JID, room.Parent)),
		Source:      room.Source,
	}
	if !room.Exists {
		doc.Shard = OrNull(room.Shard)
		// From any source: a room that does not exist has exactly 0 people.
		doc.Exact = true
		doc.Counts = map[occupancy.Kind]int{}
		doc.Visitors, doc.MeetingParticipantCount = new(0), new(0)
		if room.VisitorsSource == occupancy.VisitorsFromNodes { // some may still be on a visitor node
			doc.Visitors, doc.VisitorsSource = room.Visitors, room.VisitorsSource
		}
		doc.BreakoutRooms = []BreakoutRoom{}
		return doc
	}
	doc.RoomJID = new(room.JID.String())
	doc.Counts = room.Counts
	doc.CreatedAt = Stamp(room.CreatedAt)
	doc.Exact = room.Exact
	doc.Note = note(room)
	doc.addShards(room)
	if room.Source == occupancy.SourceModule {
		doc.addRelated(room, named)
	}
	return doc
}

// addRelated adds people who belong to the meeting but are not in the room. Of the other numbers only the meeting's includes any of them.
func (v *RoomCounts) addRelated(room occupancy.Room, names bool) {
	if room.Visitors != nil || room.VisitorsSource == occupancy.VisitorsFromNodes {
		v.VisitorsSource = room.VisitorsSource
	}
	v.Visitors, v.MeetingParticipantCount = room.Visitors, room.MeetingParticipants
	if room.Lobby != nil {
		v.Lobby = new(newRelatedRoom(*room.Lobby))
	}
	v.BreakoutRooms = make([]BreakoutRoom, 0, len(room.Breakouts))
	for _, b := range room.Breakouts {
		doc := BreakoutRoom{RelatedRoom: newRelatedRoom(b)}
		if names {
			doc.Name = &b.Name
		}
		v.BreakoutRooms = append(v.BreakoutRooms, doc)
	}
}

// addShards adds which shards have the room, and which may have it.
func (v *RoomCounts) addShards(room occupancy.Room) {
	v.Shard, v.Split, v.UnknownShards = OrNull(room.Shard), room.Split, room.UnknownShards
	for _, p := range room.Parts {
		v.Parts = append(v.Parts, RoomPart{
			Shard: p.Shard, ParticipantCount: p.Participants, Exact: p.Exact, Counts: p.Counts, CreatedAt: Stamp(p.CreatedAt), AsOf: FormatTime(p.AsOf),
		})
	}
}

// note explains an inexact count; it is empty for an exact one.
func note(room occupancy.Room) string {
	var notes []string
	if len(room.UnknownShards) > 0 {
		notes = append(notes, fmt.Sprintf(unknownShardsNote, strings.Join(room.UnknownShards, ", ")))
	}
	// Only a shard with the module reports numbers by kind.
	if !room.Exact && room.Counts == nil {
		notes = append(notes, inexactNote)
	}
	return strings.Join(notes, " ")
}

func newRelatedRoom(ref occupancy.RoomRef) RelatedRoom {
	doc := RelatedRoom{RoomJID: ref.JID.String()}
	if ref.Known {
		doc.Exists, doc.ParticipantCount = &ref.Exists, &ref.Participants
	}
	return doc
}

// RoomFacts are further facts of a room; unknown ones are nil (null).
type RoomFacts struct {
	Type              *occupancy.RoomType `json:"type"`
	Tenant            *string             `json:"tenant"`
	ParentRoomJID     *string             `json:"parent_room_jid"`
	Subject           *string             `json:"subject"`
	MeetingID         *string             `json:"meeting_id"`
	PasswordProtected *bool               `json:"password_protected"`
	MembersOnly       *bool               `json:"members_only"`
}

// newRoomFacts returns the facts of a room. Its subject is free text, and counts as a name.
func newRoomFacts(room occupancy.Room, names bool) RoomFacts {
	if room.Source != occupancy.SourceModule {
		return RoomFacts{}
	}
	doc := RoomFacts{Type: &room.Type}
	if !room.Exists {
		return doc
	}
	doc.Tenant = OrNull(room.Tenant)
	doc.ParentRoomJID = OrNull(room.Parent.String())
	doc.MeetingID = OrNull(room.MeetingID)
	doc.PasswordProtected, doc.MembersOnly = &room.Password, &room.MembersOnly
	if names {
		doc.Subject = OrNull(room.Subject)
	}
	return doc
}

// ListedRoom is a room of a list, without what [Presence] has.
type ListedRoom struct {
	RoomCounts
	RoomFacts
}

// NewListedRoom returns the document for a room, with or without names.
func NewListedRoom(names *occupancy.NameResolver, room occupancy.Room, named bool) ListedRoom {
	return ListedRoom{NewRoomCounts(names, room, named), newRoomFacts(room, named)}
}

// RoomDetail is a ListedRoom with its duration.
type RoomDetail struct {
	ListedRoom
	DurationSeconds *int64 `json:"duration_seconds"`
}

// NewRoomDetail returns the document for a room, with or without names.
func NewRoomDetail(names *occupancy.NameResolver, room occupancy.Room, named bool) RoomDetail {
	return RoomDetail{NewListedRoom(names, room, named), duration(room, room.CreatedAt)}
}

// duration returns the whole seconds from since to the time of the data, nil (null) if since is unknown.
func duration(room occupancy.Room, since time.Time) *int64 {
	if since.IsZero() {
		return nil
	}
	return new(max(0, int64(room.AsOf.Sub(since)/time.Second)))
}

// PageEnd ends a list of rooms: "GET /api/rooms".
type PageEnd struct {
	NextCursor *string `json:"next_cursor"`
	AsOf       string  `json:"as_of"`
}
