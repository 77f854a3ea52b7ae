package api_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/api/keys"
	"ppch/component/occupancy"
)

// withSmallKey allows ten streams and two keys: that of all tests, and a small one with these fields.
func withSmallKey(t *testing.T, fields string) func(*api.Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(apitest.KeyLine(smallKey, "name=small "+fields)), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(cfg *api.Config) {
		cfg.MaxStreams = 10
		cfg.Keys = keyring(keys.KeyringConfig{Key: testKey, File: path, Names: names})
	}
}

const smallKey = "a key of a screen in the lobby"

// takeAll opens streams with the small key until one is refused. It returns their number and the refusal.
func (s *service) takeAll(t *testing.T, target string) (open int, refused answer) {
	t.Helper()
	for ; open <= 10; open++ {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url(target), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-API-Key", smallKey)
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			return open, s.read(resp.Request, resp)
		}
		t.Cleanup(func() { resp.Body.Close() })
	}
	return open, answer{}
}

// status returns the status of a response to a key.
func (s *service) status(key, target string) int {
	req, err := http.NewRequest(http.MethodGet, s.url(target), nil)
	if err != nil {
		return 0
	}
	req.Header.Set("X-API-Key", key)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// One key, even with streams of its tickets, leaves places for streams and waiting requests of another key.
func TestShares_OneKeyLeavesPlacesForAnother(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"daily": 1})
	s := start(t, withDirectory(d.Directory), withSmallKey(t, "scope=all"))
	open, refused := s.takeAll(t, "/api/events")
	if open != 8 {
		t.Errorf("the small key has %d of 10 streams, want its quarter plus the shared half, rounded up", open)
	}
	refused.wantProblem(t, http.StatusTooManyRequests, "too-many-streams")
	if got := refused.header.Get("Retry-After"); got != "10" {
		t.Errorf("got Retry-After %q", got)
	}
	if got := s.get("/api/rooms/daily/participants"); got.status != http.StatusOK {
		t.Fatalf("a request of another key got %d %s", got.status, got.body)
	}
	before := s.get(waited)
	answers := s.later(waited, before)
	s.holds(9)
	s.follow("/api/events").Until("status")
	s.get("/api/events").wantProblem(t, http.StatusServiceUnavailable, "too-many-streams")
	d.SetPeople("daily", 2)
	if got := <-answers; got.status != http.StatusOK {
		t.Errorf("the request that waited got %d %s", got.status, got.body)
	}
}

func TestShares_StreamsOfTheFile(t *testing.T) {
	s := start(t, withDirectory(apitest.NewDirectory(t).Directory), withSmallKey(t, "scope=all streams=3"))
	if open, refused := s.takeAll(t, "/api/events"); open != 3 || refused.status != http.StatusTooManyRequests {
		t.Errorf("got %d streams, then %d %s, want the three of the keys file", open, refused.status, refused.body)
	}
}

// A key's requests in progress leave places for other keys. Streams don't count as requests.
func TestShares_RequestsUnderWay(t *testing.T) {
	proceed := make(chan struct{})
	slow := func(ctx context.Context, room jid.JID) (occupancy.Room, error) {
		<-proceed
		return absent(ctx, room)
	}
	s := start(t, withRooms(slow), withSmallKey(t, "scope=all"), func(cfg *api.Config) { cfg.MaxConnections = 14 }) // four of them for requests
	done := make(chan int, 10)
	for range 3 {
		go func() { done <- s.status(smallKey, "/api/rooms/daily/participants") }()
	}
	reaches(t, "requests in progress", 3, s.Requests)
	if got := s.status(smallKey, "/api/rooms/daily/participants"); got != http.StatusTooManyRequests {
		t.Errorf("one more got %d, want 429", got)
	}
	go func() { done <- s.status(testKey, "/api/rooms/daily/participants") }()
	reaches(t, "requests in progress, with that of the other key", 4, s.Requests)
	close(proceed)
	for range 4 {
		if got := <-done; got != http.StatusOK {
			t.Errorf("got %d", got)
		}
	}
	if got := s.Requests(); got != 0 {
		t.Errorf("got %d requests in progress after all responses", got)
	}
}
