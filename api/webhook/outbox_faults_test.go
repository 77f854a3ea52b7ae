package webhook_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"ppch/api/webhook"
	"ppch/component/history"
)

// A receiver that accepts connections and never answers takes nothing from others, and a stop doesn't wait for it.
func TestOutbox_HangingReceiverBlocksNoOther(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	hanging := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = hanging.Close() })
	in := newInbox(t)
	s.add("hanging", "http://"+hanging.Addr().String(), nil)
	s.add("in", in.URL, nil)
	for i := range 20 {
		s.record(s.joins(fmt.Sprintf("room%d", i), 0, 20)...)
	}
	in.wait(400)
	if status, err := s.outbox.Get(t.Context(), s.owner, "hanging"); err != nil || status.Waiting != 400 {
		t.Errorf("got %+v, %v", status, err)
	}
	s.restart() // attempts last 15 s
	s.record(s.joins("room0", 20, 21)...)
	in.wait(401)
}

// A clock that ran ahead when a delivery was tried must not delay it until then.
func TestOutbox_ClockSetBack(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config { return c.Hasten(0, 0, 0, time.Hour) })
	in := newInbox(t)
	in.fail(func(d delivery) int {
		if d.room == "a@muc.meet.jitsi" {
			return http.StatusInternalServerError
		}
		return http.StatusNoContent
	})
	s.add("in", in.URL, nil)
	s.record(append(s.joins("a", 0, 2), s.joins("b", 0, 1)...)...)
	in.wait(1)
	eventually(t, func() string {
		if n := s.count(`SELECT COUNT(*) FROM deliveries WHERE attempts > 0`); n != 2 {
			return fmt.Sprintf("%d attempts are stored", n)
		}
		return ""
	})
	s.stop()
	store := must(history.Open(t.Context(), s.folder, history.Options{}))(t)
	check(t, store.Write(t.Context(), func(tx *history.Tx) error {
		_, err := tx.Exec(`UPDATE deliveries SET tried = tried + ?1, due = due + ?1 WHERE state = 0 AND attempts > 0`, (365 * 24 * time.Hour).Milliseconds())
		return err
	}))
	store.Close()
	in.fail(nil)
	s.start()
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 2), "b": nicks(0, 1)}, in.wait(3))
}

// What doesn't fit on the disk was not accepted, and what was accepted arrives. Outcomes are stored as soon as there is space.
func TestOutbox_FullDisk(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 10)...)
	limit := func(pages int) {
		t.Helper()
		check(t, s.store.Write(t.Context(), func(tx *history.Tx) error {
			_, err := tx.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)) // of the connection that writes
			return err
		}))
	}
	limit(1) // no more than it has
	var committed func()
	err := s.store.Write(t.Context(), func(tx *history.Tx) (err error) {
		committed, err = s.outbox.Append(t.Context(), tx, s.joins("a", 10, 500))
		return err
	})
	if problem, ok := errors.AsType[*history.Problem](err); !ok || problem.Reason != history.ReasonFull {
		t.Fatalf("got %v want a full disk", err)
	}
	if committed != nil {
		t.Error("got events to send")
	}
	in.wait(10)
	limit(1 << 30)
	s.record(s.joins("a", 10, 500)...)
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 500)}, in.wait(500))
	eventually(t, func() string {
		if n := s.count(`SELECT COUNT(*) FROM deliveries WHERE state = 1`); n != 500 {
			return fmt.Sprintf("%d are stored as delivered", n)
		}
		return ""
	})
	if got := len(in.accepted()); got != 500 {
		t.Errorf("got %d deliveries", got)
	}
}

// count returns the number that a query of the file has as its answer.
func (s *station) count(query string) (n int) {
	s.t.Helper()
	check(s.t, s.store.Read(s.t.Context(), func(tx *history.Tx) error {
		_, err := tx.Get(query, nil, &n)
		return err
	}))
	return n
}
