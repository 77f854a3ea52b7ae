package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ppch/api/webhook"
)

func TestOutbox_Replay(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 10)...)
	in.wait(10)
	log := delivered(t, s, "in", 10)
	check(t, s.outbox.Replay(t.Context(), s.owner, "in", log[3].Number))
	in.wait(11)
	if got := in.accepted()[10]; got.id != log[3].Event {
		t.Errorf("got %+v want the event %s", got, log[3].Event)
	}
	n, err := s.outbox.ReplayRange(t.Context(), s.owner, "in", at(2), at(5))
	if err != nil || n != 3 {
		t.Fatalf("got %d, %v", n, err)
	}
	in.wait(14)
	if got := in.accepted()[11]; got.nick != "nick00002" {
		t.Errorf("got %+v first", got)
	}
	if err := s.outbox.Replay(t.Context(), s.owner, "in", 999999); !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := s.outbox.Replay(t.Context(), s.owner, "other", log[3].Number); !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// What was sent again is no further event, and what is about to be sent needn't be sent twice.
func TestOutbox_ReplayRangeSendsEachEventOnce(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 3)...)
	replay := func(want int) {
		t.Helper()
		if n, err := s.outbox.ReplayRange(t.Context(), s.owner, "in", at(0), at(10)); err != nil || n != want {
			t.Errorf("got %d, %v want %d", n, err, want)
		}
	}
	for sent := 3; sent <= 9; sent += 3 {
		delivered(t, s, "in", sent)
		replay(3)
	}
	delivered(t, s, "in", 12)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	replay(3)
	replay(0)
	if diff := cmp.Diff(map[string][]string{"a": nicks(0, 3)}, in.byRoom()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What a stopped webhook is to send again would fail or wait forever.
func TestOutbox_StoppedReplaysNothing(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 1)...)
	number := delivered(t, s, "in", 1)[0].Number
	refused := func(reason string) {
		t.Helper()
		want := webhook.StoppedError{Reason: reason, Owner: true}
		var stopped *webhook.StoppedError
		if err := s.outbox.Replay(t.Context(), s.owner, "in", number); !errors.As(err, &stopped) || *stopped != want {
			t.Errorf("got %v", err)
		}
		if n, err := s.outbox.ReplayRange(t.Context(), s.owner, "in", at(0), at(10)); !errors.As(err, &stopped) || *stopped != want {
			t.Errorf("got %d, %v", n, err)
		}
	}
	s.add("in", in.URL, func(w *webhook.Settings) { w.Enabled = false })
	refused("enabled is false")
	s.add("in", in.URL, nil)
	in.fail(func(delivery) int { return http.StatusGone })
	s.record(s.joins("a", 1, 2)...)
	eventually(t, func() string {
		if status := must(s.outbox.Get(t.Context(), s.owner, "in"))(t); status.DisabledAt.IsZero() {
			return "not disabled"
		}
		return ""
	})
	refused("disabled by PPCH: the receiver answered 410 Gone")
	if n := s.count(`SELECT COUNT(*) FROM deliveries`); n != 2 {
		t.Errorf("got %d deliveries", n)
	}
}

// delivered waits until n deliveries of an endpoint are written as delivered, and returns them, the newest first.
func delivered(t *testing.T, s *station, id string, n int) (log []webhook.Delivery) {
	t.Helper()
	eventually(t, func() string {
		var err error
		if log, err = s.outbox.Deliveries(t.Context(), s.owner, id, webhook.LogQuery{Limit: 10000, State: "delivered"}); err != nil || len(log) != n {
			return fmt.Sprintf("%d, %v", len(log), err)
		}
		return ""
	})
	return log
}

// The last attempt comes after 75.6 hours, and deliveries are kept for 72: a failure must be in the log for as long as a success.
func TestOutbox_FailedStaysInTheLog(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config { return c.Hasten(0, 1500, 0, time.Millisecond) })
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 2)...)
	failed := func() int {
		return s.count(`SELECT COUNT(*) FROM deliveries d JOIN messages ON number = d.message WHERE state = 2`)
	}
	eventually(t, func() string {
		if n := failed(); n != 2 {
			return fmt.Sprintf("%d failed", n)
		}
		return ""
	})
	s.record(s.joins("b", 0, 1700)...) // the oldest fail without an attempt
	eventually(t, func() string {
		if n := failed(); n < 202 {
			return fmt.Sprintf("%d failed", n)
		}
		return ""
	})
	before := failed()
	s.alter(`UPDATE messages SET created = created - ?`, (76 * time.Hour).Milliseconds())
	check(t, s.outbox.Sweep(t.Context()))
	if n := failed(); n < before {
		t.Errorf("got %d in the log that failed now, want %d", n, before)
	}
	s.alter(`UPDATE deliveries SET tried = tried - ?1, due = due - ?1 WHERE state = 2`, (73 * time.Hour).Milliseconds())
	check(t, s.outbox.Sweep(t.Context()))
	if n := failed(); n >= before {
		t.Errorf("got %d in the log that failed 73 hours ago", n)
	}
}
