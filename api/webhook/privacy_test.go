package webhook_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ppch/api/webhook"
	"ppch/component/history"
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
	if err := s.store.Write(t.Context(), func(tx *history.Tx) error {
		return s.outbox.Erase(t.Context(), tx, history.Person{UserID: "uid-of-ann"})
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Checkpoint(t.Context()); err != nil { // as the Recorder does
		t.Fatal(err)
	}
	if found := s.traces("uid-of-ann", "uid-of-bob"); !slices.Equal(found, []string{"uid-of-bob"}) {
		t.Errorf("got %q in the folder", found)
	}
}
