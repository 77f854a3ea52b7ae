package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/component/history"
)

// TestWebhooks_CrashTruth makes people join and leave three rooms at random, while Prosody, the service and the receivers are killed.
// Each event that the store accepted must reach each receiver at least once, with the same id each time and in the order of its room.
// No receiver may get an event that the store never had, or one that contradicts the attendance, which must agree with what the people know.
//
// PPCH_WEBHOOK_SEEDS is the number of seeds (3), PPCH_WEBHOOK_FIRST the first one, PPCH_WEBHOOK_SECONDS the duration of each (15).
func TestWebhooks_CrashTruth(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	program := buildProgram(t)
	eachSeed(t, "PPCH_WEBHOOK", 15, func(t *testing.T, seed uint64, lasts time.Duration) {
		w := newPost(t, program, seed)
		w.live(lasts)
		w.check()
	})
}

// post is a crowd whose service has receivers.
type post struct {
	*crowd
	receivers []*mortal
}

func newPost(t *testing.T, program string, seed uint64) *post {
	w := &post{crowd: newCrowd(t, program, seed, impatient, "a", "b", "c")}
	for i := range 3 {
		m := newMortal(t)
		w.receivers = append(w.receivers, m)
		w.service().hook(fmt.Sprint("r", i), "http://"+m.addr+"/", `,"names":true`)
	}
	w.open(t.Context())
	return w
}

// live runs people and faults.
func (w *post) live(lasts time.Duration) {
	end, next := time.Now().Add(lasts), time.Now().Add(time.Second)
	for w.lives(end) {
		w.step()
		time.Sleep(time.Duration(w.random.Int64N(int64(30 * time.Millisecond))))
		if time.Now().Before(next) {
			continue
		}
		switch w.random.IntN(8) {
		case 0:
			w.step()
			w.killProsody()
		case 1: // the whole machine
			w.step()
			w.svc.kill()
			w.killProsody()
			w.svc.start()
		case 2, 3, 4:
			w.step()
			w.svc.kill()
			w.steps(5) // some come and go unseen
			w.svc.start()
		default:
			m := w.receivers[w.random.IntN(len(w.receivers))]
			m.kill()
			w.steps(20)
			m.start()
		}
		next = time.Now().Add(time.Duration(w.random.Int64N(int64(2 * time.Second))))
	}
}

// steps makes fewer than n steps.
func (w *post) steps(n int) {
	for range w.random.IntN(n) {
		w.step()
	}
}

// check waits until nothing waits any more, and compares what the receivers have with the store and with the attendance.
func (w *post) check() {
	stays, gaps := w.checkAttendance()
	s := w.service()
	var states []string
	defer func() {
		if w.t.Failed() {
			w.t.Logf("the webhooks:\n%s", strings.Join(states, "\n"))
		}
	}()
	eventually(w.t, time.Minute, "nothing waits", func() bool {
		idle := true
		states = nil
		for i := range w.receivers {
			id := fmt.Sprint("r", i)
			s.send(http.MethodPost, "/api/webhooks/"+id+"/test", "") // they work again: don't wait for the next attempt
			a := s.send(http.MethodGet, "/api/webhooks/"+id, "")
			states = append(states, a.body)
			idle = idle && a.data["waiting_count"] == 0.0
		}
		return idle
	})
	w.svc.kill()
	accepted := w.accepted()
	for i, m := range w.receivers {
		m.kill()
		name := fmt.Sprint("r", i)
		ids := accepted[name]
		if len(ids) < 20 {
			w.t.Errorf("%s: only %d events were accepted", name, len(ids))
		}
		first := w.firsts(name, m.got)
		w.compareWithStore(name, first, ids)
		story := &story{t: w.t, name: name, gaps: gaps, lost: map[string]string{}, rooms: map[string]*roomStory{}}
		for _, p := range first {
			story.add(p)
		}
		story.compare(stays)
		w.t.Logf("%s: %d events, %d repeats", name, len(ids), len(m.got)-len(first))
	}
}

// accepted returns the events in the store by webhook, in their order.
func (w *post) accepted() map[string][]string {
	store := must(history.Open(w.t.Context(), w.folder, history.Options{Maintenance: true}))(w.t)
	defer store.Close()
	all := map[string][]string{}
	check(w.t, store.Read(w.t.Context(), func(tx *history.Tx) error {
		return tx.Each(`SELECT w.id, m.event FROM deliveries d JOIN messages m ON m.number = d.message JOIN webhooks w ON w.number = d.webhook ORDER BY d.message`, nil, func(scan history.Scan) error {
			var id, event string
			err := scan(&id, &event)
			all[id] = append(all[id], event)
			return err
		})
	}))
	return all
}

// firsts returns what a receiver got, in order and without tests and repeats.
func (w *post) firsts(name string, got []posted) (first []posted) {
	bodies := map[string]string{}
	for _, p := range got {
		if p.Type == "webhook.test" {
			continue
		}
		switch body, ok := bodies[p.Data.EventID]; {
		case !ok:
			bodies[p.Data.EventID] = p.body
			first = append(first, p)
		case body != p.body:
			w.t.Errorf("%s: %s came with two bodies:\n%s\n%s", name, p.Data.EventID, body, p.body)
		}
	}
	return first
}

// compareWithStore compares what a receiver got with the events that the store accepted for it.
func (w *post) compareWithStore(name string, got []posted, accepted []string) {
	place := map[string]int{}
	for i, id := range accepted {
		if _, ok := place[id]; ok {
			w.t.Errorf("%s: the store has %s twice", name, id)
		}
		place[id] = i
	}
	last := map[string]int{}
	for _, p := range got {
		at, ok := place[p.Data.EventID]
		if !ok {
			w.t.Errorf("%s: got %s, which the store never had", name, p.body)
			continue
		}
		if lane := p.Data.RoomJID + p.Data.Domain; at < last[lane] {
			w.t.Errorf("%s: %s came out of order", name, p.body)
		} else {
			last[lane] = at
		}
	}
	for _, id := range accepted {
		if !slices.ContainsFunc(got, func(p posted) bool { return p.Data.EventID == id }) {
			w.t.Errorf("%s: %s was never delivered", name, id)
		}
	}
}
