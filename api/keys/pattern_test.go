package keys_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
	"ppch/component/occupancy"
)

// twoJitsis resolves names on the domains of two Jitsis.
var twoJitsis = occupancy.NewNameResolver(mainDomain, breakoutDomain, secondDomain)

// secondDomain is the MUC domain of another Jitsi.
var secondDomain = jid.MustParse("conference.b.example")

// grantsFor returns one grant for each of the rooms, as people write them.
func grantsFor(t *testing.T, rooms ...string) map[string]keys.Grant {
	t.Helper()
	texts, lines := map[string]string{}, ""
	for i, room := range rooms {
		text, line, err := keys.New(keys.Request{Name: "key" + strings.Repeat("i", i), Scopes: []string{"all"}, Rooms: []string{room}}, twoJitsis)
		if err != nil {
			t.Fatalf("%q: %v", room, err)
		}
		texts[room], lines = text, lines+line+"\n"
	}
	file := filepath.Join(t.TempDir(), "keys")
	check(t, os.WriteFile(file, []byte(lines), 0o600))
	ring := keyring(t, keys.KeyringConfig{File: file, Names: twoJitsis})
	grants := map[string]keys.Grant{}
	for room, text := range texts {
		grants[room] = keys.Grant{Key: ring.Find(keys.SumOf(text))}
	}
	return grants
}

// allows reports whether a grant includes a room, as a request writes it.
func allows(t *testing.T, g keys.Grant, room string) bool {
	t.Helper()
	j, err := twoJitsis.Room(room)
	if err != nil {
		t.Fatalf("%q: %v", room, err)
	}
	allowed := g.Allows(j)
	if g.AllowsAddress(j.String()) != allowed {
		t.Errorf("%q: Allows is %t, AllowsAddress is not", room, allowed)
	}
	return allowed
}

// It has a key for each spelling of each room, and requests the room with each spelling.
func TestRoomPattern_AdmitsOneRoomByAnySpelling(t *testing.T) {
	spellings := [][]string{
		{"C++", "c", "C", "c@muc.meet.jitsi", "/C+@muc.meet.jitsi"},
		{"C%2B%2B", "c%2b%2b", "c%2B%2B@muc.meet.jitsi"},
		{"My Room", "my%20room", "MY%20ROOM@muc.meet.jitsi"},
		{"a>b", "a%3Eb", "a%3eb@muc.meet.jitsi"},
		{"acme/b", "[acme]b", "ACME/B", "b@muc.acme.meet.jitsi"},
		{"acme%2Fb", "acme%2fb@muc.meet.jitsi"},
		{"täst/Daily", "[täst]daily", "T%C3%84ST/daily", "daily@muc.täst.meet.jitsi", "[täst]daily@muc.meet.jitsi"},
		{"daily@conference.acme.b.example", "[acme]daily@conference.b.example", "acme/Daily@conference.b.example"},
		{"acme/daily", "[acme]daily@muc.meet.jitsi"},
		{"a+b@muc.meet.jitsi", "A+B@MUC.meet.jitsi"},
		{"a%2bb@muc.meet.jitsi", "a%2Bb"},
		{"привет@muc.meet.jitsi"},
		{"Привет", "%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82@muc.meet.jitsi", "/привет@muc.meet.jitsi"},
		{"a%2Ab%21", "a%2ab%21"},
		{"a%2Ab%21@conference.b.example", "a%2ab%21@conference.b.example"},
		{"/a%2Ab%21@conference.b.example"},
	}
	var all []string
	for _, room := range spellings {
		all = append(all, room...)
	}
	grants := grantsFor(t, all...)
	for i, room := range spellings {
		for _, limit := range room {
			for j, other := range spellings {
				for _, asked := range other {
					if got := allows(t, grants[limit], asked); got != (i == j) {
						t.Errorf("the key for %q admits %q: got %t want %t", limit, asked, got, i == j)
					}
				}
			}
		}
	}
}

// Each case has rooms that a pattern matches, and similar ones that it doesn't.
func TestRoomPattern_StarIsForWhatFollows(t *testing.T) {
	for _, c := range []struct {
		pattern       string
		admits, keeps []string
	}{
		{"täst/*", []string{"Täst/daily", "täst/%20", "[täst]x@muc.meet.jitsi"}, []string{"täst", "test/daily", "täst2/daily", "täst/daily@conference.b.example", "täst%2Fdaily"}},
		{"*@conference.acme.b.example", []string{"daily@conference.acme.b.example", "acme/My Room@conference.b.example"}, []string{"acme/daily", "daily@conference.b.example"}},
		{"acme/stand*@conference.b.example", []string{"acme/Stand Up@conference.b.example"}, []string{"acme/Stand Up", "acme/sit@conference.b.example"}},
		{"C%2B*", []string{"C%2B", "C%2B%2B", "c%2bx@muc.meet.jitsi"}, []string{"C++", "c", "cx"}},
		{"c+*", []string{"C++", "c", "cx", "c%2b%2b"}, []string{"d"}}, // like c*, because the client deletes +
		{"a>*", []string{"a>b", "a%3Eb"}, []string{"ab", "a"}},
		{"a%2A*", []string{"a%2Ab", "a%2a"}, []string{"ab", "a"}},
		{"a+*@muc.meet.jitsi", []string{"a+b@muc.meet.jitsi"}, []string{"a+b", "a%2Bb"}},
	} {
		grants := grantsFor(t, c.pattern)
		for _, room := range c.admits {
			if !allows(t, grants[c.pattern], room) {
				t.Errorf("the key for %q keeps %q out", c.pattern, room)
			}
		}
		for _, room := range c.keeps {
			if allows(t, grants[c.pattern], room) {
				t.Errorf("the key for %q admits %q", c.pattern, room)
			}
		}
	}
}

func TestRoomPattern_CommaInAJIDIsRefused(t *testing.T) {
	_, _, err := keys.New(keys.Request{Name: "a", Scopes: []string{"all"}, Rooms: []string{"a,b@muc.meet.jitsi"}}, twoJitsis)
	if err == nil || !strings.Contains(err.Error(), "commas separate rooms") {
		t.Errorf("got %v, but the line would be one of two rooms", err)
	}
}

func TestRoomFilter_Includes(t *testing.T) {
	names := occupancy.NewNameResolver(jid.MustParse("muc.meet.jitsi"))
	f, err := keys.ParseRooms([]string{"acme/*", "Stand up"}, names)
	check(t, err)
	for room, want := range map[string]bool{"[acme]a@muc.meet.jitsi": true, "stand%20up@muc.meet.jitsi": true, "a@muc.meet.jitsi": false, "[acme]a@other": false, "": false} {
		if got := f.Includes(room); got != want {
			t.Errorf("%q: got %t", room, got)
		}
	}
	if f, err = keys.ParseRooms(nil, names); err != nil || !f.Includes("a@muc.meet.jitsi") {
		t.Errorf("without patterns: got %v, %v", f, err)
	}
	if _, err := keys.ParseRooms([]string{"a*b"}, names); err == nil {
		t.Error("a * in the middle was accepted")
	}
}
