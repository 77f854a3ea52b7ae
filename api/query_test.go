package api_test

import (
	"net/http"
	"strings"
	"testing"

	"ppch/api"
	"ppch/api/apitest"
)

// withSecret sets the secret that seals cursors.
func withSecret(secret string) func(*api.Config) {
	return func(cfg *api.Config) { cfg.Secret = secret }
}

func TestCursor_HoldsAcrossRestartsAndNodes(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"a": 1, "b": 2, "c": 3, "d": 4})
	given := withDirectory(d.Directory)
	node := start(t, given, withSecret("a secret that all nodes share"))
	other := start(t, given, withSecret("a secret that all nodes share"))
	stranger := start(t, given, withSecret("another secret"))
	for sort, want := range map[string]string{"name": "c d", "participants": "b a", "created": "c d"} {
		target := "/api/rooms?limit=2&sort=" + sort
		cursor := node.get(target).object(t)["next_cursor"].(string)
		if got := strings.Join(other.get(target+"&cursor="+cursor).names(t), " "); got != want {
			t.Errorf("%s: another instance continues with %q, want %q", sort, got, want)
		}
		stranger.get(target+"&cursor="+cursor).wantProblem(t, http.StatusBadRequest, "bad-parameter")
	}
}

// Sorted by participants, the next page has the rooms with fewer people, even if the order has changed since.
func TestCursor_OutlivesAnyNumberOfChanges(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"a": 9, "b": 5, "c": 1})
	s := start(t, withDirectory(d.Directory))
	const target = "/api/rooms?limit=1&sort=participants"
	cursor := s.get(target).object(t)["next_cursor"].(string)
	for i := range 40 {
		d.SetPeople("other", 10+i)
		s.get(target)
	}
	if got := strings.Join(s.get(target+"&cursor="+cursor).names(t), " "); got != "b" {
		t.Errorf("got %q want b", got)
	}
}
