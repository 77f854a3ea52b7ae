package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/occupancy"
)

const waited = "/api/rooms/daily/participants?wait=20s"

// later sends a request with the client's ETag, and returns a channel for the response.
func (s *service) later(target string, before answer) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		defer close(answers) // also if do ends the test
		answers <- s.do(ask{target: target, header: has(before)})
	}()
	return answers
}

func TestWait_EndsWithAChange(t *testing.T) {
	for _, target := range []string{waited, "/api/rooms/daily?wait=20s"} {
		d := apitest.NewMeetings(t, map[string]int{"daily": 1})
		s := start(t, withDirectory(d.Directory))
		before := s.get(target)
		answers := s.later(target, before)
		s.holds(1)
		began := time.Now()
		d.SetPeople("daily", 2)
		got := <-answers
		if got.status != http.StatusOK || got.object(t)["participant_count"] != 2.0 {
			t.Errorf("%s: got %d %s", target, got.status, got.body)
		}
		if took := time.Since(began); took > lookAgain {
			t.Errorf("%s: the response came after %s, by polling instead of the event", target, took)
		}
		s.holds(0)
	}
}

// lookAgain is the shortest time in which polling finds a change.
const lookAgain = 1500 * time.Millisecond

func TestWait_EndsWithoutAChange(t *testing.T) {
	s := start(t, withDirectory(apitest.NewMeetings(t, map[string]int{"daily": 1}).Directory))
	before := s.get(waited)
	began := time.Now()
	got := s.do(ask{target: "/api/rooms/daily/participants?wait=300ms", header: has(before)})
	if took := time.Since(began); got.status != http.StatusNotModified || took < 300*time.Millisecond {
		t.Errorf("got %d after %s", got.status, took)
	}
}

func TestWait_NeedsAMatchingETag(t *testing.T) {
	s := start(t, withDirectory(apitest.NewMeetings(t, map[string]int{"daily": 1}).Directory))
	began := time.Now()
	s.get(waited)
	s.do(ask{target: waited, header: http.Header{"If-None-Match": {`W/"old"`}}})
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestWait_EndsWhenUnavailable(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"daily": 1})
	s := start(t, withDirectory(d.Directory))
	answers := s.later(waited, s.get(waited))
	s.holds(1)
	d.Forget(mainDomain)
	(<-answers).wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
}

func TestWait_EndsAtStop(t *testing.T) {
	s := start(t, withDirectory(apitest.NewMeetings(t, map[string]int{"daily": 1}).Directory))
	answers := s.later(waited, s.get(waited))
	s.holds(1)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := <-answers; got.status != http.StatusNotModified {
		t.Errorf("got %d", got.status)
	}
}

func TestWait_CountsAsAStream(t *testing.T) {
	s := start(t, withDirectory(apitest.NewMeetings(t, map[string]int{"daily": 1}).Directory), func(cfg *api.Config) { cfg.MaxStreams = 1 })
	before := s.get(waited)
	answers := s.later(waited, before)
	s.holds(1)
	s.do(ask{target: waited, header: has(before)}).wantProblem(t, http.StatusServiceUnavailable, "too-many-streams")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	<-answers
}

func TestWait_RejectsBadDurations(t *testing.T) {
	s := start(t, withPast(several()))
	for _, wait := range []string{"30", "-1s", "1h", "56s", "soon", "1s&wait=2s"} {
		s.get("/api/rooms/standup?wait="+wait).wantProblem(t, http.StatusBadRequest, "bad-parameter")
	}
}

// waiting sends a request that waits for a change of a room, calls meanwhile, and returns the response and its duration, in virtual time.
func waiting(t *testing.T, target string, given func(*api.Config), meanwhile func()) (status int, body string, took time.Duration) {
	t.Helper()
	s := prepare(t, given)
	defer func() { _ = s.CloseListener() }()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.RunHub(ctx) })
	get := func(tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		r.Header.Set("X-API-Key", testKey)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(patient{w}, r)
		return w
	}
	first := get("")
	began := time.Now()
	running.Go(meanwhile)
	second := get(first.Header().Get("ETag"))
	took = time.Since(began)
	stop()
	running.Wait()
	return second.Code, second.Body.String(), took
}

// patient is a response without deadlines.
type patient struct{ *httptest.ResponseRecorder }

func (patient) SetWriteDeadline(time.Time) error { return nil }

func TestWait_Status(t *testing.T) {
	for _, c := range []struct {
		name   string
		max    time.Duration              // the maximum staleness
		happen func(d *apitest.Directory) // after 3 s
		status int
		took   time.Duration
	}{
		{"nothing happens", 45 * time.Second, func(*apitest.Directory) {}, http.StatusNotModified, 20 * time.Second},
		{"the connection is lost, and the data is recent", 45 * time.Second, func(d *apitest.Directory) {
			d.SetStatus(mainDomain, occupancy.Status{Problem: away})
		}, http.StatusNotModified, 20 * time.Second},
		{"the room has not been confirmed for too long", 10 * time.Second, func(*apitest.Directory) {}, http.StatusServiceUnavailable, 10*time.Second + 1},
		{"the domain is unloaded", 45 * time.Second, func(d *apitest.Directory) { d.Forget(mainDomain) }, http.StatusServiceUnavailable, 3 * time.Second},
		{"the room changes", 45 * time.Second, func(d *apitest.Directory) { d.Join("daily", "bob") }, http.StatusOK, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := apitest.NewDirectory(t)
				d.MaxStaleness = c.max
				d.Join("daily", "ann")
				status, body, took := waiting(t, waited, withDirectory(d.Directory), func() {
					time.Sleep(3 * time.Second)
					c.happen(d)
				})
				if status != c.status || took != c.took {
					t.Errorf("got %d after %s, want %d after %s: %s", status, took, c.status, c.took, body)
				}
			})
		})
	}
}

func TestWait_RoomsThatBelongToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := apitest.NewDirectory(t, mainDomain, breakoutDomain)
		d.Join("daily", "ann")
		d.SetStatus(breakoutDomain, occupancy.Status{Connected: true, Mode: occupancy.ModeModule})
		d.Begin(breakoutDomain, occupancy.SystemAccounts{})
		room := occupancy.Delta{Room: "b1@breakout.meet.jitsi", Present: []occupancy.Occupant{apitest.Person("bob")}}
		check(t, d.Apply(breakoutDomain, occupancy.Batch{Synced: true, Rooms: 1, Occupants: 1, Deltas: []occupancy.Delta{room}}, time.Now()))
		_, body, took := waiting(t, "/api/rooms/b1@breakout.meet.jitsi?wait=20s", withDirectory(d.Directory), func() {
			time.Sleep(3 * time.Second)
			d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{Breakouts: []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi"}}}})
		})
		if !strings.Contains(body, `"parent_room_jid":"daily@muc.meet.jitsi"`) || took != 3*time.Second {
			t.Errorf("got %s after %s, want the room with its new parent", body, took)
		}
	})
}

// Without the Lua module there are no events, so PPCH polls Prosody.
func TestWait_WithoutTheModule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		rooms := func(ctx context.Context, room jid.JID) (occupancy.Room, error) {
			r, err := inexact(ctx, room)
			if time.Since(began) > 5*time.Second {
				r.Participants++
			}
			return r, err
		}
		status, body, took := waiting(t, waited, withRooms(rooms), func() {})
		if status != http.StatusOK || !strings.Contains(body, `"participant_count":5`) || took != 6*time.Second {
			t.Errorf("got %d %s after %s", status, body, took)
		}
	})
}
