package api_test

import (
	"net/http"
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
	for _, target := range []string{"/s/" + testToken + ".json", "/room-size?room=daily", "/room-size?room=nowhere", "/room-census"} {
		s.get(target).wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
	}
	many := f.serve(t, withLink("room=*"))
	many.get("/s/"+testToken+".json").wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
}
