package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"ppch/api/view"
)

// TestAttendanceMatchesGroundTruth makes people join and leave at random, while Prosody and the service are killed.
// The recorded attendance must agree with what the people know, within the bounds that it states: no stay is missing,
// unless the stay was within a gap or shorter than the module's tick, and no stay is invented.
//
// PPCH_ATTENDANCE_SEEDS is the number of seeds (3), PPCH_ATTENDANCE_FIRST the first one, PPCH_ATTENDANCE_SECONDS the duration of each (15).
func TestAttendanceMatchesGroundTruth(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	program := buildProgram(t)
	eachSeed(t, "PPCH_ATTENDANCE", 15, func(t *testing.T, seed uint64, lasts time.Duration) {
		w := newCrowd(t, program, seed, impatient, "truth")
		w.open(t.Context())
		w.live(lasts)
		w.checkAttendance()
	})
}

// eachSeed runs a test for each seed, in parallel. Variables that begin with prefix set the number of seeds (3), the first one, and the duration in seconds.
func eachSeed(t *testing.T, prefix string, seconds int, test func(t *testing.T, seed uint64, lasts time.Duration)) {
	first, seeds := 1, 3
	for name, n := range map[string]*int{"_FIRST": &first, "_SEEDS": &seeds, "_SECONDS": &seconds} {
		if v := os.Getenv(prefix + name); v != "" {
			*n = must(strconv.Atoi(v))(t)
		}
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			test(t, uint64(seed), time.Duration(seconds)*time.Second)
		})
	}
}

// live runs people and faults.
func (w *crowd) live(lasts time.Duration) {
	end := time.Now().Add(lasts)
	next := w.pause()
	for w.lives(end) {
		w.step()
		time.Sleep(time.Duration(w.random.Int64N(int64(60 * time.Millisecond))))
		if time.Now().Before(next) {
			continue
		}
		switch w.random.IntN(3) {
		case 0:
			w.killProsody()
		case 1:
			w.svc.kill()
			for range w.random.IntN(10) { // some come and go unseen
				w.step()
			}
			w.svc.start()
		default: // a kill within a transaction, more likely than not
			w.step()
			w.svc.kill()
			w.svc.start()
		}
		next = w.pause()
	}
}

func (w *crowd) pause() time.Time {
	return time.Now().Add(time.Second + time.Duration(w.random.Int64N(int64(3*time.Second))))
}

// A frozen service acknowledges nothing, so the module soon sends nothing more, and never sends who joins and leaves then.
// If that lasts longer than 2.5 heartbeats, it is a gap.
func TestAttendance_FrozenService(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	w := newCrowd(t, buildProgram(t), 1, map[string]string{"window_limit": "4", "ack_timeout": "30"}, "frozen")
	w.open(t.Context())
	first := w.join(t.Context(), w.rooms[0])
	nicks := func() (nicks []string, gaps []view.Gap) {
		stays, gaps, _ := w.record(w.service())
		for _, stay := range stays {
			nicks = append(nicks, *stay.Nick)
		}
		return nicks, gaps
	}
	eventually(t, 20*time.Second, "the stay is recorded", func() bool {
		got, _ := nicks()
		return slices.Equal(got, []string{first})
	})
	var frozen sync.WaitGroup
	frozen.Go(func() { w.svc.freeze(8 * time.Second) })
	time.Sleep(5 * time.Second) // heartbeats fill the window
	unseen := must(w.cast.User(t.Context(), w.rooms[0], "Unseen"))(t)
	joined := time.Now()
	time.Sleep(time.Second)
	check(t, unseen.Leave(t.Context()))
	frozen.Wait()
	var got []string
	var gaps []view.Gap
	last := w.join(t.Context(), w.rooms[0])
	eventually(t, 20*time.Second, "the record has the last person", func() bool {
		got, gaps = nicks()
		return slices.Contains(got, last)
	})
	stay := &truth{joined: moment{joined, joined}, left: moment{joined, joined}}
	if len(got) != 2 || !stay.within(gaps) {
		t.Errorf("got the people %v and the gaps %s want %s and %s, and a gap with %s", got, asJSON(gaps), first, last, stay)
	}
}
