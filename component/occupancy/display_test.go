package occupancy_test

import (
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// addresses are localparts of rooms that a real Prosody has listed, from Jitsi's clients and others.
var addresses = []string{
	"planning", "my%20room", "%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82", "caf%c3%a9", "c", "c%2b%2b", "a%2fb", "q%26a", "a%3eb", "standup%20%5bteam%20a%5d",
	"standup%20team%20a", "why%3f", "a%23b", "100%25", "100%25%20sure", "%2541", "%252b", "%2525", "a%5cb", "a%40b", "a%3ab", "a!(b)*", "a!(b)*%20c", ".", "..", "%20", "%20a%20",
	"a%20%20b", "h%cc%b1", "%e1%ba%96", "i%cc%87stanbul", "%cf%83", "%cf%82", "%e2%80%aegnp.exe", "plan%e2%80%8bning", "plan%e2%80%8dning",
	"%f0%9f%91%a8%e2%80%8d%f0%9f%91%a9", "%ef%bf%bd", "%e2%a0%80", "%c2%ad", "a%07b", "%25c3%25a9%25", "-x", "all", "it!s", "%cc%81",
	"q" + strings.Repeat("%cc%b1", 31), "[x", "x]y", "[]", "[]z", "[x]", "[x]y]z", "[[x]y", "[acme]daily", "[acme]my%20room", "[acme]c%2b%2b", "[acme]a!",
	"[täst]daily", "[täst]t%c3%a4st", "[οδυσσευσ]daily", "[会议]%e4%bc%9a", "[te+nant]daily", "[a%b]daily", "[a%41]daily", "[a(b)c!]daily", "[a;b]daily", "[my_tenant]daily",
	"[-x]daily", "[ẖ]daily", "привет", "ẖ", "a+b", "100%", "%41", "a`b", `a\b`, `a\20b`, "a{b}", "a|b^c", "a=b;c,d$e?f#g", "a?b", "#",
}

// TestNames_RoundTrip checks that JID, name and shown name of each room lead to it.
func TestNames_RoundTrip(t *testing.T) {
	n := newNames("muc.meet.jitsi", "breakout.meet.jitsi", "conference.b.example")
	for _, local := range addresses {
		for _, domain := range []string{"muc.meet.jitsi", "breakout.meet.jitsi", "conference.b.example"} {
			checkShown(t, n, jid.NewUnsafe(local, domain, "").JID)
		}
	}
}

func TestNames_ShortestName(t *testing.T) {
	n := newNames("muc.meet.jitsi", "conference.b.example")
	for room, want := range map[string]string{
		"planning@muc.meet.jitsi":          "planning",
		"[täst]daily@muc.meet.jitsi":       "[täst]daily",
		"c%2b%2b@muc.meet.jitsi":           "c%2b%2b",
		"a!(b)*@muc.meet.jitsi":            "a!(b)*@muc.meet.jitsi",
		"[acme]daily@conference.b.example": "[acme]daily@conference.b.example",
		"привет@muc.meet.jitsi":            "привет@muc.meet.jitsi",
	} {
		local, domain, _ := strings.Cut(room, "@")
		if got := n.Name(jid.NewUnsafe(local, domain, "").JID); got != want {
			t.Errorf("%s: got %s want %s", room, got, want)
		}
	}
}

func TestReadable_KeepsMeaning(t *testing.T) {
	for name, want := range map[string]string{
		"%d0%bf%d1%80%d0%b8":                  "при",
		"my%20room":                           "my room",
		"a%3eb":                               "a>b",
		"100%25":                              "100%",
		"[täst]my%20room":                     "[täst]my room",
		"%f0%9f%91%a8%e2%80%8d%f0%9f%91%a9":   "👨\u200d👩",
		"[acme]my%20room@conference.b.x":      "acme/my room@conference.b.x",
		"%d0%bf@conference.b.x":               "/п@conference.b.x",
		"daily@conference.b.x":                "daily@conference.b.x",
		"Acme/My%20Room":                      "Acme/My Room",
		"C%2B%2B":                             "C%2b%2b",
		"c%2b%2b":                             "c%2b%2b", // "c++" is the room "c"
		"a%2fb":                               "a%2fb",   // "a/b" is a tenant's
		"q%26a":                               "q%26a",
		"standup%20%5bteam%20a%5d":            "standup %5bteam a%5d",
		"100%25%20sure":                       "100%25 sure", // "100% sure" is yet another room
		"%2541":                               "%2541",
		"%e2%80%aegnp.exe":                    "%e2%80%aegnp.exe",
		"plan%e2%80%8dning":                   "plan%e2%80%8dning",
		"%20a%20%20b%20":                      "%20a%20%20b%20",
		"%1b%5b2Jb":                           "%1b%5b2Jb",
		"h%cc%b1@muc.meet.jitsi":              "h%cc%b1@muc.meet.jitsi",
		"C++":                                 "C++",
		"Planning?jwt=%20":                    "Planning?jwt=%20",
		"a/b/c":                               "a/b/c",
		"":                                    "",
		"[täst":                               "[täst",
		"привет@muc.meet.jitsi":               "привет@muc.meet.jitsi",
		"%d0%bf%d1%80%d0%b8%d0%b2@a\x1b@b%20": "/прив@a\x1b@b%20",
	} {
		if got := occupancy.Readable(name); got != want {
			t.Errorf("%q: got %q want %q", name, got, want)
		}
	}
}

func TestTenant_Normalizes(t *testing.T) {
	for written, want := range map[string]string{
		"acme": "acme", "ACME": "acme", "Täst": "täst", "t%C3%A4st": "täst", "acme.example": "acme_example", "Straße": "strasse",
		"te+nant": "te+nant", "": "", "a b": "a b", "[x": "[x", "100%": "100%",
	} {
		if got := occupancy.Tenant(written); got != want {
			t.Errorf("%q: got %q want %q", written, got, want)
		}
	}
}

func TestSearch_PartsAndShownNames(t *testing.T) {
	n := newNames("muc.meet.jitsi", "conference.b.example")
	for _, c := range []struct {
		text, address string
		want          bool
	}{
		{"", "planning@muc.meet.jitsi", true},
		{"LAN", "planning@muc.meet.jitsi", true},
		{"c++", "c%2b%2b@muc.meet.jitsi", true},
		{"C++", "c@muc.meet.jitsi", false}, // although that is the room C++
		{"%2b%2b", "c%2b%2b@muc.meet.jitsi", true},
		{"[team", "standup%20%5bteam%20a%5d@muc.meet.jitsi", true},
		{"%5bteam a", "standup%20%5bteam%20a%5d@muc.meet.jitsi", true},
		{"TÄST", "[täst]daily@muc.meet.jitsi", true},
		{"täst/da", "[täst]daily@muc.meet.jitsi", true},
		{"[täst]da", "[täst]daily@muc.meet.jitsi", true},
		{"meet", "planning@muc.meet.jitsi", false},
		{"/П@conference.b.example", "%d0%bf@conference.b.example", true},
	} {
		if got := n.Search(c.text)(c.address); got != c.want {
			t.Errorf("%q in %s: got %t want %t", c.text, c.address, got, c.want)
		}
	}
}

// TestRemark_OnlyWhereItHelps covers names that lead to another room than people may expect.
func TestRemark_OnlyWhereItHelps(t *testing.T) {
	n := newNames("muc.meet.jitsi", "conference.b.example")
	for _, c := range []struct {
		written string
		exists  bool
		want    string
	}{
		{"C++", true, "Jitsi deletes + from a typed name, so this is the room c. The link C%2B%2B leads to another room."},
		{"acme/Q&A?", false, "Jitsi deletes & from a typed name, so this is the room qa. The link Q%26A leads to another room."},
		{"/C++@conference.b.example", false, "Jitsi deletes + from"},
		{"standup [team A]", false, "Jitsi deletes [] from a typed name, so this is the room standup%20team%20a. The link standup%20%5Bteam%20A%5D leads to another room."},
		{"C%2B%2B", true, ""},
		{"a>b", false, ""},
		{"Bob's room", false, ""}, // XMPP has no address for the other one
		{"Planning#userInfo.email=ada@example.org", false, ""},
		{"Café@muc.meet.jitsi", false, "Jitsi's clients create no room with this JID: their room of this name is caf%c3%a9@muc.meet.jitsi."},
		{"a+b@muc.acme.meet.jitsi", false, "their room of this name is [acme]a%2bb@muc.meet.jitsi."},
		{"café@muc.meet.jitsi", true, ""},
		{"[täst]daily@muc.meet.jitsi", false, ""},
		{"caf%c3%a9@muc.meet.jitsi", false, ""},
		{"My Room@muc.meet.jitsi", false, ""},
	} {
		room, err := n.Room(c.written)
		if err != nil {
			t.Fatalf("%q: %v", c.written, err)
		}
		if got := n.Remark(c.written, room, c.exists); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%q: got %q want %q", c.written, got, c.want)
		}
	}
}
