package history_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"ppch/component/history"
	"ppch/component/occupancy"
)

func TestRecorder_Batches(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10)
	s.apply(20, room("daily", 19, person("ann", 20)))
	s.expect("room-started daily  0>0", "joined daily ann 0>1")
	s.apply(30, change("daily", nil, person("bob", 30)))
	s.apply(40, change("daily", []string{"ann"}))
	s.apply(50, gone("daily"))
	s.expect("joined daily bob 1>2", "left daily ann 2>1", "left daily bob 1>0", "room-ended daily  0>0")
}

// The first snapshot shows what is there, which is no change.
func TestRecorder_FirstSnapshotIsSilent(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("daily", 1, person("ann", 2)))
	s.apply(20, change("daily", nil, person("bob", 20)))
	s.expect("joined daily bob 1>2")
}

func TestRecorder_Restart(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("daily", 1, person("ann", 2), person("bob", 3)), room("weekly", 1, person("eve", 5)))
	s.apply(20, change("daily", nil, person("cyd", 20)))
	s.expect("joined daily cyd 2>3")
	s.restart()
	// Ann stays, Bob left, Cyd left and returned, Dan is new; one meeting ended and another began in its room.
	s.load(60, room("daily", 1, person("ann", 2), person("cyd", 50), person("dan", 55)), room("weekly", 40, person("eve", 41)))
	s.expect(
		"lost from 20 because of stopped",
		"left daily bob 3>2 between 20 and 60",
		"left daily cyd 2>1 between 20 and 60",
		"joined daily cyd 1>2 between 20 and 60",
		"joined daily dan 2>3 between 20 and 60",
		"left weekly eve 1>0 between 20 and 60",
		"room-ended weekly  0>0 between 20 and 60",
		"room-started weekly  0>0 between 20 and 60",
		"joined weekly eve 0>1 between 20 and 60",
		"restored, lost from 20 to 60 because of stopped",
	)
	s.restart()
	s.load(90, room("daily", 1, person("ann", 2), person("cyd", 50), person("dan", 55)))
	s.expect(
		"lost from 60 because of stopped",
		"left weekly eve 1>0 between 60 and 90",
		"room-ended weekly  0>0 between 60 and 90",
		"restored, lost from 60 to 90 because of stopped",
	)
}

// A domain that was silent for a while goes on without a new snapshot: nothing was missed, so there is no gap.
func TestRecorder_WatchGoesOn(t *testing.T) {
	s := newSite(t, history.LevelNames)
	past := int(time.Since(start)/time.Second) - 2 // two seconds before now
	s.load(past, room("daily", past, person("ann", past)))
	status := occupancy.Status{Connected: true, Since: at(past - 1), Mode: occupancy.ModeModule}
	lost := status
	lost.Problem = occupancy.ProblemSilent.About(muc).Err(nil)
	s.directory.Shard(occupancy.DefaultShard).SetStatus(muc, lost)
	s.directory.Shard(occupancy.DefaultShard).SetStatus(muc, status)
	waitFor(t, "two events", func() bool { s.box.mu.Lock(); defer s.box.mu.Unlock(); return len(s.box.events) == 2 })
	first, second := s.box.events[0], s.box.events[1]
	if first.Gap == nil || !first.Gap.Ended.IsZero() || second.Gap == nil || second.Gap.Ended.Before(second.Gap.Began) || first.ID("lost") == second.ID("restored") {
		t.Errorf("got %q, want the domain lost and restored", s.box.take())
	}
	if n := s.count("SELECT COUNT(*) FROM gaps"); n != 0 {
		t.Errorf("got %d gaps", n)
	}
}

// A problem from before the snapshot is over.
func TestRecorder_OldProblem(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("daily", 1, person("ann", 2))) // later than now
	status := occupancy.Status{Connected: true, Since: at(0), Mode: occupancy.ModeModule}
	lost := status
	lost.Problem = occupancy.ProblemConnecting.Err(nil)
	s.directory.Shard(occupancy.DefaultShard).SetStatus(muc, lost)
	s.directory.Shard(occupancy.DefaultShard).SetStatus(muc, status)
	s.apply(20, change("daily", nil, person("bob", 20)))
	s.expect("joined daily bob 1>2")
}

// A join is by Prosody's clock and may be a little later than the last confirmation: no leave is before its join.
func TestRecorder_LeaveIsNotBeforeJoin(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("daily", 1, person("ann", 2)))
	s.apply(20, change("daily", nil, person("bob", 21)))
	s.expect("joined daily bob 1>2")
	s.restart()
	s.load(60, room("daily", 1, person("ann", 2)))
	s.expect("lost from 20 because of stopped", "left daily bob 2>1 between 21 and 60", "restored, lost from 20 to 60 because of stopped")
}

// The module sends a room that ended and opened again between two batches as a new one.
func TestRecorder_RoomReopensWithinABatch(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("daily", 1, person("ann", 2), person("bob", 3)))
	s.apply(20, room("daily", 19, person("bob", 19), person("cyd", 20)))
	s.expect(
		"left daily ann 2>1", "left daily bob 1>0", "room-ended daily  0>0",
		"room-started daily  0>0", "joined daily bob 0>1", "joined daily cyd 1>2",
	)
	if n := s.count("SELECT COUNT(*) FROM stays"); n != 4 {
		t.Errorf("got %d stays want 4", n)
	}
}

// A resync shows differences whose time is unknown.
func TestRecorder_Resync(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("daily", 1, person("ann", 2), person("bob", 3)))
	s.load(40, room("daily", 1, person("ann", 2), person("cyd", 30)))
	s.expect(
		"left daily bob 2>1 between 10 and 40",
		"joined daily cyd 1>2 between 10 and 40",
		"lost from 10 because of resync",
		"restored, lost from 10 to 40 because of resync",
	)
}

func TestRecorder_EventIDs(t *testing.T) {
	ids := func() (all []string) {
		s := newSite(t, history.LevelNames)
		s.load(10)
		s.apply(20, room("daily", 19, person("ann", 20)))
		s.apply(30, change("daily", []string{"ann"}))
		s.apply(31, change("daily", nil, person("ann", 31)))
		waitFor(t, "four events", func() bool {
			s.box.mu.Lock()
			defer s.box.mu.Unlock()
			return len(s.box.events) == 4
		})
		for _, e := range s.box.events {
			all = append(all, e.ID(string(e.Kind)).String())
		}
		return all
	}
	first, second := ids(), ids()
	seen := map[string]bool{}
	for i, id := range first {
		if id != second[i] {
			t.Errorf("event %d: got %s want %s, as of another PPCH", i, second[i], id)
		}
		if seen[id] {
			t.Errorf("event %d: got %s twice", i, id)
		}
		seen[id] = true
	}
}

// A change is recorded together with what the Outbox adds, or not at all.
func TestRecorder_OutboxFails(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("daily", 1, person("ann", 2)))
	s.box.mu.Lock()
	s.box.fail = history.ErrNotAnID
	s.box.mu.Unlock()
	s.apply(20, change("daily", nil, person("bob", 20)))
	waitFor(t, "the event to be read", func() bool { return s.store.Stats().Failures > 0 })
	s.box.mu.Lock()
	s.box.fail = nil
	s.box.mu.Unlock()
	s.expect(
		"lost from 10 because of store",
		"joined daily bob 1>2 between 10 and 20",
		"restored, lost from 10 to 20 because of store",
	)
}

// An Outbox that begins to need events gets none for what is already there.
func TestRecorder_Changed(t *testing.T) {
	s := &site{t: t, dir: t.TempDir(), level: history.LevelOff, box: &box{}}
	s.start(occupancy.NewDirectory(muc))
	s.load(10, room("daily", 1, person("ann", 2)))
	s.box.set(history.LevelNames)
	s.recorder.Changed()
	waitFor(t, "the room to be recorded", func() bool { return s.count("SELECT COUNT(*) FROM present") == 1 })
	s.apply(20, change("daily", nil, person("bob", 20)))
	s.expect("joined daily bob 1>2")
	s.box.set(history.LevelOff)
	s.recorder.Changed()
	waitFor(t, "the room to be forgotten", func() bool { return s.count("SELECT COUNT(*) FROM open_rooms") == 0 })
}

// A disk that is full for a while costs no meeting: what happened meanwhile has bounds, and the time is a gap.
func TestRecorder_FullDisk(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("daily", 1, person("ann", 2), person("bob", 3)))
	limit := func(pages int) {
		// max_page_count belongs to the connection that writes.
		check(t, s.store.Write(t.Context(), func(tx *history.Tx) error {
			_, err := tx.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages))
			return err
		}))
	}
	limit(1) // no more than it has
	var crowd []occupancy.Occupant
	for i := range 500 {
		crowd = append(crowd, person(fmt.Sprintf("crowd%d", i), 20))
	}
	s.apply(20, change("daily", nil, crowd...))
	waitFor(t, "the disk to be full", func() bool { p := s.store.Problem(); return p != nil && p.Reason == history.ReasonFull })
	if r, err := s.directory.Room(jid.MustParse("daily@muc.meet.jitsi")); err != nil || r.Participants != 502 {
		t.Errorf("got %d people, %v; want 502", r.Participants, err)
	}
	s.apply(30, change("daily", []string{"ann"}))
	limit(1 << 30)
	// The Outbox has the events only after the commit, which a query of the file already sees.
	var got string
	waitFor(t, "the end of the gap", func() bool {
		got += strings.Join(s.box.take(), "\n") + "\n"
		return strings.Contains(got, "restored, lost from 10 to 30 because of store")
	})
	if n := s.count("SELECT COUNT(*) FROM stays"); n != 502 {
		t.Errorf("got %d stays want 502", n)
	}
	if s.store.Problem() != nil {
		t.Errorf("got %v", s.store.Problem())
	}
	for _, want := range []string{
		"lost from 10 because of store", "left daily ann 2>1 between 10 and 30", "joined daily crowd7 ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the events lack %q", want)
		}
	}
}

// More events than may wait, because a write takes long, cost no meeting: the Recorder compares with a snapshot and states the time as a gap.
func TestRecorder_Overload(t *testing.T) {
	s := newSite(t, history.LevelNumbers)
	s.load(10, room("daily", 1, person("ann", 2), person("bob", 3)))
	writing, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- s.store.Write(t.Context(), func(*history.Tx) error {
			close(writing)
			<-release
			return nil
		})
	}()
	<-writing
	s.apply(20, change("daily", nil, person("cyd", 20)))
	for i := range 24 {
		var crowd []occupancy.Occupant
		for j := range 1000 {
			crowd = append(crowd, person(fmt.Sprintf("crowd%d-%d", i, j), 21))
		}
		s.apply(21+i, change("daily", nil, crowd...))
	}
	s.apply(50, change("daily", []string{"bob"}))
	close(release)
	check(t, <-done)
	waitFor(t, "all people", func() bool { return s.count("SELECT COUNT(*) FROM stays") == 24_003 })
	var gaps []string
	waitFor(t, "the end of the gap", func() bool {
		gaps = append(gaps, slices.DeleteFunc(s.box.take(), func(e string) bool { return !strings.Contains(e, "lost from") && !strings.HasPrefix(e, "left ") })...)
		return len(gaps) == 3
	})
	// What was read before the overflow is recorded with its time: the gap begins then.
	var began int
	if _, err := fmt.Sscanf(gaps[0], "lost from %d because of overload", &began); err != nil || began < 10 || began > 45 {
		t.Errorf("got %q want a gap because of overload", gaps[0])
	}
	if bounds := fmt.Sprintf(" between %d and 50", began); !strings.HasPrefix(gaps[1], "left daily bob ") || !strings.HasSuffix(gaps[1], bounds) {
		t.Errorf("got %q want that Bob left%s", gaps[1], bounds)
	}
	if want := fmt.Sprintf("restored, lost from %d to 50 because of overload", began); gaps[2] != want {
		t.Errorf("got %q want %q", gaps[2], want)
	}
	if n := s.count("SELECT COUNT(*) FROM gaps WHERE reason = 'overload' AND ended IS NOT NULL"); n != 1 {
		t.Errorf("got %d gaps want one", n)
	}
	if n := metricsOf(t, s.recorder)["history_gaps_total overload"]; n != 1 {
		t.Errorf("got %v as the metric of such gaps want 1", n)
	}
}

// Occupants who are hidden by the operator's rule are recorded with its name, and are never counted. Alone they are no meeting.
func TestRecorder_HiddenByRule(t *testing.T) {
	s := newSite(t, history.LevelNames)
	rule := must(occupancy.ParseRule("bots=jid-of-bot*@meet.jitsi"))(t)
	stays := func(want ...string) {
		t.Helper()
		var got []string
		meetings, _, err := s.store.Meetings(t.Context(), history.MeetingFilter{Limit: 10})
		check(t, err)
		for _, m := range meetings {
			a := must(s.store.Attendance(t.Context(), m.ID))(t)
			for _, p := range a.Attendees {
				for _, stay := range p.Stays {
					got = append(got, fmt.Sprint(stay.Name, " ", stay.Kind, " ", stay.Rule, " of ", m.Stays, ", peak ", m.Peak))
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	s.load(10)
	s.apply(20, room("daily", 19, person("ann", 20), person("bot", 20)))
	s.expect("room-started daily  0>0", "joined daily ann 0>1", "joined daily bot 1>2")
	stays("ANN user  of 2, peak 2", "BOT user  of 2, peak 2")

	s.rules = []occupancy.Rule{rule}
	s.restart()
	s.load(30, room("daily", 19, person("ann", 20), person("bot", 20)))
	s.apply(40, change("daily", nil, person("bot2", 40)), room("empty", 40, person("bot", 40)))
	s.apply(50, gone("empty"))
	s.apply(60, change("daily", []string{"bot2"}))
	waitFor(t, "the last change", func() bool { return s.count("SELECT COUNT(*) FROM stays WHERE left_before IS NOT NULL") == 1 })
	stays("ANN user  of 1, peak 2", "BOT hidden bots of 1, peak 2", "BOT2 hidden bots of 1, peak 2")

	s.rules = nil
	s.restart()
	s.load(70, room("daily", 19, person("ann", 20), person("bot", 20)))
	stays("ANN user  of 2, peak 2", "BOT user  of 2, peak 2", "BOT2 hidden bots of 2, peak 2")
}
