package api

import (
	"bytes"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// eventNames are what clients call the kinds of events.
var eventNames = map[occupancy.EventKind]string{
	occupancy.EventRoomStarted: "room.started",
	occupancy.EventRoomUpdated: "room.updated",
	occupancy.EventRoomEnded:   "room.ended",
	occupancy.EventJoined:      "participant.joined",
	occupancy.EventUpdated:     "participant.updated",
	occupancy.EventLeft:        "participant.left",
}

// eventView is what has happened in a room, and who is there since.
type eventView struct {
	Event            string                 `json:"event"`
	Time             string                 `json:"time"`
	RoomJID          string                 `json:"room_jid"`
	RoomName         string                 `json:"room_name"`
	ParentRoomJID    *string                `json:"parent_room_jid"`
	ParticipantCount int                    `json:"participant_count"`
	Counts           map[occupancy.Kind]int `json:"counts"`
	Occupant         *occupantView          `json:"occupant"`
	Facts            *eventFactsView        `json:"facts"`
}

// eventFactsView is what is true of a room besides who is in it.
type eventFactsView struct {
	Type              occupancy.RoomType  `json:"type"`
	Tenant            *string             `json:"tenant"`
	CreatedAt         *string             `json:"created_at"`
	Subject           *string             `json:"subject"`
	MeetingID         *string             `json:"meeting_id"`
	PasswordProtected bool                `json:"password_protected"`
	MembersOnly       bool                `json:"members_only"`
	Visitors          *int                `json:"visitors"`
	LobbyJID          *string             `json:"lobby_jid"`
	BreakoutRooms     []eventBreakoutView `json:"breakout_rooms"`
}

// eventBreakoutView is a breakout room by its address and, for those who may know it, its name.
type eventBreakoutView struct {
	RoomJID string  `json:"room_jid"`
	Name    *string `json:"name"`
}

// newEventView returns e as it is told, with or without what names people or what they write.
func newEventView(names *occupancy.NameResolver, name string, e occupancy.Event, named bool) eventView {
	doc := eventView{
		Event:            name,
		Time:             e.At.UTC().Format(view.Timestamp),
		RoomJID:          e.Room.String(),
		RoomName:         names.Name(e.Room),
		ParentRoomJID:    view.OrNull(e.Parent.String()),
		ParticipantCount: e.Counts.People(),
		Counts:           e.Counts.Map(),
	}
	switch e.Kind {
	case occupancy.EventJoined, occupancy.EventUpdated, occupancy.EventLeft:
		if named {
			doc.Occupant = new(newOccupantView(e.Occupant, occupancy.SourceModule))
		}
	}
	if e.Facts != nil {
		doc.Facts = new(newEventFactsView(e.Type, e.Tenant, *e.Facts, named))
	}
	return doc
}

func newEventFactsView(typ occupancy.RoomType, tenant string, f occupancy.RoomFacts, named bool) eventFactsView {
	doc := eventFactsView{
		Type:              typ,
		Tenant:            view.OrNull(tenant),
		CreatedAt:         view.Stamp(f.CreatedAt),
		MeetingID:         view.OrNull(f.MeetingID),
		PasswordProtected: f.Password,
		MembersOnly:       f.MembersOnly,
		Visitors:          f.Visitors,
		LobbyJID:          view.OrNull(f.Lobby),
		BreakoutRooms:     make([]eventBreakoutView, 0, len(f.Breakouts)),
	}
	if named {
		doc.Subject = view.OrNull(f.Subject)
	}
	for _, b := range f.Breakouts {
		child := eventBreakoutView{RoomJID: b.JID}
		if named {
			child.Name = &b.Name
		}
		doc.BreakoutRooms = append(doc.BreakoutRooms, child)
	}
	return doc
}

// resetReason is why a client has to discard its state.
type resetReason string

// The reasons for a reset.
const (
	resetUnknown  resetReason = "unknown-id"    // Last-Event-ID is not one of this process: mostly because of a restart
	resetExpired  resetReason = "expired"       // Last-Event-ID is too old
	resetSlow     resetReason = "slow-consumer" // the client read more slowly than events came
	resetLoaded   resetReason = "loaded"        // the rooms of a domain have been loaded
	resetUnloaded resetReason = "unloaded"      // the rooms of a domain have become unavailable
)

// resetReasons are all reasons, in the order of their metrics.
var resetReasons = [...]resetReason{resetUnknown, resetExpired, resetSlow, resetLoaded, resetUnloaded}

// resetView says that what was told before is not to be built on.
type resetView struct {
	Event  string      `json:"event"`
	Reason resetReason `json:"reason"`
	Domain *string     `json:"domain"`
	Time   string      `json:"time"`
}

// newResetView returns a reset of one domain, or of everything if domain is empty.
func newResetView(reason resetReason, domain string) resetView {
	return resetView{Event: "reset", Reason: reason, Domain: view.OrNull(domain), Time: time.Now().UTC().Format(view.Timestamp)}
}

// encode returns an event as the HTML standard's section 9.2, Server-sent events, has it; id may be empty.
// JSON has no line ends, so whatever people write stays within its line.
func encode(id, name string, view any) []byte {
	data := marshal(view)
	var b bytes.Buffer
	b.Grow(len(data) + len(id) + len(name) + 24)
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	b.WriteString("event: " + name + "\ndata: ")
	b.Write(data)
	b.WriteString("\n\n")
	return b.Bytes()
}
