package view

import (
	"strconv"

	"ppch/component/occupancy"
)

// RoomSize is the answer of Jitsi's mod_muc_size to "GET /room-size".
type RoomSize struct {
	Participants int `json:"participants"`
}

// RoomMember is one entry of mod_muc_size's answer to "GET /room".
type RoomMember struct {
	// JID is the occupant's JID in the room.
	JID string `json:"jid"`

	// Email is always empty, as of a guest: PPCH passes on no e-mail addresses.
	Email       string `json:"email"`
	DisplayName string `json:"display_name"`
}

// NewRoomMembers returns the entries of the people in a room, whose occupants must be in order.
func NewRoomMembers(room occupancy.Room) []RoomMember {
	members := []RoomMember{}
	for _, r := range room.Occupants {
		if o := r.Occupant(); o.Kind.Person() {
			members = append(members, RoomMember{JID: room.JID.String() + "/" + o.ID, DisplayName: o.Name})
		}
	}
	return members
}

// RoomCensus is the answer of Jitsi's mod_muc_census to "GET /room-census".
type RoomCensus struct {
	Rooms []CensusRoom `json:"room_census"`
}

// CensusRoom is one room of a RoomCensus.
//
// It lacks mod_muc_census's "leaked": Prosody's sessions are unknown to PPCH.
type CensusRoom struct {
	RoomName     string `json:"room_name"` // the JID
	Participants int    `json:"participants"`

	// CreatedTime is in milliseconds since 1970, as text. It is absent if unknown.
	CreatedTime string `json:"created_time,omitempty"`
}

// NewCensusRoom returns the entry of a room.
func NewCensusRoom(g occupancy.RoomSummary) CensusRoom {
	doc := CensusRoom{RoomName: g.Address, Participants: g.Participants}
	if !g.CreatedAt.IsZero() {
		doc.CreatedTime = strconv.FormatInt(g.CreatedAt.UnixMilli(), 10)
	}
	return doc
}
