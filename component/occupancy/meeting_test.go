package occupancy_test

import (
	"net/url"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// withMeetURLs returns names with meeting URLs for two domains, one of them below a path.
func withMeetURLs() *occupancy.NameResolver {
	return newNames("muc.meet.jitsi", "breakout.meet.jitsi", "conference.b.example").WithMeetURLs(map[string]string{
		"muc.meet.jitsi": "https://meet.example.com", "conference.b.example": "https://b.example/meet", "other.example": "https://other.example",
	})
}

func TestMeetingURL_LeadsToItsRoom(t *testing.T) {
	n := withMeetURLs()
	with := 0
	for _, local := range addresses {
		for _, domain := range []string{"muc.meet.jitsi", "breakout.meet.jitsi", "conference.b.example"} {
			room := jid.NewUnsafe(local, domain, "").JID
			link := n.MeetingURL(room, jid.JID{})
			if link == "" {
				continue
			}
			with++
			if u, err := url.Parse(link); err != nil || u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
				t.Errorf("%s: %s is no plain URL (%v)", room, link, err)
			}
			if got, err := n.Room(link); err != nil || !got.Equal(room) {
				t.Errorf("%s: %s leads to %s, %v", room, link, got, err)
			}
		}
	}
	if with < len(addresses) {
		t.Errorf("only %d of %d rooms have a URL", with, 3*len(addresses))
	}
}

func TestMeetingURL_Examples(t *testing.T) {
	n := withMeetURLs()
	room := func(text string) jid.JID {
		local, domain, _ := strings.Cut(text, "@")
		if domain == "" {
			return jid.JID{}
		}
		return jid.NewUnsafe(local, domain, "").JID
	}
	for _, tt := range []struct{ name, room, parent, want string }{
		{"a plain name", "planning@muc.meet.jitsi", "", "https://meet.example.com/planning"},
		{"an encoded name", "my%20room@muc.meet.jitsi", "", "https://meet.example.com/my%20room"},
		{"a tenant", "[acme]my%20room@muc.meet.jitsi", "", "https://meet.example.com/acme/my%20room"},
		{"a tenant with letters", "[täst]daily@muc.meet.jitsi", "", "https://meet.example.com/t%C3%A4st/daily"},
		{"a breakout room", "x-1@breakout.meet.jitsi", "planning@muc.meet.jitsi", "https://meet.example.com/planning"},
		{"a breakout room without a parent", "x-1@breakout.meet.jitsi", "", ""},
		{"another domain, below a path", "planning@conference.b.example", "", "https://b.example/meet/planning"},
		{"a domain without a URL", "planning@other.example", "", ""},
		{"a room that no client opens", "привет@muc.meet.jitsi", "", ""},
		{"dots", "..@muc.meet.jitsi", "", ""},
	} {
		if got := n.MeetingURL(room(tt.room), room(tt.parent)); got != tt.want {
			t.Errorf("%s: got %q want %q", tt.name, got, tt.want)
		}
	}
	if got := newNames("muc.meet.jitsi").MeetingURL(room("planning@muc.meet.jitsi"), jid.JID{}); got != "" {
		t.Errorf("without URLs: got %q", got)
	}
}

func TestNames_AcceptMeetingLinks(t *testing.T) {
	n := withMeetURLs()
	for link, want := range map[string]string{
		"https://meet.example.com/Planning":                                     "planning@muc.meet.jitsi",
		"HTTPS://Meet.Example.com/My%20Room?jwt=x#config.startWithVideoMuted=1": "my%20room@muc.meet.jitsi",
		"https://meet.example.com/acme/Stand up":                                "[acme]stand%20up@muc.meet.jitsi",
		"https://b.example/meet/planning":                                       "planning@conference.b.example",
		"Meet.example.com/Planning":                                             "planning@muc.meet.jitsi",
		"b.example/meet/planning":                                               "planning@conference.b.example",
	} {
		if got, err := n.Room(link); err != nil || got.String() != want {
			t.Errorf("%s: got %s, %v want %s", link, got, err, want)
		}
	}
	for link, want := range map[string]string{
		"https://elsewhere.example/planning":      "begins with https://meet.example.com/ or https://b.example/meet/ (PPCH_MEET_URL)",
		"https://meet.example.com.evil/planning":  "begins with",
		"https://user@meet.example.com/planning":  "begins with",
		"http://meet.example.com/planning":        "begins with",
		"https://meet.example.com":                "begins with",
		"https://meet.example.com/":               "empty",
		"https://meet.example.com/acme/east/room": "one tenant at most",
	} {
		if got, err := n.Room(link); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %s, %v want an error with %q", link, got, err, want)
		}
	}
	if _, err := newNames("muc.meet.jitsi").Room("https://meet.example.com/planning"); err == nil || !strings.Contains(err.Error(), "set PPCH_MEET_URL") {
		t.Errorf("without URLs: got %v", err)
	}
}

func TestDisplay_FindsItsRoom(t *testing.T) {
	n := withMeetURLs()
	for _, local := range addresses {
		for _, domain := range []string{"muc.meet.jitsi", "breakout.meet.jitsi", "conference.b.example"} {
			room := jid.NewUnsafe(local, domain, "").JID
			if got, err := n.Room(n.Display(room)); err != nil || !got.Equal(room) {
				t.Errorf("%s: %q leads to %s, %v", room, n.Display(room), got, err)
			}
		}
	}
	for local, want := range map[string]string{
		"planning": "planning", "my%20room": "my room", "[acme]my%20room": "acme/my room", "[täst]daily": "täst/daily", "c%2b%2b": "c%2b%2b",
		"[my_tenant]daily": "my_tenant/daily",
	} {
		if got := n.Display(jid.NewUnsafe(local, "muc.meet.jitsi", "").JID); got != want {
			t.Errorf("%s: got %s want %s", local, got, want)
		}
	}
}

func BenchmarkDisplay(b *testing.B) {
	n := withMeetURLs()
	for _, local := range []string{"planning", "my%20room", "[acme]stand%20up", "%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82"} {
		room := jid.NewUnsafe(local, "muc.meet.jitsi", "").JID
		b.Run(local, func(b *testing.B) {
			for b.Loop() {
				_ = n.Name(room)
				_ = n.Display(room)
				_ = n.MeetingURL(room, jid.JID{})
			}
		})
		b.Run(local+" name only", func(b *testing.B) {
			for b.Loop() {
				_ = n.Name(room)
			}
		})
	}
}
