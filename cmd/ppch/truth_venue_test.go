package main

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// venue is a Prosody with people.
type venue struct {
	t   *testing.T
	srv *prosodytest.Server

	// quiet is locked for reading while rooms change, and for writing while they must not.
	quiet sync.RWMutex
	cast  *prosodytest.Cast
	rooms []*roomActor
	pace  time.Duration // the longest wait of a room between two changes

	killed time.Time // when Prosody was killed last

	// mu protects away.
	mu   sync.Mutex
	away []moment // when Prosody didn't run, or was frozen
}

func newVenue(t *testing.T, srv *prosodytest.Server) *venue {
	v := &venue{t: t, srv: srv, pace: 150 * time.Millisecond}
	v.cast = must(srv.Cast(t.Context()))(t)
	t.Cleanup(func() { _ = v.cast.Close() })
	return v
}

// add adds a room, without people.
func (v *venue) add(name string, random *rand.Rand) {
	v.rooms = append(v.rooms, newRoomActor(v, name, random))
}

// kill kills Prosody. The caller holds quiet until restart has returned.
func (v *venue) kill() {
	v.killed = time.Now()
	if err := v.srv.Kill(); err != nil {
		v.t.Error(err)
	}
	_ = v.cast.Close()
}

// restart starts a Prosody again that was killed, without people.
func (v *venue) restart() {
	v.absent(v.killed, time.Now())
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := v.srv.Restart(ctx); err != nil {
		v.t.Error(err)
		return
	}
	cast, err := v.srv.Cast(ctx)
	if err != nil {
		v.t.Error(err)
		return
	}
	v.cast = cast
	for _, r := range v.rooms {
		r.vanish(v.killed)
	}
}

// freeze suspends Prosody for a while, in which its rooms don't change.
func (v *venue) freeze(d time.Duration) {
	began := time.Now()
	if err := v.srv.Pause(); err != nil {
		v.t.Error(err)
	}
	time.Sleep(d)
	v.absent(began, time.Now())
	if err := v.srv.Resume(); err != nil {
		v.t.Error(err)
	}
}

func (v *venue) absent(from, to time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.away = append(v.away, moment{from, to})
}

// prosodysTruth returns the occupants of each room from Prosody itself, as sorted nicks separated by blanks.
func (v *venue) prosodysTruth() map[string]string {
	v.t.Helper()
	lua := `> local all = {}; for room in prosody.hosts["` + v.srv.Domains.MUC + `"].modules.muc.all_rooms() do local nicks = {}; ` +
		`for _, o in room:each_occupant() do nicks[#nicks+1] = o.nick:match("/(.*)$") end; table.sort(nicks); ` +
		`all[#all+1] = room.jid .. " " .. table.concat(nicks, " ") end; return table.concat(all, "\n")`
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out := must(v.srv.Shell(ctx, lua))(v.t)
	truth := map[string]string{}
	for line := range strings.Lines(out) {
		room, nicks, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "Result: ")), " ")
		truth[room] = nicks
	}
	return truth
}
