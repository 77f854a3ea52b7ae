package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ppch/prosody/prosodytest"
)

// room is a room under its two addresses: the one that a person types and the one that clients enter.
type room struct{ name, enter string }

// move says that somebody came or went.
type move struct {
	room room
	who  string
	came bool
}

// people are in rooms, and some of them come and go.
type people struct {
	srv   *prosodytest.Server
	cast  *prosodytest.Cast
	rooms []room
	moved chan move

	here map[string]visit // who came by comeAndGo, by name
}

type visit struct {
	room   room
	client *prosodytest.Client
}

// gather opens the rooms and puts the first people in.
func gather(ctx context.Context, srv *prosodytest.Server) (_ *people, err error) {
	cast, err := srv.Cast(ctx)
	if err != nil {
		return nil, err
	}
	p := &people{
		srv: srv, cast: cast, moved: make(chan move), here: map[string]visit{},
		rooms: []room{
			{"Planning", srv.Room("planning")},
			{"Кафе", srv.Room("%d0%ba%d0%b0%d1%84%d0%b5")},
			{"acme/Stand up", srv.TenantRoom("acme", "stand%20up")},
		},
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for i, names := range [][]string{{"Ada", "Grace", "Linus"}, {"Анна"}, {"Barbara", "Edsger"}} {
		if _, err := cast.Open(ctx, p.rooms[i].enter); err != nil {
			return nil, err
		}
		for _, name := range names {
			if _, err := cast.User(ctx, p.rooms[i].enter, name); err != nil {
				return nil, err
			}
		}
	}
	if _, err := cast.Recorder(ctx, p.rooms[0].enter); err != nil {
		return nil, err
	}
	_, err = cast.Caller(ctx, p.rooms[0].enter, "+49 30 123456")
	return p, err
}

var visitors = []string{"Alan", "Donald", "Frances", "Hedy", "Ken", "Margaret", "Niklaus", "Radia"}

// comeAndGo lets somebody join or leave every few seconds until ctx ends.
func (p *people) comeAndGo(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2*time.Second + rand.N(2*time.Second)): // #nosec G404 -- who comes needn't be secret
		}
		who := visitors[rand.N(len(visitors))]                               // #nosec G404 -- as above
		m := move{room: p.rooms[rand.N(len(p.rooms))], who: who, came: true} // #nosec G404 -- as above
		if v, ok := p.here[who]; ok {
			m.came, m.room = false, v.room
			delete(p.here, who)
			if err := v.client.Close(); err != nil {
				return fmt.Errorf("%s leaves: %w", who, err)
			}
		} else {
			client, err := p.srv.Guest(ctx)
			if err != nil {
				return fmt.Errorf("%s logs in: %w", who, err)
			}
			p.here[who] = visit{m.room, client}
			if _, err := client.Join(ctx, m.room.enter, prosodytest.Nick(), prosodytest.DisplayName(who)); err != nil {
				return fmt.Errorf("%s joins: %w", who, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case p.moved <- m:
		}
	}
}

// close sends everybody home.
func (p *people) close() {
	var err error
	for _, v := range p.here {
		err = errors.Join(err, v.client.Close())
	}
	_ = errors.Join(err, p.cast.Close()) // Prosody is stopped next, so nobody is left behind
}
