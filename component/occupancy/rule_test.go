package occupancy_test

import (
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func rules(t *testing.T, texts ...string) (all []occupancy.Rule) {
	t.Helper()
	for _, text := range texts {
		r := must(occupancy.ParseRule(text))(t)
		all = append(all, r)
	}
	return all
}

func TestParseRule_NamesAndPatterns(t *testing.T) {
	for text, want := range map[string]occupancy.Rule{
		"bots=*@bots.example.com": {Name: "bots", Pattern: "*@bots.example.com"},
		"bot@meet.jitsi":          {Name: "bot@meet.jitsi", Pattern: "bot@meet.jitsi"},
		"Rec=Recording-?@X.org":   {Name: "Rec", Pattern: "recording-?@x.org"},
	} {
		if got, err := occupancy.ParseRule(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "bots", "bots=", "=bot@x", "two words=bot@x", "@x", "bot@", "bot@*", "*@*", "bot@x/desk", "[ab]@x", `a\b@x`, "bot@x y", "a@b@c", "a=b=c", "\x1b=a@b",
	} {
		if got, err := occupancy.ParseRule(text); err == nil {
			t.Errorf("%q: got %+v want an error", text, got)
		}
	}
}

func TestRule_MatchesBareJIDs(t *testing.T) {
	for _, tt := range []struct {
		rule, jid string
		want      bool
	}{
		{"*@bots.example.com", "x1@bots.example.com/web", true},
		{"*@bots.example.com", "x1@bots.example.com", true},
		{"*@bots.example.com", "x1@other.bots.example.com/web", false},
		{"*@bots.example.com", "bots.example.com", false},
		{"*@bots.example.com", "", false},
		{"*-bot@meet.jitsi", "minutes-bot@meet.jitsi/web", true},
		{"*-bot@meet.jitsi", "minutes@meet.jitsi/x-bot@meet.jitsi", false},
		{"bot?@meet.jitsi", "bot1@meet.jitsi/web", true},
		{"bot?@meet.jitsi", "bot12@meet.jitsi/web", false},
		{"bot@meet.jitsi", "robot@meet.jitsi/web", false},
	} {
		if got := rules(t, tt.rule)[0].Matches(tt.jid); got != tt.want {
			t.Errorf("%s, %s: got %t", tt.rule, tt.jid, got)
		}
	}
}

// A rule hides people, callers, room systems and visitors. It never changes a kind that says more, nor goes by nick, name or flags.
func TestDirectory_NotCounted(t *testing.T) {
	d := newDirectory(muc)
	d.NotCounted = rules(t, "bots=*@bots.example.com", "recorder2=*recorder*@hidden.meet.jitsi", "unused=nothing@meet.jitsi")
	mainOf(d).Begin(muc, jitsi)
	present := []occupancy.Occupant{
		{ID: "focus", RealJID: "focus@auth.meet.jitsi/focus", Affiliation: "owner"},
		{ID: "a", Name: "Ada", RealJID: "q1@meet.jitsi/web"},
		{ID: "b", Name: "Minutes", RealJID: "minutes@bots.example.com/web"},
		{ID: "c", Name: "Caller", RealJID: "call@bots.example.com/web", Flags: occupancy.FlagJigasi},
		{ID: "d", Name: "Visitor", RealJID: "v@bots.example.com/web", Role: "visitor"},
		{ID: "e", RealJID: "recorder@hidden.meet.jitsi/j"},
		{ID: "f", RealJID: "my-recorder@hidden.meet.jitsi/j"},
		{ID: "g", Name: "bots", RealJID: "q2@meet.jitsi/minutes@bots.example.com"},
	}
	check(t, mainOf(d).Apply(muc, synced(1, len(present), fullRoom("a@muc.meet.jitsi", present...)), at(1)))
	r, err := d.Room(jid.MustParse("a@muc.meet.jitsi"))
	if err != nil || r.Participants != 2 || !r.Exact {
		t.Fatalf("got %d people, exact %t, %v want Ada and the one who is only called bots", r.Participants, r.Exact, err)
	}
	want := map[string][2]string{
		"focus": {"focus", ""}, "a": {"user", ""}, "b": {"hidden", "bots"}, "c": {"hidden", "bots"}, "d": {"hidden", "bots"},
		"e": {"recorder", ""}, "f": {"hidden", "recorder2"}, "g": {"user", ""},
	}
	for _, record := range r.Occupants {
		o := record.Occupant()
		if got := [2]string{string(o.Kind), o.Rule}; got != want[o.ID] {
			t.Errorf("%s: got %q want %q", o.ID, got, want[o.ID])
		}
	}
	if got := d.RuleCounts(); len(got) != 3 || got[0] != (occupancy.RuleCount{Rule: "bots", Occupants: 3}) || got[1].Occupants != 1 || got[2].Occupants != 0 {
		t.Errorf("got %+v", got)
	}
}
