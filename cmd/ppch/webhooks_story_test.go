package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"ppch/api/view"
	"ppch/prosody/prosodytest"
)

// mortal is a receiver that can be killed, always on the same port. What it has got outlives it, as a file would.
type mortal struct {
	t    *testing.T
	addr string

	// mu protects what follows.
	mu     sync.Mutex
	server *http.Server
	got    []posted
}

// posted is an event as the receiver got it. Domain is set for events about one.
type posted struct {
	Type, Timestamp string
	Data            struct {
		EventID          string `json:"event_id"`
		RoomJID          string `json:"room_jid"`
		Meeting          string
		Domain           string
		NotBefore        *string `json:"not_before"`
		ParticipantCount int     `json:"participant_count"`
		Reason           *string
		Stay             string
		Occupant         struct {
			ID       string
			JoinedAt string `json:"joined_at"`
		}
	}
	body string
}

func newMortal(t *testing.T) *mortal {
	m := &mortal{t: t, addr: "127.0.0.1:" + strconv.Itoa(must(prosodytest.FreePort())(t))}
	m.start()
	t.Cleanup(m.kill)
	return m
}

func (m *mortal) start() {
	var listener net.Listener
	eventually(m.t, 20*time.Second, "the port is free again", func() bool { // a connection may have taken it meanwhile
		var err error
		listener, err = net.Listen("tcp", m.addr)
		return err == nil
	})
	server := &http.Server{Handler: m, ReadHeaderTimeout: time.Minute}
	m.mu.Lock()
	m.server = server
	m.mu.Unlock()
	go func() { _ = server.Serve(listener) }()
}

// kill ends it with all its open connections.
func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.server.Close()
}

func (m *mortal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p := posted{body: string(body)}
	if err := json.Unmarshal(body, &p); err != nil || p.Data.EventID != r.Header.Get("Webhook-Id") {
		m.t.Errorf("got %s with the id %s", body, r.Header.Get("Webhook-Id"))
	}
	m.mu.Lock()
	m.got = append(m.got, p)
	m.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// story is what the events of one receiver tell, without repeats.
type story struct {
	t     *testing.T
	name  string
	gaps  []view.Gap
	lost  map[string]string // domains that aren't watched, since when
	rooms map[string]*roomStory
	joins []posted
	left  []posted
}

// roomStory is a room after some events.
type roomStory struct {
	meeting string // empty while there is none
	people  []string
}

// add checks that an event can follow those before it.
func (s *story) add(p posted) {
	room := s.rooms[p.Data.RoomJID]
	if room == nil {
		room = &roomStory{}
		s.rooms[p.Data.RoomJID] = room
	}
	wrong := func(why string) { s.t.Errorf("%s: %s: %s", s.name, why, p.body) }
	if p.Data.NotBefore != nil && !s.inGap(*p.Data.NotBefore, p.Timestamp) {
		wrong("not_before isn't within a gap")
	}
	count, there := len(room.people), slices.Index(room.people, p.Data.Occupant.ID)
	switch p.Type {
	case "watch.lost", "watch.restored":
		since, lost := s.lost[p.Data.Domain]
		if lost == (p.Type == "watch.lost") {
			wrong("twice in succession")
		}
		if delete(s.lost, p.Data.Domain); !lost {
			s.lost[p.Data.Domain] = p.Timestamp
		} else if p.Timestamp < since {
			wrong("before watch.lost")
		}
		return
	case "room.started":
		if room.meeting != "" {
			wrong("the room exists")
		}
		room.meeting = p.Data.Meeting
	case "room.occupied":
		if count++; count != 1 {
			wrong("the room was occupied")
		}
	case "participant.joined":
		if there >= 0 {
			wrong("is there")
		}
		count++
		room.people, s.joins = append(room.people, p.Data.Occupant.ID), append(s.joins, p)
	case "participant.left":
		if count--; there < 0 {
			wrong("wasn't there")
			return
		}
		room.people, s.left = slices.Delete(room.people, there, there+1), append(s.left, p)
	case "participant.updated":
		if there < 0 {
			wrong("wasn't there")
		}
	case "room.emptied":
		if count != 0 {
			wrong("people are there")
		}
	case "room.ended":
		if count != 0 {
			wrong("people are there")
		}
	default:
		wrong("nothing of the kind happened")
	}
	if room.meeting != p.Data.Meeting || p.Data.ParticipantCount != count {
		wrong("want the meeting " + room.meeting + " with people: " + strconv.Itoa(count))
	}
	if p.Type == "room.ended" {
		room.meeting = ""
	}
}

// inGap reports whether a gap includes the time between two moments.
func (s *story) inGap(from, to string) bool {
	return slices.ContainsFunc(s.gaps, func(g view.Gap) bool { return g.From <= from && (g.To == nil || to <= *g.To) })
}

// compare checks that the joins and leaves are those of the attendance, with the same bounds.
func (s *story) compare(stays []view.Stay) {
	for domain := range s.lost {
		s.t.Errorf("%s: the last event of %s is watch.lost", s.name, domain)
	}
	find := func(events []posted, stay view.Stay) (found []posted) {
		for _, p := range events {
			if p.Data.Stay == stay.ID {
				found = append(found, p)
			}
		}
		return found
	}
	ended := 0
	for _, stay := range stays {
		joins, left := find(s.joins, stay), find(s.left, stay)
		if len(joins) != 1 || joins[0].Data.Occupant.ID != *stay.Nick || joins[0].Data.Occupant.JoinedAt != stay.JoinedAt || joins[0].Data.Meeting != stay.MeetingID {
			s.t.Errorf("%s: got the joins %s want that of %s", s.name, asJSON(joins), asJSON(stay))
		}
		if stay.Present {
			continue
		}
		ended++
		after := *stay.LeftBefore
		if len(left) == 1 && left[0].Data.NotBefore != nil {
			after = *left[0].Data.NotBefore
		}
		if len(left) != 1 || left[0].Timestamp != *stay.LeftBefore || after != *stay.LeftAfter || asJSON(left[0].Data.Reason) != asJSON(stay.Reason) {
			s.t.Errorf("%s: got the leaves %s want that of %s", s.name, asJSON(left), asJSON(stay))
		}
	}
	if len(s.joins) != len(stays) || len(s.left) != ended {
		s.t.Errorf("%s: got %d joins and %d leaves want %d and %d", s.name, len(s.joins), len(s.left), len(stays), ended)
	}
}
