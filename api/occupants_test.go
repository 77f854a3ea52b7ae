package api_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"unicode/utf8"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// records returns the records of occupants.
func records(occupants ...occupancy.Occupant) (all []*occupancy.Record) {
	for _, o := range occupants {
		all = append(all, occupancy.NewRecord(o))
	}
	return all
}

// roomsWith returns a fakeRooms whose rooms have exactly these occupants, from source.
func roomsWith(source occupancy.Source, occupants ...occupancy.Occupant) fakeRooms {
	all := records(occupants...)
	return func(_ context.Context, room jid.JID) (occupancy.Room, error) {
		return occupancy.Room{
			JID: room, Exists: true, Exact: true, Participants: len(occupants), Source: source, AsOf: now,
			Occupants: slices.Clone(all),
		}, nil
	}
}

func TestOccupant_Fields(t *testing.T) {
	guest := map[string]any{"user": nil, "avatar_url": nil, "hand_raised": false, "audio_muted": nil, "video_muted": nil, "screen_sharing": nil}
	cases := []struct {
		name     string
		source   occupancy.Source
		occupant occupancy.Occupant
		want     map[string]any // the differences from a plain guest
	}{
		{"a plain guest", occupancy.SourceModule, occupancy.Occupant{}, nil},
		{
			"a user with a complete token", occupancy.SourceModule, occupancy.Occupant{UserID: "42", UserName: "Ada Lovelace", UserGroup: "staff"},
			map[string]any{"user": map[string]any{"id": "42", "name": "Ada Lovelace", "group": "staff"}},
		},
		{
			"a token with only an id", occupancy.SourceModule, occupancy.Occupant{UserID: "42"},
			map[string]any{"user": map[string]any{"id": "42", "name": nil, "group": nil}},
		},
		{
			"a token with only a name", occupancy.SourceModule, occupancy.Occupant{UserName: "Ada"},
			map[string]any{"user": map[string]any{"id": nil, "name": "Ada", "group": nil}},
		},
		{
			"a token with only a group", occupancy.SourceModule, occupancy.Occupant{UserGroup: "staff"},
			map[string]any{"user": map[string]any{"id": nil, "name": nil, "group": "staff"}},
		},
		{"an e-mail address and a real JID make no user", occupancy.SourceModule, occupancy.Occupant{UserEmail: "a@example.com", RealJID: "u@meet.jitsi/x"}, nil},
		{"a display name makes no user", occupancy.SourceModule, occupancy.Occupant{Name: "Ada Lovelace"}, nil},
		{"a raised hand", occupancy.SourceModule, occupancy.Occupant{Flags: occupancy.FlagHandRaised}, map[string]any{"hand_raised": true}},
		{"microphone and camera off", occupancy.SourceModule, occupancy.Occupant{Flags: occupancy.FlagAudioMuted | occupancy.FlagVideoMuted}, map[string]any{"audio_muted": true, "video_muted": true}},
		{"microphone and camera on", occupancy.SourceModule, occupancy.Occupant{Flags: occupancy.FlagAudioOn | occupancy.FlagVideoOn}, map[string]any{"audio_muted": false, "video_muted": false}},
		{"microphone on, the rest unknown", occupancy.SourceModule, occupancy.Occupant{Flags: occupancy.FlagAudioOn}, map[string]any{"audio_muted": false}},
		{"camera on, the rest unknown", occupancy.SourceModule, occupancy.Occupant{Flags: occupancy.FlagVideoOn}, map[string]any{"video_muted": false}},
		{"a screen in place of the camera", occupancy.SourceModule, occupancy.Occupant{Flags: occupancy.FlagVideoMuted | occupancy.FlagScreenOn}, map[string]any{"video_muted": true, "screen_sharing": true}},
		{"a camera and no screen", occupancy.SourceModule, occupancy.Occupant{Flags: occupancy.FlagVideoOn | occupancy.FlagScreenOff}, map[string]any{"video_muted": false, "screen_sharing": false}},
		{
			"only the module knows these fields", occupancy.SourceDisco,
			occupancy.Occupant{UserID: "42", AvatarURL: "https://example.com", Flags: occupancy.FlagAudioOn | occupancy.FlagVideoOn | occupancy.FlagScreenOn},
			map[string]any{"hand_raised": nil},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.occupant.ID, c.occupant.Kind = "x", occupancy.KindUser
			all := start(t, withRooms(roomsWith(c.source, c.occupant))).get("/api/rooms/r/participants").object(t)
			occupant := all["occupants"].([]any)[0].(map[string]any)
			for field, want := range guest {
				if other, ok := c.want[field]; ok {
					want = other
				}
				same(t, field, want, occupant[field])
			}
		})
	}
}

func TestOccupant_AvatarIsAWebURLOrNull(t *testing.T) {
	cases := []struct {
		name string
		url  string
		want bool
	}{
		{"https", "https://example.com/a.png?s=80&d=%20#x", true},
		{"http", "http://example.com", true},
		{"a scheme in upper case", "HTTPS://example.com/a.png", true},
		{"an IPv6 address and a port", "https://[2001:db8::1]:8443/a.png", true},
		{"every character allowed in a URL", "https://example.com/-._~:/?#[]@!$&'()*+,;=%25Az09", true},
		{"none", "", false},
		{"a script", "javascript:alert(1)", false},
		{"a script that looks like an address", "javascript://example.com/%0aalert(1)", false},
		{"a script behind a blank", " javascript:alert(1)", false},
		{"the picture itself", "data:image/svg+xml,<svg onload=alert(1)>", false},
		{"a file", "file:///etc/passwd", false},
		{"a path without a host", "/images/a.png", false},
		{"an address without scheme", "//example.com/a.png", false},
		{"no host", "https:///a.png", false},
		{"a port without a host", "https://:443/a.png", false},
		{"no slashes", "https:example.com", false},
		{"a port that isn't a number", "https://example.com:x/", false},
		{"a line break", "https://example.com/\r\nX-Evil: yes", false},
		{"a tab within the scheme", "java\tscript:alert(1)", false},
		{"a NUL", "https://example.com/\x00", false},
		{"a blank", "https://example.com/a b.png", false},
		{"a quote that ends an attribute", `https://example.com/?"onerror="alert(1)`, false},
		{"a tag", "https://example.com/?</script><script>", false},
		{"a backslash, which browsers read as a slash", `https://example.com\@evil.example/`, false},
		{"letters outside ASCII", "https://example.com/é.png", false},
		{"a right-to-left override", "https://example.com/\u202egnp.a", false},
		{"invalid UTF-8", "https://example.com/\xff", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rooms := roomsWith(occupancy.SourceModule, occupancy.Occupant{ID: "x", Kind: occupancy.KindUser, AvatarURL: c.url})
			all := start(t, withRooms(rooms)).get("/api/rooms/r/participants").object(t)
			want := any(nil)
			if c.want {
				want = c.url
			}
			if got := all["occupants"].([]any)[0].(map[string]any)["avatar_url"]; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestOccupant_NoOtherPersonalData(t *testing.T) {
	room := must(occupied(context.Background(), mainDomain))(t)
	got := start(t, withRooms(occupied)).get("/api/rooms/MyRoom/participants")
	for _, record := range room.Occupants {
		o := record.Occupant()
		for _, secret := range []string{o.RealJID, o.UserEmail} {
			if secret != "" && bytes.Contains(got.body, []byte(secret)) {
				t.Errorf("the response has %s: %s", secret, got.body)
			}
		}
	}
}

func TestOccupant_HostileTextStaysText(t *testing.T) {
	const hostile = "</script><img src=x onerror=alert(1)>&\u2028\u2029\x00\x1b[2J\x7f\xff\xc0\xaf\xed\xa0\x80\"\\\r\nSet-Cookie: a=b"
	const harmless = "</script><img src=x onerror=alert(1)>&\u2028\u2029\x00\x1b[2J\x7f" +
		"\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\"\\\r\nSet-Cookie: a=b"
	related := occupancy.RoomRef{JID: jid.NewUnsafe(hostile, "breakout.meet.jitsi", "").JID, Name: hostile, Known: true}
	s := start(t, withRooms(func(_ context.Context, room jid.JID) (occupancy.Room, error) {
		return occupancy.Room{
			JID: room, Exists: true, Exact: true, Participants: 1, Source: occupancy.SourceModule, Lobby: &related, Breakouts: []occupancy.RoomRef{related},
			Occupants: records([]occupancy.Occupant{{
				ID: hostile, Name: hostile, Kind: occupancy.KindUser, Role: hostile, Affiliation: hostile,
				UserID: hostile, UserName: hostile, UserGroup: hostile, AvatarURL: "https://example.com/" + hostile,
			}}...),
		}, nil
	}))
	got := s.get("/api/rooms/r/participants")
	if !utf8.Valid(got.body) || bytes.ContainsAny(got.body, "\x00\x1b\r\u2028\u2029") || bytes.Count(got.body, []byte("\n")) != 1 {
		t.Errorf("got %q, want control characters escaped", got.body)
	}
	if got.header.Get("Content-Type") != "application/json" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got header %v, want one that keeps browsers from rendering this as HTML", got.header)
	}
	if cookies := got.header.Values("Set-Cookie"); len(cookies) > 0 {
		t.Errorf("a name became a header: %s", cookies)
	}
	all := got.object(t)
	occupant := all["occupants"].([]any)[0].(map[string]any)
	user := occupant["user"].(map[string]any)
	breakout := all["breakout_rooms"].([]any)[0].(map[string]any)
	for field, got := range map[string]any{
		"participants": all["participants"].([]any)[0], "occupants.id": occupant["id"], "occupants.name": occupant["name"],
		"occupants.role": occupant["role"], "occupants.affiliation": occupant["affiliation"],
		"user.id": user["id"], "user.name": user["name"], "user.group": user["group"], "breakout_rooms.name": breakout["name"],
	} {
		if got != harmless {
			t.Errorf("%s: got %q, want %q", field, got, harmless)
		}
	}
	for field, got := range map[string]any{"lobby": all["lobby"].(map[string]any)["room_jid"], "breakout_rooms": breakout["room_jid"]} {
		if want := harmless + "@breakout.meet.jitsi"; got != want {
			t.Errorf("%s: got %q, want %q", field, got, want)
		}
	}
	if occupant["avatar_url"] != nil {
		t.Errorf("got avatar %v, want none", occupant["avatar_url"])
	}
}
