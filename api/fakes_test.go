package api_test

import (
	"context"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/component/occupancy"
)

// fakeRooms answers for every room.
type fakeRooms func(ctx context.Context, room jid.JID) (occupancy.Room, error)

func (f fakeRooms) Room(ctx context.Context, room jid.JID) (occupancy.Room, error) {
	return f(ctx, room)
}

// Glance sees another state each time, so that what f tells is never taken to be known.
func (f fakeRooms) Glance(_ context.Context, room jid.JID) (occupancy.Glance, error) {
	state := occupancy.State(glances.Add(1))
	return occupancy.Glance{Address: room.String(), AsOf: now, State: state, Numbers: state}, nil
}

var glances atomic.Uint64

func (f fakeRooms) Listed(domain jid.JID) (time.Time, error) {
	r, err := f(context.Background(), domain)
	return r.AsOf, err
}

// fails returns a fakeRooms that knows nothing.
func fails(err error) fakeRooms {
	return func(context.Context, jid.JID) (occupancy.Room, error) { return occupancy.Room{}, err }
}

// absent is a fakeRooms in which no room exists.
func absent(_ context.Context, room jid.JID) (occupancy.Room, error) {
	return occupancy.Room{JID: room, Source: occupancy.SourceModule, AsOf: now}, nil
}

// fakeLink is a way to Prosody that stays as it is.
type fakeLink occupancy.Link

func (f fakeLink) Link() occupancy.Link { return occupancy.Link(f).Clone() }

// fakeWiring is a wiring that stays as it is.
type fakeWiring occupancy.Wiring

func (f fakeWiring) Wiring() occupancy.Wiring { return occupancy.Wiring(f) }

func (f fakeWiring) Services() ([]occupancy.Service, error) {
	if !f.Link.Up {
		return nil, f.Link.Problem
	}
	return []occupancy.Service{{JID: jid.MustParse("internal-muc.meet.jitsi")}, {JID: mainDomain, Protocols: []string{"urn:ppch:occupancy:1"}}}, nil
}

// wired adjusts the wiring.
func wired(w occupancy.Wiring) func(*api.Config) {
	return func(cfg *api.Config) { cfg.Wiring = fakeWiring(w) }
}

// with adjusts which rooms there are.
func with(rooms fakeRooms) func(*api.Config) {
	return func(cfg *api.Config) { cfg.Rooms = rooms }
}

// linked adjusts the way to Prosody.
func linked(link occupancy.Link) func(*api.Config) {
	return func(cfg *api.Config) { cfg.Link = fakeLink(link) }
}
