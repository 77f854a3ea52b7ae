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

// freshness is how long it takes from somebody's coming until PPCH knows, so that an answer tells of it, and until a client of its
// event stream is told, both against until another occupant of the room sees it, of the same joins.
// Pauses of Prosody's make the 99th percentile, with PPCH and without: of tens of ms, by all signs to collect garbage.
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
		what string
		tell func(*trial, *prosodytest.Server) (told *sightings, stop func())
	}{{"from a join until an answer shows it", byDirectory}, {"from a join until an event stream shows it", byStream}} {
		told, stop := way.tell(t, srv)
		for _, rate := range t.plan.rates {
			t.fresh(fmt.Sprintf("%s, %v joins a second", way.what, rate), asked, seen, told, func() error {
				return c.Run(t.ctx, float64(rate), t.plan.joins)
			})
		}
		stop()
	}
}

// fresh lets people come again and again, and compares when it was told with when it was seen.
func (t *trial) fresh(what string, asked, seen, told *sightings, come func() error) {
	var figures [5]sample
	for range t.plan.pairs {
		asked.forget()
		t.check(come())
		t.sleep(500 * time.Millisecond) // for the last to be told
		came, occupant, client := asked.all(), seen.all(), told.all()
		sees, knows := waits(came, came, occupant), waits(came, came, client)
		if len(sees) < len(came) || len(knows) < len(came) {
			t.check(fmt.Errorf("of %d who came an occupant saw %d, and PPCH told %d", len(came), len(sees), len(knows)))
		}
		for i, v := range []float64{
			percentile(knows, 50), percentile(sees, 50), percentile(knows, 99), percentile(sees, 99), percentile(waits(came, occupant, client), 50),
		} {
			figures[i] = append(figures[i], v)
		}
	}
	t.row(row{What: what + ", median", Unit: "ms", PPCH: figures[0], Beside: "occupant", Other: figures[1], Goal: atMost("ratio", 3)})
	t.row(row{What: what + ", p99", Unit: "ms", PPCH: figures[2], Beside: "occupant", Other: figures[3], Goal: atMost("ratio", 1.1)})
	t.row(row{What: "how much later than the occupant, median", Unit: "ms", PPCH: figures[4]})
}

// byDirectory notes when the directory knows, of which all answers are made: in this process, as nothing but its own events tells that.
func byDirectory(t *trial, srv *prosodytest.Server) (told *sightings, stop func()) {
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
	told = newSightings()
	running.Go(func() error {
		for e := range events.Events() {
			at := time.Now()
			if e.Kind == occupancy.EventJoined {
				told.note(e.Occupant.ID, at)
			}
		}
		return nil
	})
	stop = sync.OnceFunc(func() {
		cancel()
		events.Close()
		_ = running.Wait() // whoever is stopped has no errors to tell
	})
	t.cleanup(stop)
	for _, err := directory.Totals(muc); err != nil; _, err = directory.Totals(muc) {
		t.sleep(10 * time.Millisecond)
	}
	return told, stop
}

// byStream notes when a client of the service's event stream has been told.
func byStream(t *trial, srv *prosodytest.Server) (told *sightings, stop func()) {
	s := t.service(srv)
	t.ready(s)
	ctx, cancel := context.WithCancel(t.ctx)
	told = newSightings()
	events := must(subscribe(ctx, s.url))(t)
	var following sync.WaitGroup
	following.Go(func() { told.follow(events) })
	stop = sync.OnceFunc(func() {
		cancel()
		following.Wait()
		s.stop()
	})
	t.cleanup(stop)
	return told, stop
}

// subscribe opens an event stream of all rooms, which ends with ctx. The caller must close it.
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

// sightings is when something about somebody happened, by nick.
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

// watch notes who comes to the room of an occupant, until that logs out.
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

// follow notes who comes to any room, until the stream ends.
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

// waits returns for each of who how long it took from the one sighting to the other, in order of length; below 0 if that was before.
// Whoever was not sighted is left out.
func waits(who, one, other map[string]time.Time) (all []time.Duration) {
	for nick := range who {
		if !other[nick].IsZero() {
			all = append(all, other[nick].Sub(one[nick]))
		}
	}
	slices.Sort(all)
	return all
}

// percentile returns one of waits in order of length, in ms.
func percentile(waits []time.Duration, p int) float64 { return milliseconds(waits[len(waits)*p/100]) }
