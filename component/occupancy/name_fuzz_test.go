package occupancy_test

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// producible are the localparts that Jitsi can produce: the output of encodeURIComponent, lower-cased,
// without the apostrophe that XMPP forbids, after a tenant that can be part of a host name.
var producible = regexp.MustCompile(`^(\[[^\]["&'/:<>@.\sA-Z]+\])?([a-z0-9_.!~*()-]|%[0-9a-f]{2})+$`)

// possible are the localparts that Prosody can have, also from other programs than Jitsi.
var checkName = regexp.MustCompile(`^[^"&'/:<>@\sA-Z]+$`)

// FuzzNames checks that for any text Room returns either a reason or a JID that is read as itself:
// one that Jitsi could have produced, unless the text is a JID. Each way of showing that room is read as the same room.
func FuzzNames(f *testing.F) {
	data := must(os.ReadFile("testdata/names.json"))(f)
	var cases []struct{ In string }
	check(f, json.Unmarshal(data, &cases))
	for _, c := range cases {
		f.Add(c.In)
	}
	n := newNames(mucDomain...).WithMeetURLs(map[string]string{mucDomain[0]: "https://meet.example.com"})
	f.Fuzz(func(t *testing.T, written string) {
		got, err := n.Room(written)
		if err != nil {
			if name, ok := errors.AsType[*occupancy.NameError](err); !ok || name.Reason == "" {
				t.Fatalf("%q: got error %#v, want a NameError with a reason", written, err)
			}
			return
		}
		local := got.Localpart()
		isAddress := strings.Contains(written, "@") && checkName.MatchString(local)
		if !producible.MatchString(local) && !isAddress || len(local) > 1023 {
			t.Errorf("%q: got localpart %q of %d bytes, which Jitsi can't produce", written, local, len(local))
		}
		if !slices.Contains(mucDomain, got.Domainpart()) || got.Resourcepart() != "" {
			t.Errorf("%q: got %s, want a bare JID on a watched domain", written, got)
		}
		again, err := n.Room(got.String())
		if err != nil || !again.Equal(got) {
			t.Errorf("%q: got %s, which reads as %s, %v", written, got, again, err)
		}
		checkShown(t, n, got)
		shown := occupancy.Readable(written)
		if same, err := n.Room(shown); err != nil || !same.Equal(got) {
			t.Errorf("%q is shown as %q, which reads as %s, %v", written, shown, same, err)
		}
	})
}

// FuzzNames_RoundTrip checks that the JID and the name of a room are read as that room, for each address that Prosody can have.
func FuzzNames_RoundTrip(f *testing.F) {
	for _, local := range addresses {
		f.Add(local)
	}
	n := newNames(mucDomain...).WithMeetURLs(map[string]string{mucDomain[0]: "https://meet.example.com"})
	f.Fuzz(func(t *testing.T, local string) {
		if !utf8.ValidString(local) || !checkName.MatchString(local) || strings.ContainsFunc(local, unicode.IsControl) ||
			strings.ContainsFunc(local, unicode.IsSpace) || strings.ContainsAny(local, "\ufffe\uffff") || len(local) > 1023 {
			return // Prosody has no such room
		}
		for _, domain := range mucDomain {
			checkShown(t, n, jid.NewUnsafe(local, domain, "").JID)
		}
	})
}

// checkShown checks that each way of showing a room is read as that room.
func checkShown(t *testing.T, n *occupancy.NameResolver, room jid.JID) {
	t.Helper()
	name := n.Name(room)
	shown := []string{room.String(), name, occupancy.Readable(name), occupancy.Readable(room.String()), n.Display(room)}
	if link := n.MeetingURL(room, jid.JID{}); link != "" {
		shown = append(shown, link)
	}
	for _, written := range shown {
		if got, err := n.Room(written); err != nil || !got.Equal(room) {
			t.Errorf("%s is shown as %q, which reads as %s, %v", room, written, got, err)
		}
		if found := n.Search(written); !found(room.String()) {
			t.Errorf("%s is shown as %q, by which no search finds it", room, written)
		}
	}
}
