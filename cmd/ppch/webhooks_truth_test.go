package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ppch/component/history"
	"ppch/prosody/prosodytest"
)

// TestWebhooks_CrashTruth makes people join and leave three rooms at random, while the service and the receivers are killed.
// Each event that the store accepted must reach each receiver at least once, with the same id each time and in the order of its room,
// and no receiver may get an event that the store never had, or one about a person who was never there.
//
// PPCH_WEBHOOK_SEEDS is the number of seeds (3), PPCH_WEBHOOK_FIRST the first one, PPCH_WEBHOOK_SECONDS the duration of each (12).
func TestWebhooks_CrashTruth(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	program := buildProgram(t)
	first, seeds, seconds := 1, 3, 12
	for name, n := range map[string]*int{"PPCH_WEBHOOK_FIRST": &first, "PPCH_WEBHOOK_SEEDS": &seeds, "PPCH_WEBHOOK_SECONDS": &seconds} {
		if v := os.Getenv(name); v != "" {
			*n = must(strconv.Atoi(v))(t)
		}
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			w := newPost(t, program, uint64(seed))
			w.live(time.Duration(seconds) * time.Second)
			w.check()
		})
	}
}

// post is a service with receivers, and people in three rooms.
type post struct {
	t         *testing.T
	svc       *process
	folder    string
	cast      *prosodytest.Cast
	rooms     []string
	receivers []*mortal
	random    *rand.Rand
	there     map[*prosodytest.Occupant]bool
	nicks     map[string]bool // of all people who were ever there
}

// mortal is a receiver that can be killed, always on the same port. What it has got outlives it, as a file would.
type mortal struct {
	t    *testing.T
	addr string

	// mu protects what follows.
	mu     sync.Mutex
	server *http.Server
	got    []posted
}

// posted is an event as the receiver got it. room is a domain for events about one.
type posted struct{ id, room, nick, body string }

func newMortal(t *testing.T) *mortal {
	m := &mortal{t: t, addr: "127.0.0.1:" + strconv.Itoa(must(prosodytest.FreePort())(t))}
	m.start()
	t.Cleanup(m.kill)
	return m
}

func (m *mortal) start() {
	listener := must(net.Listen("tcp", m.addr))(m.t)
	server := &http.Server{Handler: m, ReadHeaderTimeout: time.Minute}
	m.mu.Lock()
	m.server = server
	m.mu.Unlock()
	go func() { _ = server.Serve(listener) }()
}

// kill ends it with all its open connections.
func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.server.Close()
}

func (m *mortal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var doc struct {
		Data struct {
			EventID  string `json:"event_id"`
			RoomJID  string `json:"room_jid"`
			Domain   string
			Occupant struct{ ID string }
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.Data.EventID != r.Header.Get("Webhook-Id") {
		m.t.Errorf("got %s with the id %s", body, r.Header.Get("Webhook-Id"))
	}
	m.mu.Lock()
	m.got = append(m.got, posted{doc.Data.EventID, doc.Data.RoomJID + doc.Data.Domain, doc.Data.Occupant.ID, string(body)})
	m.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func newPost(t *testing.T, program string, seed uint64) *post {
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	w := &post{
		t: t, folder: t.TempDir(), cast: castOn(t, srv), random: rand.New(rand.NewPCG(seed, 1)),
		there: map[*prosodytest.Occupant]bool{}, nicks: map[string]bool{"focus": true, "": true},
	}
	env := envFor(srv)
	env["PPCH_DATA_DIR"], env["PPCH_WEBHOOK_ALLOW"] = w.folder, "127.0.0.1"
	w.svc = startProcess(t, program, env)
	w.svc.ready(t)
	s := &service{t: t, url: w.svc.url, client: w.svc.client}
	for i := range 3 {
		m := newMortal(t)
		w.receivers = append(w.receivers, m)
		s.hook(fmt.Sprint("r", i), "http://"+m.addr+"/", `,"names":true`)
	}
	for _, name := range []string{"a", "b", "c"} {
		room := srv.Room(name)
		w.rooms = append(w.rooms, room)
		must(w.cast.Open(t.Context(), room))(t)
	}
	return w
}

// live runs people and faults.
func (w *post) live(lasts time.Duration) {
	end, next := time.Now().Add(lasts), time.Now().Add(time.Second)
	for time.Now().Before(end) {
		w.step()
		time.Sleep(time.Duration(w.random.Int64N(int64(30 * time.Millisecond))))
		if time.Now().Before(next) {
			continue
		}
		if i := w.random.IntN(len(w.receivers) + 2); i < len(w.receivers) {
			w.receivers[i].kill()
			for range w.random.IntN(20) {
				w.step()
			}
			w.receivers[i].start()
		} else {
			w.step()
			w.svc.kill()
			for range w.random.IntN(5) {
				w.step()
			}
			w.svc.start()
		}
		next = time.Now().Add(time.Duration(w.random.Int64N(int64(2 * time.Second))))
	}
}

// step lets a person join or leave a room.
func (w *post) step() {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if len(w.there) < 9 && w.random.IntN(2) == 0 {
		o := must(w.cast.User(ctx, w.rooms[w.random.IntN(len(w.rooms))], "Person "+strconv.Itoa(len(w.nicks))))(w.t)
		w.there[o], w.nicks[o.Nick()] = true, true
		return
	}
	for o := range w.there {
		if err := o.Leave(ctx); err != nil {
			w.t.Fatal(err)
		}
		delete(w.there, o)
		_ = o.Close()
		return
	}
}

// check waits until nothing waits any more, and compares what the receivers have with the store.
func (w *post) check() {
	w.svc.ready(w.t)
	s := &service{t: w.t, url: w.svc.url, client: w.svc.client}
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
		ids := accepted[fmt.Sprint("r", i)]
		if len(ids) < 20 {
			w.t.Errorf("r%d: only %d events were accepted", i, len(ids))
		}
		repeats := w.compare(fmt.Sprint("r", i), m.got, ids)
		w.t.Logf("r%d: %d events, %d repeats", i, len(ids), repeats)
	}
}

// accepted returns the events in the store by webhook, in their order.
func (w *post) accepted() map[string][]string {
	store, err := history.Open(w.t.Context(), w.folder, history.Options{Maintenance: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	all := map[string][]string{}
	if err := store.Read(w.t.Context(), func(tx *history.Tx) error {
		rows, err := tx.Query(`SELECT w.id, m.event FROM deliveries d JOIN messages m ON m.number = d.message JOIN webhooks w ON w.number = d.webhook ORDER BY d.message`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, event string
			if err := rows.Scan(&id, &event); err != nil {
				return err
			}
			all[id] = append(all[id], event)
		}
		return rows.Err()
	}); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// compare compares what a receiver has with the events that the store accepted for it, and returns the number of repeats.
func (w *post) compare(name string, got []posted, accepted []string) (repeats int) {
	bodies, order := map[string]string{}, map[string][]string{}
	for _, p := range got {
		if strings.HasPrefix(p.id, "test-") {
			continue
		}
		if body, ok := bodies[p.id]; ok {
			repeats++
			if body != p.body {
				w.t.Errorf("%s: %s came with two bodies:\n%s\n%s", name, p.id, body, p.body)
			}
			continue
		}
		bodies[p.id] = p.body
		order[p.room] = append(order[p.room], p.id)
		switch {
		case !slices.Contains(accepted, p.id):
			w.t.Errorf("%s: got %s, which the store never had", name, p.body)
		case !w.nicks[p.nick]:
			w.t.Errorf("%s: got %s of a person who was never there", name, p.body)
		}
	}
	seen := map[string]bool{}
	for _, id := range accepted {
		if seen[id] {
			w.t.Errorf("%s: the store has %s twice", name, id)
		}
		seen[id] = true
		if bodies[id] == "" {
			w.t.Errorf("%s: %s was never delivered", name, id)
		}
	}
	for room, ids := range order {
		sorted := slices.Clone(ids)
		slices.SortStableFunc(sorted, func(a, b string) int { return slices.Index(accepted, a) - slices.Index(accepted, b) })
		if !slices.Equal(ids, sorted) {
			w.t.Errorf("%s: the events of %s came out of order", name, room)
		}
	}
	return repeats
}
