package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ppch/prosody/prosodytest"
)

// room is a room with the name that a person types and the JID that clients join.
type room struct{ name, jid string }

// move is a join or a leave.
type move struct {
	room   room
	who    string
	joined bool
}

// people are the simulated people.
type people struct {
	srv   *prosodytest.Server
	cast  *prosodytest.Cast
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
	cast, err := srv.Cast(ctx)
	if err != nil {
		return nil, err
	}
	p := &people{
		srv: srv, cast: cast, moves: make(chan move), here: map[string]visit{},
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
		if _, err := cast.Open(ctx, p.rooms[i].jid); err != nil {
			return nil, err
		}
		for _, name := range names {
			if _, err := cast.User(ctx, p.rooms[i].jid, name); err != nil {
				return nil, err
			}
		}
	}
	if _, err := cast.Recorder(ctx, p.rooms[0].jid); err != nil {
		return nil, err
	}
	_, err = cast.Caller(ctx, p.rooms[0].jid, "+49 30 123456")
	return p, err
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
			client, err := p.srv.Guest(ctx)
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
	var err error
	for _, v := range p.here {
		err = errors.Join(err, v.client.Close())
	}
	_ = errors.Join(err, p.cast.Close()) // Prosody stops next
}
