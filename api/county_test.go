package api_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/component/occupancy"
)

// county is a Prosody of three domains, of which each has as many people in its rooms as a test likes.
type county struct {
	*occupancy.Directory
	t    testing.TB
	lost atomic.Bool // the stream
}

var domains = []jid.JID{mainDomain, breakoutDomain, lobbyDomain}

// newCounty returns one with nobody in it.
func newCounty(t testing.TB) *county {
	d := &county{Directory: occupancy.NewDirectory(domains...), t: t}
	for _, domain := range domains {
		d.settle(domain)
	}
	return d
}

// settle has a domain told from scratch, with so many people in each room.
func (d *county) settle(domain jid.JID, people ...int) {
	d.t.Helper()
	batch := occupancy.Batch{Synced: true, Rooms: len(people)}
	for i, n := range people {
		room := occupancy.Delta{Room: fmt.Sprintf("room%d@%s", i, domain), New: true, Facts: &occupancy.RoomFacts{CreatedAt: now}}
		for j := range n {
			room.Present = append(room.Present, person(fmt.Sprintf("p%d", j)))
		}
		batch.Deltas = append(batch.Deltas, room)
		batch.Occupants += n
	}
	d.Begin(domain, occupancy.Trust{})
	if err := d.Apply(domain, batch, time.Now()); err != nil {
		d.t.Error(err)
	}
}

// beat says that nothing has changed.
func (d *county) beat() {
	for _, domain := range domains {
		totals, _ := d.Totals(domain)
		if err := d.Apply(domain, occupancy.Batch{Synced: true, Rooms: totals.Rooms, Occupants: totals.Tally.All()}, time.Now()); err != nil {
			d.t.Error(err)
		}
	}
}

// Link returns how the stream is.
func (d *county) Link() occupancy.Link {
	if d.lost.Load() {
		return downLink()
	}
	link := occupancy.Link{Up: true}
	for _, domain := range domains {
		link.Domains = append(link.Domains, occupancy.Domain{JID: domain, Mode: occupancy.ModeModule})
	}
	return link
}

// of adjusts a service to tell of d.
func (d *county) of(cfg *api.Config) { cfg.Directory, cfg.Link = d.Directory, d }

// grown is where the example of the history is from, grew what happened there.
func grown(cfg *api.Config) {
	staged = newCounty(panicker{})
	staged.of(cfg)
}

var staged *county

func grew(s *service) {
	began := now.Truncate(time.Minute).Add(-time.Minute)
	for second := -5; second <= 60; second++ {
		switch second {
		case 20:
			staged.settle(mainDomain, 2)
		case 35:
			staged.lost.Store(true)
		case 40:
			staged.lost.Store(false)
		case 50:
			staged.settle(mainDomain, 3)
			staged.settle(breakoutDomain, 1)
		case 55:
			staged.settle(mainDomain, 2)
		}
		s.LookBack(began.Add(time.Duration(second) * time.Second))
	}
}

// rest waits, while Prosody beats.
func (d *county) rest(lasts time.Duration) {
	for ; lasts > 0; lasts -= time.Second {
		time.Sleep(min(lasts, time.Second))
		d.beat()
	}
}
