package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"ppch/component"
	"ppch/component/occupancy"
	"ppch/prosody/prosodytest"
)

// freshness measures the time from a join until PPCH's answers show it, and until a client of the event stream receives it.
// Both are compared with the time until another occupant of the room sees the same join.
// Pauses of Prosody dominate the 99th percentile, with PPCH and without: tens of ms, probably for garbage collection.
func freshness(t *trial) {
	t.title("Latency of a join, for PPCH and for another occupant of the room")
	srv := t.prosody(prosodytest.Options{Module: true, HideRooms: true})
	cast := must(srv.Cast(t.ctx))(t)
	c := t.churn(srv, cast, 100, 8)
	asked, seen := newSightings(), newSightings()
	c.Joined = func(m prosodytest.Member, at time.Time) { asked.note(m.Nick, at) }
	var watching sync.WaitGroup
	t.cleanup(func() {
		_ = cast.Close()
		watching.Wait()
	})
	for _, room := range c.Rooms {
		watcher := must(cast.User(t.ctx, room, "Watcher"))(t)
		watching.Go(func() { seen.watch(watcher) })
	}
	for _, way := range []struct {
		what  string
		start func(*trial, *prosodytest.Server) (known *sightings, stop func())
	}{{"from a join until an answer shows it", byDirectory}, {"from a join until an event stream shows it", byStream}} {
		known, stop := way.start(t, srv)
		for _, rate := range t.plan.rates {
			t.fresh(fmt.Sprintf("%s, %v joins a second", way.what, rate), asked, seen, known, func() error {
				return c.Run(t.ctx, float64(rate), t.plan.joins)
			})
		}
		stop()
	}
}

// fresh lets people join repeatedly, and compares when PPCH and the occupant received each join.
func (t *trial) fresh(what string, asked, seen, known *sightings, come func() error) {
	var figures [5]sample
	for range t.plan.pairs {
		asked.forget()
		t.check(come())
		t.sleep(500 * time.Millisecond) // until the last join has arrived
		came, occupant, client := asked.all(), seen.all(), known.all()
		sees, knows := waits(came, came, occupant), waits(came, came, client)
		if len(sees) < len(came) || len(knows) < len(came) {
			t.check(fmt.Errorf("of %d joins, an occupant saw %d and PPCH showed %d", len(came), len(sees), len(knows)))
		}
		for i, v := range []float64{
			percentile(knows, 50), percentile(sees, 50), percentile(knows, 99), percentile(sees, 99), percentile(waits(came, occupant, client), 50),
		} {
			figures[i] = append(figures[i], v)
		}
	}
	t.row(row{What: what + ", median", Unit: "ms", PPCH: figures[0], Peer: "occupant", Other: figures[1], Goal: atMost("ratio", 3)})
	t.row(row{What: what + ", p99", Unit: "ms", PPCH: figures[2], Peer: "occupant", Other: figures[3], Goal: atMost("ratio", 1.1)})
	t.row(row{What: "how much later than the occupant, median", Unit: "ms", PPCH: figures[4]})
}

// byDirectory notes when a join reaches the directory, from which all answers are made. It runs in this process because only the directory's events show the moment.
func byDirectory(t *trial, srv *prosodytest.Server) (known *sightings, stop func()) {
	muc := jid.MustParse(srv.Domains.MUC)
	directory := occupancy.NewDirectory(muc)
	c := must(component.New(component.Config{
		Address: srv.ComponentAddr(), Domain: jid.MustParse(srv.Domains.Component), Secret: srv.Secret(), MUCDomains: []jid.JID{muc},
		Directory: directory, Log: slog.New(slog.DiscardHandler),
	}))(t)
	events := directory.Subscribe(1 << 16)
	ctx, cancel := context.WithCancel(t.ctx)
	var running errgroup.Group
	running.Go(func() error { return c.Run(ctx) })
	known = newSightings()
	running.Go(func() error {
		for e := range events.Events() {
			at := time.Now()
			if e.Kind == occupancy.EventJoined {
				known.note(e.Occupant.ID, at)
			}
		}
		return nil
	})
	stop = sync.OnceFunc(func() {
		cancel()
		events.Close()
		_ = running.Wait() // it was stopped on purpose
	})
	t.cleanup(stop)
	for _, err := directory.Totals(muc); err != nil; _, err = directory.Totals(muc) {
		t.sleep(10 * time.Millisecond)
	}
	return known, stop
}

// byStream notes when a client of the service's event stream receives a join.
func byStream(t *trial, srv *prosodytest.Server) (known *sightings, stop func()) {
	s := t.service(srv)
	t.ready(s)
	ctx, cancel := context.WithCancel(t.ctx)
	known = newSightings()
	events := must(subscribe(ctx, s.url))(t)
	var following sync.WaitGroup
	following.Go(func() { known.follow(events) })
	stop = sync.OnceFunc(func() {
		cancel()
		following.Wait()
		s.stop()
	})
	t.cleanup(stop)
	return known, stop
}

// subscribe opens the event stream of all rooms, which ends with ctx. The caller must close it.
func subscribe(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/events", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", key)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s/api/events: got %s", url, resp.Status), resp.Body.Close())
	}
	return resp.Body, nil
}

// sightings holds a time for each nick. It is safe for concurrent use.
type sightings struct {
	// mu protects at.
	mu sync.Mutex
	at map[string]time.Time
}

func newSightings() *sightings { return &sightings{at: map[string]time.Time{}} }

func (s *sightings) note(nick string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[nick] = at
}

func (s *sightings) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.at)
}

func (s *sightings) all() map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.at)
}

// watch notes each join that an occupant sees, until the occupant logs out.
func (s *sightings) watch(o *prosodytest.Occupant) {
	for {
		st, err := o.Expect(context.Background(), func(prosodytest.Stanza) bool { return true })
		at := time.Now()
		if err != nil {
			return
		}
		if st.Name == "presence" && st.Type == "" {
			s.note(st.From[len(o.Room)+1:], at)
		}
	}
}

// follow notes each join in an event stream, until the stream ends.
func (s *sightings) follow(stream io.ReadCloser) {
	defer stream.Close()
	lines := bufio.NewReaderSize(stream, 1<<20)
	for joined := false; ; {
		line, err := lines.ReadString('\n')
		at := time.Now()
		if err != nil {
			return
		}
		if event, ok := strings.CutPrefix(line, "event: "); ok {
			joined = event == "participant.joined\n"
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok && joined {
			var e struct{ Occupant struct{ ID string } }
			if json.Unmarshal([]byte(data), &e) == nil {
				s.note(e.Occupant.ID, at)
			}
		}
	}
}

// waits returns the sorted times from one sighting to the other, for each nick in who that has the other; negative if the other came first.
func waits(who, one, other map[string]time.Time) (all []time.Duration) {
	for nick := range who {
		if !other[nick].IsZero() {
			all = append(all, other[nick].Sub(one[nick]))
		}
	}
	slices.Sort(all)
	return all
}

// percentile returns percentile p of sorted waits, in ms.
func percentile(waits []time.Duration, p int) float64 { return milliseconds(waits[len(waits)*p/100]) }
