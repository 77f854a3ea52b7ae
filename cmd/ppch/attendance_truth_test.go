package main

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
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
		w := newCrowd(t, program, seed, "truth")
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
