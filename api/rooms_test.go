package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestRoomName_InThePath(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		path     string
		wantName string
		wantJID  string
	}{
		{"a plain name keeps its case in room_name only", "MyRoom", "MyRoom", "myroom@muc.meet.jitsi"},
		{"a space is %20", "My%20Room", "My Room", "my%20room@muc.meet.jitsi"},
		{"a plus is a plus", "a+b", "a+b", "ab@muc.meet.jitsi"},
		{"a tenant's room has an escaped slash", "tenant%2Froom", "tenant/room", "[tenant]room@muc.meet.jitsi"},
		{"the slash may be escaped in lower case", "tenant%2froom", "tenant/room", "[tenant]room@muc.meet.jitsi"},
		{"brackets may be escaped", "%5Btenant%5Droom", "[tenant]room", "[tenant]room@muc.meet.jitsi"},
		{"brackets may be unescaped", "[tenant]room", "[tenant]room", "[tenant]room@muc.meet.jitsi"},
		{"letters outside ASCII are escaped UTF-8", "caf%C3%A9", "café", "caf%c3%a9@muc.meet.jitsi"},
		{"letters outside ASCII may be unescaped", "café", "café", "caf%c3%a9@muc.meet.jitsi"},
		{"a JID selects its domain", "Room@breakout.meet.jitsi", "Room@breakout.meet.jitsi", "room@breakout.meet.jitsi"},
		{"a room may have the name of another path", "participants", "participants", "participants@muc.meet.jitsi"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, withRooms(occupied))
			got := s.get("/api/rooms/" + c.path + "/participants").object(t)
			if got["room_name"] != c.wantName || got["room_jid"] != c.wantJID {
				t.Errorf("got %v and %v, want %v and %v", got["room_name"], got["room_jid"], c.wantName, c.wantJID)
			}
		})
	}
}

func TestRoomName_Impossible(t *testing.T) {
	cases := []struct {
		name string
		path string
		code string
	}{
		{"a control character", "a%00b", "bad-room-name"},
		{"a line break that could end a header", "a%0d%0aX-Evil:%20yes", "bad-room-name"},
		{"invalid UTF-8", "%ff%fe", "bad-room-name"},
		{"brackets without a tenant", "%5B%5D", "bad-room-name"},
		{"only a space in brackets", "%5B%20%5D", "bad-room-name"},
		{"two tenants", "a%2Fb%2Fc", "bad-room-name"},
		{"a domain that is not watched", "room@example.com", "domain-not-watched"},
		{"a parent folder", "..", "bad-room-name"},
	}
	rooms := fakeRooms(func(_ context.Context, room jid.JID) (occupancy.Room, error) {
		t.Errorf("looked up %s", room)
		return occupancy.Room{}, nil
	})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := start(t, withRooms(rooms)).raw("GET /api/rooms/" + c.path + "/participants HTTP/1.1\r\nHost: ppch\r\nX-API-Key: " + testKey + "\r\n\r\n")
			problem := got.wantProblem(t, http.StatusBadRequest, c.code)
			if detail, _ := problem["detail"].(string); detail == "" {
				t.Error("got no detail")
			}
			if evil := got.header.Get("X-Evil"); evil != "" {
				t.Errorf("the room name became a header: %s", evil)
			}
		})
	}
}

func TestRoutes_UnknownPaths(t *testing.T) {
	cases := []struct {
		name string
		path string
	}{
		{"a double slash is no redirect", "//api/rooms/a/participants"},
		{"a double slash inside is no redirect either", "/api/rooms//a/participants"},
		{"an empty room name", "/api/rooms//participants"},
		{"an unescaped slash in the name is another path", "/api/rooms/tenant/room/participants"},
		{"a trailing slash", "/api/rooms/a/participants/"},
		{"upper case is another path", "/API/rooms/a/participants"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := start(t).raw("GET " + c.path + " HTTP/1.1\r\nHost: ppch\r\nX-API-Key: " + testKey + "\r\n\r\n")
			got.wantProblem(t, http.StatusNotFound, "not-found")
		})
	}
}

func TestRoom_Fields(t *testing.T) {
	lobby, breakout := jid.MustParse("r@lobby.meet.jitsi"), jid.MustParse("1@breakout.meet.jitsi")
	cases := []struct {
		name string
		room occupancy.Room
		want map[string]any
	}{
		{
			name: "a room with only focus exists and has 0 people",
			room: occupancy.Room{
				Exists: true, Exact: true, Source: occupancy.SourceModule,
				Counts:    map[occupancy.Kind]int{occupancy.KindFocus: 1},
				Occupants: records([]occupancy.Occupant{{ID: "focus", Kind: occupancy.KindFocus}}...),
			},
			want: map[string]any{"exists": true, "participant_count": 0.0, "has_participants": false, "participants": []any{}, "exact": true, "note": nil},
		},
		{
			name: "a count from disco is inexact and has a note",
			room: occupancy.Room{Exists: true, Participants: 2, Source: occupancy.SourceDisco},
			want: map[string]any{
				"participant_count": 2.0, "exact": false, "participants": []any{}, "occupants": nil, "counts": nil, "created_at": nil,
				"visitors": nil, "lobby": nil, "breakout_rooms": nil,
			},
		},
		{
			name: "a room that does not exist is exactly empty in mode existence too",
			room: occupancy.Room{Source: occupancy.SourceExistence},
			want: map[string]any{"exists": false, "participant_count": 0.0, "exact": true, "occupants": []any{}, "counts": map[string]any{}, "room_jid": nil, "note": nil, "visitors": 0.0, "lobby": nil, "breakout_rooms": []any{}},
		},
		{
			name: "an empty room has empty lists, not nulls",
			room: occupancy.Room{Exists: true, Exact: true, Source: occupancy.SourceModule, Counts: map[occupancy.Kind]int{}, Occupants: []*occupancy.Record{}},
			want: map[string]any{"occupants": []any{}, "counts": map[string]any{}, "participants": []any{}, "visitors": nil, "lobby": nil, "breakout_rooms": []any{}},
		},
		{
			name: "a room's numbers exclude lobby, visitors and breakout rooms",
			room: occupancy.Room{
				Exists: true, Exact: true, Source: occupancy.SourceModule, Visitors: new(7),
				Counts:    map[occupancy.Kind]int{occupancy.KindVisitor: 2},
				Lobby:     &occupancy.RoomRef{JID: lobby, Known: true, Exists: true, Participants: 3},
				Breakouts: []occupancy.RoomRef{{JID: breakout, Name: "b", Known: true, Exists: true, Participants: 5}},
			},
			want: map[string]any{
				"participant_count": 0.0, "has_participants": false, "participants": []any{}, "counts": map[string]any{"visitor": 2.0}, "visitors": 7.0,
				"lobby":          map[string]any{"room_jid": "r@lobby.meet.jitsi", "exists": true, "participant_count": 3.0},
				"breakout_rooms": []any{map[string]any{"room_jid": "1@breakout.meet.jitsi", "name": "b", "exists": true, "participant_count": 5.0}},
			},
		},
		{
			name: "rooms on unwatched domains have only an address and a name",
			room: occupancy.Room{
				Exists: true, Exact: true, Source: occupancy.SourceModule,
				Lobby:     &occupancy.RoomRef{JID: lobby},
				Breakouts: []occupancy.RoomRef{{JID: breakout, Name: "b"}},
			},
			want: map[string]any{
				"lobby":          map[string]any{"room_jid": "r@lobby.meet.jitsi", "exists": nil, "participant_count": nil},
				"breakout_rooms": []any{map[string]any{"room_jid": "1@breakout.meet.jitsi", "name": "b", "exists": nil, "participant_count": nil}},
			},
		},
		{
			name: "a closed lobby is empty",
			room: occupancy.Room{
				Exists: true, Exact: true, Source: occupancy.SourceModule,
				Lobby: &occupancy.RoomRef{JID: lobby, Known: true},
			},
			want: map[string]any{"lobby": map[string]any{"room_jid": "r@lobby.meet.jitsi", "exists": false, "participant_count": 0.0}},
		},
		{
			name: "breakout rooms are in Prosody's order",
			room: occupancy.Room{
				Exists: true, Exact: true, Source: occupancy.SourceModule,
				Breakouts: []occupancy.RoomRef{{JID: lobby, Name: "z"}, {JID: breakout, Name: "a"}},
			},
			want: map[string]any{"breakout_rooms": []any{
				map[string]any{"room_jid": "r@lobby.meet.jitsi", "name": "z", "exists": nil, "participant_count": nil},
				map[string]any{"room_jid": "1@breakout.meet.jitsi", "name": "a", "exists": nil, "participant_count": nil},
			}},
		},
		{
			name: "people are sorted by join time, then by nick",
			room: occupancy.Room{
				Exists: true, Exact: true, Participants: 4, Source: occupancy.SourceModule,
				Occupants: records([]occupancy.Occupant{
					{ID: "d", Name: "late", Kind: occupancy.KindSIPVideo, JoinedAt: now},
					{ID: "c", Kind: occupancy.KindUser, JoinedAt: now.Add(-time.Second)},
					{ID: "b", Name: "twin", Kind: occupancy.KindUser, JoinedAt: now.Add(-time.Second)},
					{ID: "v", Name: "onlooker", Kind: occupancy.KindVisitor, JoinedAt: now.Add(-time.Minute)},
					{ID: "a", Name: "twin", Kind: occupancy.KindSIP, JoinedAt: now.Add(-time.Second)},
				}...),
			},
			want: map[string]any{"participants": []any{"twin", "twin", "c", "late"}},
		},
		{
			name: "times are in UTC with milliseconds",
			room: occupancy.Room{
				Exists: true, Exact: true, Source: occupancy.SourceModule,
				AsOf:      now.In(time.FixedZone("CET", 3600)),
				CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("CET", 3600)),
			},
			want: map[string]any{"as_of": "2026-11-22T09:30:00.125Z", "created_at": "2026-01-02T02:04:05.000Z"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, withRooms(func(_ context.Context, room jid.JID) (occupancy.Room, error) {
				c.room.JID = room
				return c.room, nil
			}))
			all := s.get("/api/rooms/r/participants").object(t)
			got := map[string]any{}
			for field := range c.want {
				got[field] = all[field]
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("- want, + got:\n%s", diff)
			}
			if _, noted := all["note"]; noted != (all["exact"] == false) {
				t.Errorf("got a note: %t, exact: %v", noted, all["exact"])
			}
		})
	}
}
