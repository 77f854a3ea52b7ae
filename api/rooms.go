package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"

	"ppch/component/occupancy"
)

// askTimeout is a last resort: whoever asks Prosody gives up sooner, and can say why.
const askTimeout = 10 * time.Second

// inexactNote says what the number of an inexact answer is.
const inexactNote = "participant_count is the number of everyone in the room, the conference's own focus and recorders included. " +
	"Prosody tells the exact number of people once the Lua module mod_room_participants_api is loaded."

// getParticipants handles "GET /api/rooms/{room_name}/participants".
func (s *Server) getParticipants(w http.ResponseWriter, r *http.Request) error {
	name, err := roomName(r)
	if err != nil {
		return err
	}
	jid, err := s.names.Room(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	room, err := s.rooms.Room(ctx, jid)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, newParticipantsView(name, room))
}

// roomName returns the room name in the path of r as its sender meant it.
// The router matches the escaped path, so unescaping is left to us.
func roomName(r *http.Request) (string, error) {
	name, err := url.PathUnescape(mux.Vars(r)["room_name"])
	if err != nil {
		return "", &problem{kind: kindMalformed, detail: "The path has a bad percent-escape.", cause: err}
	}
	return name, nil
}

// participantsView is who is in a room.
// The first six fields are as the first version of this service had them; clients rely on their types.
type participantsView struct {
	RoomName         string   `json:"room_name"`
	Exists           bool     `json:"exists"`
	ParticipantCount int      `json:"participant_count"`
	HasParticipants  bool     `json:"has_participants"`
	Participants     []string `json:"participants"`
	RoomJID          *string  `json:"room_jid"`

	Occupants []occupantView         `json:"occupants"`
	Counts    map[occupancy.Kind]int `json:"counts"`
	CreatedAt *string                `json:"created_at"`
	Source    occupancy.Source       `json:"source"`
	Exact     bool                   `json:"exact"`
	AsOf      string                 `json:"as_of"`
	Note      string                 `json:"note,omitempty"`

	Visitors      *int           `json:"visitors"`
	Lobby         *relatedView   `json:"lobby"`
	BreakoutRooms []breakoutView `json:"breakout_rooms"`
}

// relatedView is another room that a room tells of.
// Whether that exists is null too, not false, where its domain isn't watched: somebody may be in it.
type relatedView struct {
	RoomJID          string `json:"room_jid"`
	Exists           *bool  `json:"exists"`
	ParticipantCount *int   `json:"participant_count"`
}

// breakoutView is a breakout room.
type breakoutView struct {
	relatedView
	Name string `json:"name"`
}

// newParticipantsView returns room as the client who called it name sees it.
func newParticipantsView(name string, room occupancy.Room) participantsView {
	view := participantsView{
		RoomName:     name,
		Participants: []string{},
		Source:       room.Source,
		AsOf:         room.AsOf.UTC().Format(timestamp),
	}
	if !room.Exists {
		// However this was learnt: in a room that doesn't exist there is exactly nobody.
		view.Exact = true
		view.Occupants = []occupantView{}
		view.Counts = map[occupancy.Kind]int{}
		view.Visitors = new(0)
		view.BreakoutRooms = []breakoutView{}
		return view
	}
	jid := room.JID.String()
	view.RoomJID = &jid
	view.Exists = true
	view.ParticipantCount = room.Participants
	view.HasParticipants = room.Participants > 0
	view.Counts = room.Counts
	view.CreatedAt = stamp(room.CreatedAt)
	view.Exact = room.Exact
	if !room.Exact {
		view.Note = inexactNote
	}
	view.addOccupants(room.Occupants)
	if room.Source == occupancy.SourceModule {
		view.addRelated(room)
	}
	return view
}

// addRelated tells who belongs to the meeting without being in the room. None of them is added to any other number.
func (v *participantsView) addRelated(room occupancy.Room) {
	v.Visitors = &room.Visitors
	if room.Lobby != nil {
		v.Lobby = new(newRelatedView(*room.Lobby))
	}
	v.BreakoutRooms = make([]breakoutView, 0, len(room.Breakouts))
	for _, b := range room.Breakouts {
		v.BreakoutRooms = append(v.BreakoutRooms, breakoutView{relatedView: newRelatedView(b), Name: b.Name})
	}
}

// newRelatedView returns ref with nulls for what isn't known of it.
func newRelatedView(ref occupancy.RoomRef) relatedView {
	view := relatedView{RoomJID: ref.JID.String()}
	if ref.Known {
		view.Exists, view.ParticipantCount = &ref.Exists, &ref.Participants
	}
	return view
}
