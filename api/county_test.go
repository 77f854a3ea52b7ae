package api_test

import (
	"fmt"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// county is a Prosody of three domains, of which each has as many people in its rooms as a test likes.
type county struct {
	*occupancy.Directory
	t testing.TB
}

var domains = []jid.JID{mainDomain, breakoutDomain, lobbyDomain}

// newCounty returns one with nobody in it.
func newCounty(t testing.TB) *county {
	d := &county{Directory: occupancy.NewDirectory(domains...), t: t}
	d.connect()
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
			room.Present = append(room.Present, apitest.Person(fmt.Sprintf("p%d", j)))
		}
		batch.Deltas = append(batch.Deltas, room)
		batch.Occupants += n
	}
	d.Begin(domain, occupancy.SystemAccounts{})
	if err := d.Apply(domain, batch, time.Now()); err != nil {
		d.t.Error(err)
	}
}

// beat says that nothing has changed.
func (d *county) beat() {
	for _, domain := range domains {
		totals, err := d.Totals(domain)
		if err != nil {
			d.t.Error(err)
		}
		if err := d.Apply(domain, occupancy.Batch{Synced: true, Rooms: totals.Rooms, Occupants: totals.Counts.All()}, time.Now()); err != nil {
			d.t.Error(err)
		}
	}
}

// connect has all domains be followed, as by a connection that was there before.
func (d *county) connect() {
	for _, domain := range domains {
		d.SetStatus(domain, occupancy.Status{Connected: true, Mode: occupancy.ModeModule})
	}
}

// lose has the connection be lost.
func (d *county) lose() {
	for _, domain := range domains {
		d.SetStatus(domain, occupancy.Status{Problem: away})
	}
}

// of adjusts a service to d.
func (d *county) of(cfg *api.Config) { cfg.Directory = d.Directory }

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
			staged.lose()
		case 40:
			staged.connect()
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
