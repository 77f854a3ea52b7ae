package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"ppch/prosody/prosodytest"
)

// room is a room with the name that a person types and the JID that clients join.
type room struct {
	site      *site
	name, jid string
}

// move is a join or a leave.
type move struct {
	room   room
	who    string
	joined bool
}

// site is a Prosody with its simulated people.
type site struct {
	name string // of the shard; empty if there is only one
	srv  *prosodytest.Server
	cast *prosodytest.Cast
}

// people are the simulated people.
type people struct {
	sites []*site
	rooms []room
	moves chan move

	here map[string]visit // those who joined in comeAndGo, by name
}

type visit struct {
	room   room
	client *prosodytest.Client
}

// gather opens the rooms with the first people in them.
func gather(ctx context.Context, srv *prosodytest.Server) (_ *people, err error) {
	p := &people{moves: make(chan move), here: map[string]visit{}}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	return p, p.enter(ctx, "", srv)
}

// enter opens the usual rooms on a Prosody.
func (p *people) enter(ctx context.Context, shard string, srv *prosodytest.Server) error {
	s, err := p.add(ctx, shard, srv)
	if err != nil {
		return err
	}
	planning, err := p.open(ctx, s, "Planning", srv.Room("planning"), "Ada", "Grace", "Linus")
	if err != nil {
		return err
	}
	if _, err := p.open(ctx, s, "Кафе", srv.Room("%d0%ba%d0%b0%d1%84%d0%b5"), "Анна"); err != nil {
		return err
	}
	if _, err := p.open(ctx, s, "acme/Stand up", srv.TenantRoom("acme", "stand%20up"), "Barbara", "Edsger"); err != nil {
		return err
	}
	if _, err := s.cast.Recorder(ctx, planning.jid); err != nil {
		return err
	}
	_, err = s.cast.Caller(ctx, planning.jid, "+49 30 123456")
	return err
}

// add adds a Prosody without rooms.
func (p *people) add(ctx context.Context, shard string, srv *prosodytest.Server) (*site, error) {
	cast, err := srv.Cast(ctx)
	if err != nil {
		return nil, err
	}
	s := &site{name: shard, srv: srv, cast: cast}
	p.sites = append(p.sites, s)
	return s, nil
}

// open opens a room with people in it.
func (p *people) open(ctx context.Context, s *site, name, jid string, names ...string) (room, error) {
	r := room{site: s, name: name, jid: jid}
	if _, err := s.cast.Open(ctx, jid); err != nil {
		return r, err
	}
	for _, name := range names {
		if _, err := s.cast.User(ctx, jid, name); err != nil {
			return r, err
		}
	}
	p.rooms = append(p.rooms, r)
	return r, nil
}

var visitors = []string{"Alan", "Donald", "Frances", "Hedy", "Ken", "Margaret", "Niklaus", "Radia"}

// comeAndGo makes a person join or leave every few seconds until ctx ends.
func (p *people) comeAndGo(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2*time.Second + rand.N(2*time.Second)): // #nosec G404 -- not a secret
		}
		who := visitors[rand.N(len(visitors))]                                 // #nosec G404 -- as above
		m := move{room: p.rooms[rand.N(len(p.rooms))], who: who, joined: true} // #nosec G404 -- as above
		if v, ok := p.here[who]; ok {
			m.joined, m.room = false, v.room
			delete(p.here, who)
			if err := v.client.Close(); err != nil {
				return fmt.Errorf("%s leaves: %w", who, err)
			}
		} else {
			client, err := m.room.site.srv.Guest(ctx)
			if err != nil {
				return fmt.Errorf("%s logs in: %w", who, err)
			}
			p.here[who] = visit{m.room, client}
			if _, err := client.Join(ctx, m.room.jid, prosodytest.Nick(), prosodytest.DisplayName(who)); err != nil {
				return fmt.Errorf("%s joins: %w", who, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case p.moves <- m:
		}
	}
}

// close disconnects all people.
func (p *people) close() {
	// Errors don't matter: Prosody stops next.
	for _, v := range p.here {
		_ = v.client.Close()
	}
	for _, s := range p.sites {
		_ = s.cast.Close()
	}
}
