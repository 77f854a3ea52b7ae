package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// A domain is unloaded and loaded repeatedly while clients read it.
// Each response has the room or is a 503; none is empty.
func TestReads_ForgottenIsNeverEmpty(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"daily": 2})
	s := start(t, withDirectory(d.Directory))
	load := func() {
		people := []occupancy.Occupant{{ID: "a", RealJID: "a@meet.jitsi/x"}, {ID: "b", RealJID: "b@meet.jitsi/x"}}
		room := occupancy.Delta{Room: "daily@muc.meet.jitsi", New: true, Present: people}
		d.Begin(mainDomain, occupancy.SystemAccounts{})
		if err := d.Apply(mainDomain, occupancy.Batch{Synced: true, Rooms: 1, Occupants: 2, Deltas: []occupancy.Delta{room}}, time.Now()); err != nil {
			t.Error(err)
		}
	}
	load()
	ask := func(target string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("X-API-Key", testKey)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	ctx, stop := context.WithCancel(t.Context())
	var forgetting, asking sync.WaitGroup
	forgetting.Go(func() {
		for ctx.Err() == nil {
			d.Forget(mainDomain)
			load()
		}
	})
	for target, want := range map[string]string{
		"/api/rooms":                     `"room_jid":"daily@muc.meet.jitsi"`,
		"/api/rooms?sort=participants":   `"room_jid":"daily@muc.meet.jitsi"`,
		"/api/rooms?type=all&limit=1":    `"room_jid":"daily@muc.meet.jitsi"`,
		"/api/rooms?name=daily":          `"participant_count":2`,
		"/api/rooms/daily":               `"participant_count":2`,
		"/api/rooms/daily/participants":  `"participant_count":2`,
		"/api/stats":                     `"rooms":1,"participant_count":2`,
		"/api/rooms?q=dai&sort=created":  `"room_jid":"daily@muc.meet.jitsi"`,
		"/api/rooms?expand=occupants":    `"id":"a"`,
		"/api/rooms?limit=1&order=desc":  `"room_jid":"daily@muc.meet.jitsi"`,
		"/api/rooms?min_participants=1":  `"room_jid":"daily@muc.meet.jitsi"`,
		"/api/rooms?type=main&tenant=":   `"room_jid":"daily@muc.meet.jitsi"`,
		"/api/rooms?name=daily&name=nil": `"participant_count":2`,
	} {
		asking.Go(func() {
			answers := map[int]int{}
			for range 1500 {
				status, body := ask(target)
				answers[status]++
				if status == http.StatusOK && !strings.Contains(body, want) {
					t.Errorf("%s: got 200 %s", target, body)
					return
				}
			}
			if answers[http.StatusOK]+answers[http.StatusServiceUnavailable] != 1500 {
				t.Errorf("%s: got %v", target, answers)
			}
		})
	}
	asking.Wait()
	stop()
	forgetting.Wait()
}
