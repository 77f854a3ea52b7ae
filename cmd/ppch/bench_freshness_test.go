package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component"
	"ppch/component/occupancy"
	"ppch/prosody/prosodytest"
)

// BenchmarkFreshness is how long it takes from somebody's coming until the directory knows,
// against until another occupant of the room sees it, where that many a second come, and go, to 100 rooms of ten.
// Both are measured of the same joins, in ms at the median and at the 99th percentile, which pauses of Prosody make,
// with the service and without: of tens of ms, by all signs to collect garbage. So it is told as well how much later the directory knew.
func BenchmarkFreshness(b *testing.B) {
	for _, rate := range []float64{50, 200} {
		b.Run(fmt.Sprintf("%v-joins-per-s", rate), func(b *testing.B) {
			srv := prosodytest.New(b, prosodytest.Options{Module: true, HideRooms: true})
			cast := castOn(b, srv)
			c := newChurn(b, srv, cast, 100, 8)
			asked, seen, told := newSightings(), newSightings(), newSightings()
			c.joined = func(m prosodytest.Member, at time.Time) { asked.note(m.Nick, at) }
			for _, room := range c.rooms {
				watcher := must(cast.User(b.Context(), room, "Watcher"))(b)
				go seen.watch(watcher)
			}
			go told.follow(directoryOf(b, srv))
			var cpu float64
			for b.Loop() {
				before, began := cpuSeconds(b, srv.PID()), time.Now()
				ctx, cancel := context.WithTimeout(b.Context(), time.Duration(3000/rate)*time.Second)
				c.run(ctx, rate)
				cancel()
				cpu = (cpuSeconds(b, srv.PID()) - before) / time.Since(began).Seconds()
			}
			time.Sleep(time.Second) // for the last to be told
			joins, occupant, directory := asked.all(), seen.all(), told.all()
			saw, knew, later := waits(b, joins, joins, occupant), waits(b, joins, joins, directory), waits(b, joins, occupant, directory)
			b.ReportMetric(float64(len(joins)), "joins")
			b.ReportMetric(cpu*1000, "prosody-ms/s")
			b.ReportMetric(percentile(saw, 50), "occupant-p50-ms")
			b.ReportMetric(percentile(saw, 99), "occupant-p99-ms")
			b.ReportMetric(percentile(knew, 50), "directory-p50-ms")
			b.ReportMetric(percentile(knew, 99), "directory-p99-ms")
			b.ReportMetric(percentile(later, 50), "later-p50-ms")
			b.ReportMetric(percentile(later, 99), "later-p99-ms")
			b.ReportMetric(percentile(knew, 99)/percentile(saw, 99), "p99-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// directoryOf returns the events of a directory that is kept until the benchmark ends, and knows all rooms already.
func directoryOf(b *testing.B, srv *prosodytest.Server) <-chan occupancy.Event {
	b.Helper()
	muc := jid.MustParse(srv.Domains.MUC)
	directory := occupancy.NewDirectory(muc)
	c := must(component.New(component.Config{
		Address: srv.ComponentAddr(), Domain: jid.MustParse(srv.Domains.Component), Secret: srv.Secret(), MUCDomains: []jid.JID{muc},
		Directory: directory, MaxStaleness: time.Minute, Log: slog.New(slog.DiscardHandler),
	}))(b)
	events := directory.Subscribe(1 << 16)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		events.Close()
	})
	if e := <-events.Events(); e.Kind != occupancy.EventReset {
		b.Fatalf("the first event is %s", e.Kind)
	}
	return events.Events()
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

// follow notes who comes to any room, until the events end.
func (s *sightings) follow(events <-chan occupancy.Event) {
	for e := range events {
		at := time.Now()
		if e.Kind == occupancy.EventJoined {
			s.note(e.Occupant.ID, at)
		}
	}
}

func (s *sightings) all() map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.at)
}

// waits returns for each of who how long it took from the one sighting to the other, in order of length; below 0 if that was before.
func waits(b *testing.B, who, one, other map[string]time.Time) (all []time.Duration) {
	b.Helper()
	for nick := range who {
		if other[nick].IsZero() {
			b.Fatalf("%s came unseen", nick)
		}
		all = append(all, other[nick].Sub(one[nick]))
	}
	slices.Sort(all)
	return all
}

// percentile returns one of waits in order of length, in ms.
func percentile(waits []time.Duration, p int) float64 { return milliseconds(waits[len(waits)*p/100]) }
