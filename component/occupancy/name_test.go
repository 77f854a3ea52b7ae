package occupancy_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// watched are the domains of docker-jitsi-meet, for cases that name no others.
var mucDomain = []string{"muc.meet.jitsi", "breakout.meet.jitsi", "lobby.meet.jitsi"}

func newNames(domains ...string) *occupancy.NameResolver {
	var jids []jid.JID
	for _, d := range domains {
		jids = append(jids, jid.MustParse(d))
	}
	return occupancy.NewNameResolver(jids...)
}

// TestNames_Room checks Room against a table. For names that aren't JIDs the values in testdata/names.json were computed
// with the steps of jitsi-meet's react/features/base/util/uri.ts in Node.js 20, not with the code under test.
func TestNames_Room(t *testing.T) {
	data := must(os.ReadFile("testdata/names.json"))(t)
	var cases []struct {
		Case    string
		Domains []string
		In      string
		Want    string
		Reason  string
	}
	check(t, json.Unmarshal(data, &cases))
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			if (c.Want == "") == (c.Reason == "") {
				t.Fatal("a case wants either a JID or a reason")
			}
			if c.Domains == nil {
				c.Domains = mucDomain
			}
			checkRoom(t, newNames(c.Domains...), c.In, c.Want, c.Reason)
		})
	}
}

// check reads in and expects either the JID want or an error with reason.
func checkRoom(t *testing.T, n *occupancy.NameResolver, in, want, reason string) {
	t.Helper()
	got, err := n.Room(in)
	if reason != "" {
		var name *occupancy.NameError
		if !errors.As(err, &name) {
			t.Fatalf("%q: got %q and error %v, want a NameError", in, got, err)
		}
		if !strings.Contains(name.Reason, reason) {
			t.Errorf("%q: got reason %q, want one with %q", in, name.Reason, reason)
		}
		if !strings.HasPrefix(err.Error(), "occupancy: ") || !strings.HasSuffix(err.Error(), name.Reason) {
			t.Errorf("%q: got error %q, want the package's prefix and the reason", in, err)
		}
		if !got.Equal(jid.JID{}) {
			t.Errorf("%q: got %q with the error", in, got)
		}
		return
	}
	if err != nil {
		t.Fatalf("%q: got %v, want %s", in, err, want)
	}
	if got.String() != want {
		t.Errorf("%q: got %s, want %s", in, got, want)
	}
	if again, err := n.Room(got.String()); err != nil || !again.Equal(got) {
		t.Errorf("%q: got %s, which reads as %s, %v", in, got, again, err)
	}
}

// Cases that JSON can't hold, or not readably.
func TestNames_RoomLimits(t *testing.T) {
	for _, c := range []struct{ name, in, want, reason string }{
		{
			name: "1023 bytes are allowed", in: strings.Repeat("a", 1023),
			want: strings.Repeat("a", 1023) + "@muc.meet.jitsi",
		},
		{
			name: "1024 bytes are too long", in: strings.Repeat("a", 1024),
			reason: "this one has 1024",
		},
		{
			name: "170 letters of two bytes are 1020 bytes", in: strings.Repeat("я", 170),
			want: strings.Repeat("%d1%8f", 170) + "@muc.meet.jitsi",
		},
		{
			name: "171 letters of two bytes are too long", in: strings.Repeat("я", 171),
			reason: "this one has 1026",
		},
		{
			name: "the tenant counts", in: "tenant/" + strings.Repeat("a", 1016),
			reason: "this one has 1024",
		},
		{
			name: "a JID that needs encoding is measured encoded", in: strings.Repeat("я", 171) + " @muc.meet.jitsi",
			reason: "this one has 1029",
		},
		{
			name: "a JID is measured as it is", in: strings.Repeat("я", 512) + "@muc.meet.jitsi",
			reason: "this one has 1024",
		},
		{name: "a broken sequence of UTF-8", in: "a\xffb", reason: "UTF-8"},
		{name: "a surrogate as UTF-8 would have it", in: "a\xed\xa0\x80b", reason: "UTF-8"},
		{name: "a domain that is not UTF-8", in: "room@muc.meet.jitsi\xff", reason: "UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkRoom(t, newNames(mucDomain...), c.in, c.want, c.reason)
		})
	}
}

func TestNames_NoDomains(t *testing.T) {
	checkRoom(t, occupancy.NewNameResolver(), "planning", "", "no MUC domain")
	checkRoom(t, occupancy.NewNameResolver(jid.JID{}), "planning@", "", "no MUC domain")
}

func TestNames_DomainOfFullJID(t *testing.T) {
	checkRoom(t, newNames("focus@muc.meet.jitsi/nick"), "planning", "planning@muc.meet.jitsi", "")
}

// This is for the race detector.
func TestNames_Concurrent(t *testing.T) {
	n := newNames(mucDomain...)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if got, err := n.Room("ΟΔΥΣΣΕΥΣ/Ö"); err != nil || got.String() != "[οδυσσευσ]%c3%b6@muc.meet.jitsi" {
					t.Errorf("got %s, %v", got, err)
				}
				if got, err := n.Room("Tenant/Ö"); err != nil || got.String() != "[tenant]%c3%b6@muc.meet.jitsi" {
					t.Errorf("got %s, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestNameResolver_Watch(t *testing.T) {
	n := occupancy.NewNameResolver(muc)
	other := jid.MustParse("conference.b.example")
	if _, err := n.Room("a@conference.b.example"); !errors.Is(err, occupancy.ErrNotWatched) {
		t.Errorf("got %v want ErrNotWatched", err)
	}
	n.Watch(muc, other, jid.MustParse("breakout.b.example"))
	n.Watch(other)
	for written, want := range map[string]string{
		"a": "a@muc.meet.jitsi", "a@conference.b.example": "a@conference.b.example", "a@conference.acme.b.example": "[acme]a@conference.b.example",
		"a@breakout.b.example": "a@breakout.b.example",
	} {
		if got, err := n.Room(written); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v want %s", written, got, err, want)
		}
	}
	if _, err := n.Room("a@breakout.acme.b.example"); !errors.Is(err, occupancy.ErrNotWatched) {
		t.Errorf("got %v want no tenants on a domain of breakout rooms", err)
	}
}
