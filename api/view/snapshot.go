package view

import (
	"ppch/component/occupancy"
)

// SnapshotEvent is one part of a snapshot of rooms and occupants: the data of "snapshot" in a stream.
// Rooms, each a [SnapshotRoom], follow as its last field.
type SnapshotEvent struct {
	Event   string           `json:"event"`
	Time    string           `json:"time"`
	Part    int              `json:"part"`
	Last    bool             `json:"last"`
	Domains []SnapshotDomain `json:"domains"`
}

// SnapshotDomain is a domain in a snapshot. If it is not known, the snapshot has none of its rooms.
type SnapshotDomain struct {
	Shard  string  `json:"shard"`
	Domain string  `json:"domain"`
	Known  bool    `json:"known"`
	AsOf   *string `json:"as_of"`
}

// SnapshotRoom is a room in a snapshot, or a piece of one. Its occupants follow as its last fields.
type SnapshotRoom struct {
	RoomJID          string                 `json:"room_jid"`
	RoomName         string                 `json:"room_name"`
	DisplayName      string                 `json:"display_name"`
	MeetingURL       *string                `json:"meeting_url"`
	ParentRoomJID    *string                `json:"parent_room_jid"`
	ParticipantCount int                    `json:"participant_count"`
	Counts           map[occupancy.Kind]int `json:"counts"`
	Facts            EventFacts             `json:"facts"`

	// Shard is the one that has the room. If others have a room of this JID, too, the snapshot has one entry for each.
	Shard string `json:"shard"`
}

// NewSnapshotRoom returns the document for r without occupants, with or without free text.
func NewSnapshotRoom(names *occupancy.NameResolver, r occupancy.RoomSnapshot, named bool) SnapshotRoom {
	doc := SnapshotRoom{
		Shard:            r.Shard,
		RoomJID:          r.JID.String(),
		RoomName:         names.Name(r.JID),
		DisplayName:      names.Display(r.JID),
		MeetingURL:       OrNull(names.MeetingURL(r.JID, r.Parent)),
		ParentRoomJID:    OrNull(r.Parent.String()),
		ParticipantCount: r.Counts.People(),
		Counts:           r.Counts.Map(),
		Facts:            NewEventFacts(r.Type, r.Tenant, r.Facts, named),
	}
	doc.Facts.VisitorsWatched = r.WatchedVisitors
	return doc
}
