package api_test

import (
	"context"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/component/occupancy"
)

// forever is a maximum staleness for tests with old dates.
const forever = 100 * 365 * 24 * time.Hour

// fakeProsody is a Prosody with answers from a test.
type fakeProsody struct {
	directory   *occupancy.Directory
	rooms       fakeRooms
	diagnostics occupancy.Diagnostics
	services    []occupancy.Service
	err         error // of Services

	// mu protects what follows.
	mu    sync.Mutex
	asked map[string]askedRoom
}

// askedRoom is a room as Prosody returned it at some time.
type askedRoom struct {
	room occupancy.Room
	at   time.Time
}

// fakeRooms returns any room.
type fakeRooms func(ctx context.Context, room jid.JID) (occupancy.Room, error)

// Room asks rooms once a second about each room, as a Component does.
func (p *fakeProsody) Room(ctx context.Context, room jid.JID) (occupancy.Room, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, ok := p.asked[room.String()]; ok && time.Since(a.at) < time.Second {
		return a.room, nil
	}
	r, err := p.rooms(ctx, room)
	if err == nil {
		r.Fingerprint = occupancy.FingerprintOf(r)
		r.AnonymousFingerprint = r.Fingerprint
		p.asked[room.String()] = askedRoom{r, time.Now()}
	}
	return r, err
}

func (p *fakeProsody) RoomOn(ctx context.Context, shard string, room jid.JID) (occupancy.Room, error) {
	return p.rooms(ctx, room)
}

func (p *fakeProsody) Diagnostics() occupancy.Diagnostics {
	w := p.diagnostics
	w.Domains = nil
	for i, s := range p.directory.Shards() {
		shard := occupancy.ShardDiagnostics{Shard: s.Name(), Kind: s.Kind()}
		if i == 0 {
			shard.Component, shard.Prosody, shard.LastAnswer = w.Component, w.Prosody, w.LastAnswer
		}
		w.Shards = append(w.Shards, shard)
	}
	for i, d := range p.directory.Domains() {
		var wired occupancy.DomainDiagnostics
		if i < len(p.diagnostics.Domains) {
			wired = p.diagnostics.Domains[i]
		}
		wired.Domain = d
		w.Domains = append(w.Domains, wired)
	}
	return w
}

func (p *fakeProsody) Services() ([]occupancy.Service, error) { return p.services, p.err }

// fails returns a fakeRooms that fails.
func fails(err error) fakeRooms {
	return func(context.Context, jid.JID) (occupancy.Room, error) { return occupancy.Room{}, err }
}

// absent is a fakeRooms in which no room exists.
func absent(_ context.Context, room jid.JID) (occupancy.Room, error) {
	return occupancy.Room{JID: room, Source: occupancy.SourceModule, AsOf: now}, nil
}

// connection is the state of a connection to Prosody.
type connection struct {
	up      bool
	since   time.Time
	problem *occupancy.UnavailableError
	domains []domainStatus // main one first
}

type domainStatus struct {
	jid     jid.JID
	mode    occupancy.Mode
	problem *occupancy.UnavailableError
}

// directory returns the Directory of c. Domains that are followed have no rooms.
func (c connection) directory() *occupancy.Directory {
	domains := make([]jid.JID, len(c.domains))
	for i, d := range c.domains {
		domains[i] = d.jid
	}
	directory := occupancy.NewDirectory(domains...)
	directory.MaxStaleness = forever
	for _, d := range c.domains {
		s := occupancy.Status{Connected: c.up, Since: c.since, Mode: d.mode, Problem: d.problem}
		if !c.up {
			s.Problem = c.problem
		}
		directory.Shard(occupancy.DefaultShard).SetStatus(d.jid, s)
		if s.Problem == nil && d.mode == occupancy.ModeModule {
			directory.Shard(occupancy.DefaultShard).Begin(d.jid, occupancy.SystemAccounts{})
			if err := directory.Shard(occupancy.DefaultShard).Apply(d.jid, occupancy.Batch{Synced: true}, now); err != nil {
				panic(err)
			}
		}
	}
	return directory
}

// withConnection sets the connection to Prosody.
func withConnection(c connection) func(*api.Config) {
	w := healthyDiagnostics()
	if !c.up {
		w = diagnosticsOf()
	}
	return withDiagnostics(c, w)
}

// withDiagnostics sets the connection to Prosody and its diagnostics.
func withDiagnostics(c connection, w occupancy.Diagnostics) func(*api.Config) {
	return func(cfg *api.Config) {
		p := newProsody(absent, w)
		p.services = []occupancy.Service{
			{Shard: occupancy.DefaultShard, JID: jid.MustParse("internal-muc.meet.jitsi")}, {Shard: occupancy.DefaultShard, JID: mainDomain, Protocols: []string{"urn:ppch:occupancy:1"}},
		}
		if !c.up {
			p.services, p.err = nil, c.problem
		}
		cfg.Directory, cfg.Prosody = c.directory(), p
	}
}

func newProsody(rooms fakeRooms, w occupancy.Diagnostics) *fakeProsody {
	return &fakeProsody{rooms: rooms, diagnostics: w, asked: make(map[string]askedRoom)}
}

// withRooms sets the rooms of a Prosody without the Lua module.
func withRooms(rooms fakeRooms) func(*api.Config) {
	return func(cfg *api.Config) {
		c := healthyConnection()
		for i := range c.domains {
			c.domains[i] = domainStatus{jid: c.domains[i].jid, mode: occupancy.ModeDisco}
		}
		cfg.Directory, cfg.Prosody = c.directory(), newProsody(rooms, healthyDiagnostics())
	}
}
