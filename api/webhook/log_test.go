package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

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
