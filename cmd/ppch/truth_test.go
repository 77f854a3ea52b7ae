package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// slack is the tolerance of as_of: the time that a request to Prosody takes on a loaded machine.
const slack = 400 * time.Millisecond

// TestAnswersMatchGroundTruth makes people join, leave, rename, be kicked, and destroys rooms at random, while Prosody, its
// module, the network and the service fail. Each response must be true at its as_of, and correct again after each fault.
//
// PPCH_TRUTH_SEEDS is the number of seeds (3), PPCH_TRUTH_SECONDS the duration of each (60).
func TestAnswersMatchGroundTruth(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	program := buildProgram(t)
	eachSeed(t, "PPCH_TRUTH", 60, func(t *testing.T, seed uint64, lasts time.Duration) {
		newWorld(t, program, seed).live(lasts)
	})
}

// world is a Prosody with people, and a service.
type world struct {
	*venue
	network *prosodytest.Network
	svc     *process
	random  *rand.Rand // of the faults
}

func newWorld(t *testing.T, program string, seed uint64) *world {
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, DomainMapper: true, ConflictResolve: "kick_old",
		GlobalConfig: "room_participants_heartbeat = 1", ModuleConstants: map[string]string{"ack_timeout": "2"},
		HostConfig: map[string]string{"muc.meet.jitsi": "muc_room_cache_size = 4"}, // fewer than the rooms, so that they are swapped out and in
	})
	network := must(prosodytest.NewNetwork(srv.ComponentAddr()))(t)
	t.Cleanup(func() { _ = network.Close() })
	w := &world{venue: newVenue(t, srv), network: network, random: rand.New(rand.NewPCG(seed, 0))}
	env := envFor(srv)
	env["PROSODY_URL"] = "xmpp://" + network.Addr()
	w.svc = startProcess(t, program, env)
	for i := range 6 {
		w.add("room"+strconv.Itoa(i), rand.New(rand.NewPCG(seed, uint64(i+1))))
	}
	return w
}

// live runs simulated people and injects faults.
func (w *world) live(lasts time.Duration) {
	w.settle("the start")
	ctx, cancel := context.WithTimeout(w.t.Context(), lasts)
	defer cancel()
	var acting sync.WaitGroup
	for _, r := range w.rooms {
		acting.Go(func() { r.act(ctx) })
		acting.Go(func() { r.ask(ctx, w.svc) })
	}
	faults := []struct {
		name   string
		happen func()
	}{
		{"prosody killed and started again", w.killProsody},
		{"the module reloaded", w.reloadModule},
		{"the network cut, then broken", w.cutNetwork},
		{"the service killed and started again", w.killService},
		{"the service frozen past the module's patience", func() { w.freezeService(4 * time.Second) }},
		{"the service frozen for a moment", func() { w.freezeService(500 * time.Millisecond) }},
	}
	for n := 0; ctx.Err() == nil; n++ {
		if n%len(faults) == 0 {
			w.random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second + time.Duration(w.random.Int64N(int64(2*time.Second)))):
			f := faults[n%len(faults)]
			f.happen()
			w.settle(f.name)
		}
	}
	acting.Wait()
	w.settle("the end")
	answers := 0
	for _, r := range w.rooms {
		answers += r.check()
	}
	if answers < 100 {
		w.t.Errorf("only %d answers were checked", answers)
	}
	w.t.Logf("%d answers were true when they said so", answers)
}

// settle pauses the people and waits until service, Prosody and people agree.
func (w *world) settle(after string) {
	w.t.Helper()
	w.quiet.Lock()
	defer w.quiet.Unlock()
	deadline := time.Now().Add(40 * time.Second)
	for {
		truth := w.prosodysTruth()
		wrong := ""
		for _, r := range w.rooms {
			wrong += r.compare(truth[r.jid], w.svc)
		}
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("after %s:%s\n%s", after, wrong, w.svc.log.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *world) killProsody() {
	w.quiet.Lock()
	defer w.quiet.Unlock()
	w.kill()
	time.Sleep(time.Duration(w.random.Int64N(int64(2 * time.Second))))
	w.restart()
}

func (w *world) reloadModule() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := w.srv.Shell(ctx, `module:reload("room_participants_api", "muc.meet.jitsi")`); err != nil {
		w.t.Error(err)
	}
}

func (w *world) cutNetwork() {
	w.network.Cut()
	time.Sleep(time.Second + time.Duration(w.random.Int64N(int64(3*time.Second))))
	w.network.Restore()
	w.network.Break()
}

func (w *world) killService() {
	w.svc.kill()
	w.svc.start()
}

func (w *world) freezeService(d time.Duration) {
	w.svc.freeze(d)
}

// statusOf describes an unexpected response.
func statusOf(a answer, err error) string {
	if err != nil {
		return err.Error()
	}
	return http.StatusText(a.status) + " " + a.body
}
