package api

import (
	"net/http"
	"slices"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// statsView is who is in all meetings. What isn't a meeting of its own is told beside them.
type statsView struct {
	Rooms            int                    `json:"rooms"`
	ParticipantCount int                    `json:"participant_count"`
	Counts           map[occupancy.Kind]int `json:"counts"`
	LargestRoom      *largestView           `json:"largest_room"`
	RoomsBySize      []sizeView             `json:"rooms_by_size"`
	Breakout         *totalView             `json:"breakout"`
	Lobby            *totalView             `json:"lobby"`
	AsOf             string                 `json:"as_of"`
}

// largestView is the room with the most people in it.
type largestView struct {
	RoomName         string `json:"room_name"`
	RoomJID          string `json:"room_jid"`
	ParticipantCount int    `json:"participant_count"`
}

// sizeView is how many rooms have so many people in them; the last row has no upper end.
type sizeView struct {
	From  int  `json:"from"`
	To    *int `json:"to"`
	Rooms int  `json:"rooms"`
}

// totalView is who is in all rooms of one type, null where no domain of these is watched.
type totalView struct {
	Rooms            int `json:"rooms"`
	ParticipantCount int `json:"participant_count"`
}

// sizes are where the rows of rooms_by_size begin.
var sizes = []int{0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500}

// errTotalsNotAllowed keeps totals from keys that are limited: what is of all rooms tells of rooms that they may not know.
var errTotalsNotAllowed = &problem{kind: kindRoomNotAllowed, detail: "This API key is limited to some rooms, and these numbers are of all."}

// getStats handles "GET /api/stats".
func (s *Server) getStats(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	if exchangeOf(w).grant.Limited() {
		return errTotalsNotAllowed
	}
	doc, err := s.newStatsView()
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, doc)
}

func (s *Server) newStatsView() (statsView, error) {
	doc := statsView{Counts: map[occupancy.Kind]int{}, RoomsBySize: newSizes()}
	surveys, err := s.directory.Survey("")
	if err != nil {
		return statsView{}, err
	}
	var largest, none occupancy.Glance
	var asOf time.Time
	for _, survey := range surveys {
		if asOf.IsZero() || survey.AsOf.Before(asOf) {
			asOf = survey.AsOf
		}
		switch survey.Type {
		case occupancy.RoomBreakout:
			doc.Breakout = doc.Breakout.plus(survey.Totals)
		case occupancy.RoomLobby:
			doc.Lobby = doc.Lobby.plus(survey.Totals)
		default:
			doc.add(survey)
			if l := survey.Largest; largest == none || l != none && l.Participants > largest.Participants {
				largest = l
			}
		}
	}
	if largest != none {
		doc.LargestRoom = &largestView{s.names.Name(largest.JID()), largest.Address, largest.Participants}
	}
	doc.AsOf = asOf.UTC().Format(view.Timestamp)
	return doc, nil
}

// add counts the meetings of a domain.
func (v *statsView) add(survey occupancy.Survey) {
	v.Rooms += survey.Rooms
	v.ParticipantCount += survey.Tally.People()
	for kind, n := range survey.Tally.Map() {
		v.Counts[kind] += n
	}
	for people, n := range survey.Sizes {
		row, found := slices.BinarySearch(sizes, people)
		if !found {
			row--
		}
		v.RoomsBySize[row].Rooms += n
	}
}

// plus returns the total of v, which may be nil, and another domain.
func (v *totalView) plus(totals occupancy.Totals) *totalView {
	if v == nil {
		v = &totalView{}
	}
	v.Rooms += totals.Rooms
	v.ParticipantCount += totals.Tally.People()
	return v
}

func newSizes() []sizeView {
	rows := make([]sizeView, len(sizes))
	for i, from := range sizes {
		rows[i].From = from
		if i+1 < len(sizes) {
			rows[i].To = new(sizes[i+1] - 1)
		}
	}
	return rows
}
