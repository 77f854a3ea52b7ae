package history_test

import (
	"testing"
	"testing/synctest"
	"time"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// expectPeaks compares the peaks of a resolution with those wanted; the known part may differ by some seconds.
func (s *site) expectPeaks(step time.Duration, want ...history.Peaks) {
	s.t.Helper()
	all, err := s.store.Peaks(s.t.Context(), occupancy.RoomMain, step, time.Time{})
	check(s.t, err)
	if len(all) != len(want) {
		s.t.Fatalf("%v: got %+v want %d steps", step, all, len(want))
	}
	for i, got := range all {
		w := want[i]
		if !got.At.Equal(w.At) || got.Rooms != w.Rooms || got.Participants != w.Participants || (got.Watched-w.Watched).Abs() > 5*time.Second {
			s.t.Errorf("%v: got %+v want %+v", step, got, w)
		}
	}
}

// Each resolution has the peaks of its steps, and says for how long it knows them. A time without data is not watched, and is no 0.
func TestRecorder_Peaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(10*time.Hour + 55*time.Minute) // of a day in UTC
		midnight := time.Now().Truncate(24 * time.Hour)
		after := midnight.Add
		s := newSite(t, history.LevelNumbers)
		s.load(0)
		// Both peaks of a step are its own: most rooms, and later most people.
		s.apply(1, room("a", 1, person("ann", 1)), room("b", 1, person("bob", 1)))
		time.Sleep(time.Minute)
		s.apply(2, gone("b"), change("a", nil, person("cyd", 2), person("dan", 2)))
		time.Sleep(time.Minute)
		s.apply(3, change("a", []string{"ann", "cyd"}))
		time.Sleep(5 * time.Minute) // until 11:02
		// Prosody is away for four minutes.
		status := occupancy.Status{Connected: true, Since: at(0), Mode: occupancy.ModeModule}
		lost := status
		lost.Problem = occupancy.ProblemSilent.About(muc).Err(nil)
		s.directory.Shard(occupancy.DefaultShard).SetStatus(muc, lost)
		time.Sleep(4 * time.Minute)
		s.directory.Shard(occupancy.DefaultShard).SetStatus(muc, status)
		time.Sleep(2 * time.Minute)
		s.stop() // at 11:08, writes the step that goes on
		check(t, s.store.Open(t.Context()))
		s.expectPeaks(5*time.Minute,
			history.Peaks{At: after(10*time.Hour + 55*time.Minute), Rooms: 2, Participants: 3, Watched: 5 * time.Minute},
			history.Peaks{At: after(11 * time.Hour), Rooms: 1, Participants: 1, Watched: 2 * time.Minute},
			history.Peaks{At: after(11*time.Hour + 5*time.Minute), Rooms: 1, Participants: 1, Watched: 2 * time.Minute},
		)
		s.expectPeaks(time.Hour,
			history.Peaks{At: after(10 * time.Hour), Rooms: 2, Participants: 3, Watched: 5 * time.Minute},
			history.Peaks{At: after(11 * time.Hour), Rooms: 1, Participants: 1, Watched: 4 * time.Minute},
		)
		s.expectPeaks(24*time.Hour, history.Peaks{At: midnight, Rooms: 2, Participants: 3, Watched: 9 * time.Minute})

		// Each resolution is kept for as long as its range needs.
		for _, tt := range []struct {
			later time.Duration
			want  [3]int
		}{{24 * time.Hour, [3]int{3, 2, 1}}, {3 * 24 * time.Hour, [3]int{0, 2, 1}}, {36 * 24 * time.Hour, [3]int{0, 0, 1}}, {401 * 24 * time.Hour, [3]int{0, 0, 0}}} {
			check(t, s.store.Prune(t.Context(), 0, time.Now().Add(tt.later)))
			for i, step := range []time.Duration{5 * time.Minute, time.Hour, 24 * time.Hour} {
				if all := must(s.store.Peaks(t.Context(), occupancy.RoomMain, step, time.Time{}))(t); len(all) != tt.want[i] {
					t.Errorf("%v later: got %d steps of %v want %d", tt.later, len(all), step, tt.want[i])
				}
			}
		}
		s.store.Close()
	})
}
