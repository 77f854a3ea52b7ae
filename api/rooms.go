package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
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
}

// occupantView is one occupant of a room.
type occupantView struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Kind        occupancy.Kind `json:"kind"`
	Role        string         `json:"role"`
	Affiliation string         `json:"affiliation"`
	JoinedAt    *string        `json:"joined_at"`
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
	return view
}

// addOccupants tells the occupants, in the order in which they came; nil stays null, since it means "not known".
func (v *participantsView) addOccupants(occupants []occupancy.Occupant) {
	if occupants == nil {
		return
	}
	slices.SortFunc(occupants, func(a, b occupancy.Occupant) int {
		return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.ID, b.ID))
	})
	v.Occupants = make([]occupantView, 0, len(occupants))
	for _, o := range occupants {
		v.Occupants = append(v.Occupants, occupantView{
			ID:          o.ID,
			Name:        o.Name,
			Kind:        o.Kind,
			Role:        o.Role,
			Affiliation: o.Affiliation,
			JoinedAt:    stamp(o.JoinedAt),
		})
		if o.Kind.Person() {
			v.Participants = append(v.Participants, cmp.Or(o.Name, o.ID))
		}
	}
}
