package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Share links and the routes of Jitsi's own modules have no words for a partial number, so they show none.
func TestShards_NoPartialNumbersWithoutWords(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann")
	f.second.Join("daily", "bob")
	f.second.Join("other", "cyd")
	for fields, want := range map[string][2]float64{"room=daily": {1, 2}, "room=*": {2, 3}} {
		s := f.serve(t, withLink(fields), withLegacyRoutes)
		got := s.get("/s/" + testToken + ".json").object(t)
		if got["room_count"] != want[0] || got["participant_count"] != want[1] || got["exact"] != true {
			t.Errorf("%s: got %v, want %v", fields, got, want)
		}
	}
	s := f.serve(t, withLink("room=daily"), withLegacyRoutes)
	if got := s.get("/room-size?room=daily").object(t); got["participants"] != 2.0 {
		t.Errorf("got %v", got)
	}
	lose(f.second, mainDomain)
	for _, target := range []string{"/room-size?room=daily", "/room-size?room=nowhere", "/room-census"} {
		s.get(target).wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
	}
}

// While a shard is unknown, a share link shows what the others have as a minimum, and no name, address or setting of a shard.
func TestShards_ShareLinkShowsWhatIsCertain(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann")
	f.main.Join("daily", "eve")
	f.main.Join("team-a", "dan")
	f.second.Join("daily", "bob")
	f.second.Join("team-b", "cyd")
	f.second.Join("late", "fay")
	lose(f.second, mainDomain)
	for fields, want := range map[string]struct{ certain, badge string }{
		"room=daily":                          {"2 people: daily 2 []", "daily · at least 2 people"},
		"room=daily scope=share,participants": {"2 people: daily 2 [Name of ann Name of eve]", "daily · at least 2 people"},
		"room=late":                           {"0 people: late 0 []", "late · unknown"},
		"room=late,daily":                     {"2 people: late 0 []; daily 2 []", "PPCH · at least 2 people"},
		"room=daily,team*":                    {"3 people: daily 2 []; team-a 1 []", "PPCH · at least 3 people"},
		"":                                    {"3 people: daily 2 []; team-a 1 []", "PPCH · at least 3 people"},
	} {
		t.Run(fields, func(t *testing.T) {
			s := f.serve(t, withLink(fields))
			got := s.get("/s/" + testToken + ".json")
			problem := got.wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
			if problem["participant_count"] != nil || problem["exists"] != nil || problem["unknown_shards"] != nil || strings.Contains(string(got.body), "second") {
				t.Errorf("got %s", got.body)
			}
			var doc struct {
				AtLeast sharedDoc `json:"at_least"`
			}
			if err := json.Unmarshal(got.body, &doc); err != nil {
				t.Fatal(err)
			}
			if certain := strings.TrimPrefix(doc.AtLeast.text(), "0 rooms, "); certain != want.certain {
				t.Errorf("got %s, want %s", certain, want.certain)
			}
			badge := s.get("/s/" + testToken + ".svg")
			if badge.status != http.StatusServiceUnavailable || !strings.Contains(string(badge.body), `aria-label="`+want.badge+`"`) {
				t.Errorf("got %d %s, want %s", badge.status, badge.body, want.badge)
			}
			if e := s.follow("/s/" + testToken + "/events").Until("problem"); !strings.Contains(text(e), `"at_least":{`) || !strings.Contains(text(e), `"participant_count":`+want.certain[:1]) {
				t.Errorf("got %s, want %s", text(e), want.certain)
			}
		})
	}
}

// A shard that answers from before an interruption has no minimum, because people may have left since.
func TestShards_ShareLinkIgnoresOldMinimum(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann")
	lose(f.second, mainDomain)
	f.main.Lose(away)
	got := f.serve(t, withLink("room=daily")).get("/s/" + testToken + ".json")
	if problem := got.wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable"); problem["at_least"] != nil {
		t.Errorf("got %s", got.body)
	}
}
