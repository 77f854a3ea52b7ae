package webhook_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ppch/api/keys"
	"ppch/api/webhook"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// traces returns which of words the files of the store contain.
func (s *station) traces(words ...string) (found []string) {
	s.t.Helper()
	files := must(filepath.Glob(filepath.Join(s.folder, "*")))(s.t)
	for _, word := range words {
		if slices.ContainsFunc(files, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && bytes.Contains(text, []byte(word))
		}) {
			found = append(found, word)
		}
	}
	return found
}

// deliver records joins to a room, and waits until they are delivered.
func (s *station) deliver(in *inbox, room string, n int, userID string) {
	s.t.Helper()
	changes := s.joins(room, 0, n)
	for i := range changes {
		changes[i].Occupant.UserID = userID
	}
	before := len(in.accepted())
	s.record(changes...)
	in.wait(before + n)
	eventually(s.t, func() string {
		if s.count(`SELECT COUNT(*) FROM deliveries WHERE state = 0`) != 0 {
			return "a delivery waits"
		}
		return ""
	})
}

// erase erases a person as the API does.
func (s *station) erase(userID string) {
	s.t.Helper()
	must(history.NewRecorder(history.RecorderConfig{Store: s.store, Outbox: s.outbox}).Erase(s.t.Context(), userID))(s.t)
}

func TestPrivacy_NumbersOnly(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	s.add("in", in.URL, func(w *webhook.Settings) { w.Names = false })
	s.deliver(in, "town-hall", 100, "uid-of-someone")
	if found := s.traces("Person 42", "nick00042", "uid-of-someone"); len(found) > 0 {
		t.Errorf("got %q in the folder", found)
	}
}

// Bodies are gone from the disk after PPCH_WEBHOOK_LOG_DAYS, and from the write-ahead log at the next deletion by age.
func TestPrivacy_BodiesExpire(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config {
		c.KeepLog = time.Nanosecond
		return c.Hasten(0, 0, 0, time.Hour)
	})
	in := newInbox(t)
	s.add("in", in.URL, nil)
	s.deliver(in, "town-hall", 100, "uid-of-someone")
	words := []string{"Person 42", "nick00042", "uid-of-someone", "town-hall"}
	eventually(t, func() string {
		if err := s.outbox.Sweep(t.Context()); err != nil {
			return err.Error()
		}
		if s.count(`SELECT COUNT(*) FROM messages`) != 0 {
			return "a message is stored"
		}
		return ""
	})
	check(t, s.store.Prune(t.Context(), 30, time.Now()))
	if found := s.traces(words...); len(found) > 0 {
		t.Errorf("got %q in the folder", found)
	}
}

func TestPrivacy_EraseBodies(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	s.add("in", in.URL, nil)
	s.deliver(in, "town-hall", 1, "uid-of-ann")
	s.deliver(in, "workshop", 1, "uid-of-bob")
	if found := s.traces("uid-of-ann", "uid-of-bob"); len(found) != 2 {
		t.Fatalf("got %q in the folder", found)
	}
	s.erase("uid-of-ann")
	if found := s.traces("uid-of-ann", "uid-of-bob"); !slices.Equal(found, []string{"uid-of-bob"}) {
		t.Errorf("got %q in the folder", found)
	}
}

// A replay is found also when the original has been deleted by age, and after the key of pseudonyms was thrown away.
func TestPrivacy_EraseReplayedBodies(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	s.add("in", in.URL, nil)
	s.deliver(in, "town-hall", 1, "uid-of-ann")
	original := delivered(t, s, "in", 1)[0].Number
	check(t, s.outbox.Replay(t.Context(), s.owner, "in", original))
	delivered(t, s, "in", 2)
	s.alter(`DELETE FROM deliveries WHERE message = ?`, original)
	s.alter(`DELETE FROM messages WHERE number = ?`, original)
	check(t, s.store.DropKey(t.Context()))
	s.erase("uid-of-ann")
	if found := s.traces("uid-of-ann", "Person 0", "nick00000"); len(found) > 0 {
		t.Errorf("got %q in the folder", found)
	}
}

// event_sync lists everybody who was in a meeting when it ends.
func TestPrivacy_EraseBodiesOfMeetings(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	s.add("in", in.URL, func(w *webhook.Settings) { w.Format, w.Events = webhook.FormatEventSync, []string{"room.ended"} })
	ended := s.joins("town-hall", 0, 1)[0]
	s.alter(`INSERT INTO meetings (number, id, shard, room, type, tenant, began) VALUES (1, ?, 'main', ?, 'main', '', 1)`, ended.Meeting[:], ended.Room.String())
	s.alter(`INSERT INTO stays (id, meeting, kind, joined, nick, name, user_id) VALUES (?, 1, 'user', 1, 'nick', 'Ann', 'uid-of-ann')`, ended.Stay[:])
	ended.Kind, ended.Occupant, ended.Stay, ended.Counts = occupancy.EventRoomEnded, occupancy.Occupant{}, history.ID{}, occupancy.Counts{}
	s.record(ended)
	if found := s.traces("uid-of-ann"); len(found) != 1 {
		t.Fatalf("got %q in the folder", found)
	}
	s.erase("uid-of-ann")
	if found := s.traces("uid-of-ann", "Ann"); len(found) > 0 {
		t.Errorf("got %q in the folder", found)
	}
	log := must(s.outbox.Deliveries(t.Context(), s.owner, "in", webhook.LogQuery{Limit: 2}))(t)
	if len(log) != 1 || log[0].State != "failed" || log[0].Problem != "the person was erased" {
		t.Errorf("got %+v", log)
	}
}

// What waits for a receiver that fails is in memory, too.
func TestPrivacy_ErasedBodiesAreNotSent(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config { return c.Hasten(0, 0, 0, time.Hour) })
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	s.add("in", in.URL, func(w *webhook.Settings) { w.Events = []string{"participant.*"} })
	changes := s.joins("a", 0, 4)
	changes[0].Occupant.UserID, changes[2].Occupant.UserID = "uid-of-ann", "uid-of-ann"
	s.record(changes...)
	eventually(t, func() string {
		if n := s.count(`SELECT COUNT(*) FROM deliveries WHERE attempts > 0`); n != 1 {
			return fmt.Sprintf("%d attempts are stored", n)
		}
		return ""
	})
	s.erase("uid-of-ann")
	in.fail(nil)
	must(s.outbox.Test(t.Context(), s.owner, "in"))(t)
	got := in.wait(3)
	if diff := cmp.Diff([]string{"nick00001", "nick00003"}, got["a"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	eventually(t, func() string {
		if status := must(s.outbox.Get(t.Context(), s.owner, "in"))(t); status.Waiting != 0 {
			return fmt.Sprintf("%d wait", status.Waiting)
		}
		return ""
	})
}

// Reads of bodies with names are logged. A key that has lost that right neither reads nor replays them.
func TestPrivacy_ReadsOfNames(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in, numbers := newInbox(t), newInbox(t)
	s.add("in", in.URL, nil)
	s.add("numbers", numbers.URL, func(w *webhook.Settings) { w.Names = false })
	joined := s.joins("town-hall", 0, 1)
	s.alter(`INSERT INTO meetings (number, id, shard, room, type, tenant, began) VALUES (1, ?, 'main', ?, 'main', '', 1)`, joined[0].Meeting[:], joined[0].Room.String())
	s.alter(`INSERT INTO stays (id, meeting, kind, joined, user_id) VALUES (?, 1, 'user', 1, 'uid-of-ann')`, joined[0].Stay[:])
	s.record(joined...)
	s.record(s.joins("unrecorded", 1, 2)...)
	delivered(t, s, "numbers", 2)
	accesses := func() int { return s.count(`SELECT COUNT(*) FROM accesses`) }
	if n := accesses(); n != 0 {
		t.Errorf("got %d entries for bodies without names", n)
	}
	log := delivered(t, s, "in", 2)
	if n := accesses(); n != 2 || log[0].Body == "" {
		t.Errorf("got %d entries after the reads of two meetings within a moment", n)
	}
	record := must(s.store.Person(t.Context(), "uid-of-ann", ""))(t)
	if len(record.Accesses) != 1 || record.Accesses[0].Key != "PPCH_API_KEY" || record.Accesses[0].Action != "deliveries" || record.Accesses[0].Meeting != joined[0].Meeting {
		t.Errorf("got %+v", record.Accesses)
	}
	s.alter(`UPDATE accesses SET at = at - 120000`)
	delivered(t, s, "in", 2)
	if n := accesses(); n != 4 {
		t.Errorf("got %d entries after another read", n)
	}

	s.stop()
	s.keys = keyringOf(t, fmt.Sprintf("name=b sha256=%x scope=count,webhooks", sumOf(ownKey)))
	s.start()
	for _, d := range delivered(t, s, "in", 2) {
		if d.Body != "" {
			t.Errorf("got %s", d.Body)
		}
		if err := s.outbox.Replay(t.Context(), s.owner, "in", d.Number); !errors.As(err, new(*keys.ScopeError)) {
			t.Errorf("got %v", err)
		}
	}
	if n := must(s.outbox.ReplayRange(t.Context(), s.owner, "in", at(0), at(9)))(t); n != 0 || accesses() != 4 {
		t.Errorf("got %d events sent again", n)
	}
	if log := delivered(t, s, "numbers", 2); log[0].Body == "" {
		t.Error("got no body without names")
	}
	if n := must(s.outbox.ReplayRange(t.Context(), s.owner, "numbers", at(0), at(9)))(t); n != 2 {
		t.Errorf("got %d events without names sent again", n)
	}
}
