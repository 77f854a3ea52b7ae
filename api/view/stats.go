package view

import (
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// Stats are the totals of all meetings: "GET /api/stats". Breakout rooms and lobbies have their own totals.
type Stats struct {
	Rooms            int                    `json:"rooms"`
	ParticipantCount int                    `json:"participant_count"`
	Counts           map[occupancy.Kind]int `json:"counts"`
	LargestRoom      *LargestRoom           `json:"largest_room"`
	RoomsBySize      []RoomsOfSize          `json:"rooms_by_size"`
	Breakout         *RoomTotals            `json:"breakout"`
	Lobby            *RoomTotals            `json:"lobby"`
	AsOf             string                 `json:"as_of"`

	// Shard is the requested shard, nil (null) for all. Then Shards are the totals of each.
	Shard  *string       `json:"shard"`
	Shards []ShardTotals `json:"shards,omitempty"`
}

// ShardTotals are the totals of the meetings on one shard, nil (null) if unknown. On a visitor node people are visitors:
// ParticipantCount is then 0, and Visitors has their number. It is nil for a main shard, whose rooms have their numbers of visitors.
type ShardTotals struct {
	Shard            string              `json:"shard"`
	Kind             occupancy.ShardKind `json:"kind"`
	Rooms            *int                `json:"rooms"`
	ParticipantCount *int                `json:"participant_count"`
	Visitors         *int                `json:"visitors"`
	AsOf             *string             `json:"as_of"`
}

// Add adds the totals of a domain, the first or another.
func (v *ShardTotals) Add(t occupancy.Totals) {
	add := func(to **int, n int) {
		if *to == nil {
			*to = new(0)
		}
		**to += n
	}
	add(&v.Rooms, t.Rooms)
	add(&v.ParticipantCount, t.Counts.People())
	if v.Kind == occupancy.ShardVisitors {
		add(&v.Visitors, t.Counts.Of(occupancy.KindVisitor))
	}
	if asOf := FormatTime(t.AsOf); v.AsOf == nil || asOf < *v.AsOf {
		v.AsOf = &asOf
	}
}

// LargestRoom is the room with the most people in it.
type LargestRoom struct {
	RoomName         string  `json:"room_name"`
	DisplayName      string  `json:"display_name"`
	MeetingURL       *string `json:"meeting_url"`
	RoomJID          string  `json:"room_jid"`
	ParticipantCount int     `json:"participant_count"`
}

// RoomsOfSize is the number of rooms with From to To people; the last row has no limit.
type RoomsOfSize struct {
	From  int  `json:"from"`
	To    *int `json:"to"`
	Rooms int  `json:"rooms"`
}

// RoomTotals are the totals of all rooms of one type; nil (null) if no domain of that type is watched.
type RoomTotals struct {
	Rooms            int `json:"rooms"`
	ParticipantCount int `json:"participant_count"`
}

// NewStats returns the document for the rooms of all watched domains.
func NewStats(surveys []occupancy.Stats, names *occupancy.NameResolver) Stats {
	doc := Stats{Counts: map[occupancy.Kind]int{}, RoomsBySize: []RoomsOfSize{}}
	var largest, none occupancy.RoomSummary
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
		doc.LargestRoom = &LargestRoom{
			names.Name(largest.JID()), names.Display(largest.JID()), OrNull(names.MeetingURL(largest.JID(), jid.JID{})), largest.Address, largest.Participants,
		}
	}
	doc.AsOf = asOf.UTC().Format(Timestamp)
	return doc
}

// add counts the meetings of a domain.
func (v *Stats) add(survey occupancy.Stats) {
	v.Rooms += survey.Rooms
	v.ParticipantCount += survey.Counts.People()
	for kind, n := range survey.Counts.Map() {
		v.Counts[kind] += n
	}
	rows := roomsBySize(survey.Totals)
	for i, row := range v.RoomsBySize {
		rows[i].Rooms += row.Rooms
	}
	v.RoomsBySize = rows
}

// plus returns the total of v, which may be nil, and another domain.
func (v *RoomTotals) plus(totals occupancy.Totals) *RoomTotals {
	if v == nil {
		v = &RoomTotals{}
	}
	v.Rooms += totals.Rooms
	v.ParticipantCount += totals.Counts.People()
	return v
}

// roomsBySize returns the rooms of a domain by size class.
func roomsBySize(totals occupancy.Totals) []RoomsOfSize {
	var rows []RoomsOfSize
	from, counted := 0, 0
	for to, rooms := range totals.Sizes.AtMost() {
		rows = append(rows, RoomsOfSize{from, &to, rooms - counted})
		from, counted = to+1, rooms
	}
	return append(rows, RoomsOfSize{from, nil, totals.Rooms - counted})
}
