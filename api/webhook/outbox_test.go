package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/api/webhook"
	"ppch/component/history"
)

func TestOutbox_DeliversInOrder(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	var inboxes []*inbox
	for i := range 3 {
		in := newInbox(t)
		in.secret = s.add(fmt.Sprintf("in%d", i), in.URL, func(w *webhook.Settings) { w.Events = []string{"participant.*"} }).Secret
		inboxes = append(inboxes, in)
	}
	want := map[string][]string{}
	for i := range 20 {
		room := fmt.Sprintf("room%d", i)
		want[room] = nicks(0, 40)
	}
	for from := 0; from < 40; from += 8 {
		var changes []history.Event
		for room := range want {
			changes = append(changes, s.joins(room, from, from+8)...)
		}
		s.record(changes...)
	}
	for _, in := range inboxes {
		same(t, "nicks by room", want, in.wait(800))
		if got := len(in.accepted()); got != 800 {
			t.Errorf("got %d deliveries", got)
		}
	}
}

func TestOutbox_FailingRoomBlocksNoOther(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	in.fail(func(d delivery) int {
		if strings.HasPrefix(d.room, "bad@") {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	s.add("in", in.URL, nil)
	for i := range 30 {
		s.record(append(s.joins("bad", i, i+1), s.joins("good", i, i+1)...)...)
	}
	same(t, "nicks by room", map[string][]string{"good": nicks(0, 30)}, in.wait(30))
}

// While the receiver fails nothing is lost, and afterwards each room's events arrive in order, however many rooms there are.
func TestOutbox_ReceiverRecovers(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config {
		return c.Hasten(0, 0, 0, time.Millisecond, time.Millisecond, time.Hour, time.Hour)
	})
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusBadGateway })
	s.add("in", in.URL, nil)
	want := map[string][]string{}
	for i := range 200 {
		room := fmt.Sprintf("room%d", i)
		want[room] = nicks(0, 20)
		s.record(s.joins(room, 0, 20)...)
	}
	eventually(t, func() string {
		status, err := s.outbox.Get(t.Context(), s.owner, "in")
		if err != nil || !status.Down || status.FailingSince.IsZero() || status.Waiting != 4000 {
			return fmt.Sprintf("%+v, %v", status, err)
		}
		return ""
	})
	in.fail(nil)
	same(t, "nicks by room", want, in.wait(4000))
	eventually(t, func() string {
		status, err := s.outbox.Get(t.Context(), s.owner, "in")
		if err != nil || status.Down || !status.FailingSince.IsZero() || status.Waiting != 0 {
			return fmt.Sprintf("%+v, %v", status, err)
		}
		return ""
	})
}

func TestOutbox_RestartLosesNothing(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config { return c.Hasten(0, 0, make([]time.Duration, 100000)...) })
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusServiceUnavailable })
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 50)...)
	eventually(t, func() string {
		if in.attempts() == 0 {
			return "no attempt"
		}
		return ""
	})
	s.restart()
	s.record(s.joins("a", 50, 60)...)
	in.fail(nil)
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 60)}, in.wait(60))
	s.restart()
	s.record(s.joins("a", 60, 61)...)
	if in.wait(61); len(in.accepted()) != 61 {
		t.Errorf("got %d deliveries: what was delivered was sent again", len(in.accepted()))
	}
}

func TestOutbox_GivesUp(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config {
		return c.Hasten(0, 0, 0, time.Millisecond, time.Millisecond)
	})
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusTeapot })
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 2)...)
	eventually(t, func() string {
		log, err := s.outbox.Deliveries(t.Context(), s.owner, "in", webhook.LogQuery{Limit: 10, State: "failed"})
		if err != nil || len(log) != 2 || log[0].Attempts != 3 || log[0].Problem != "status 418" || log[0].Status != 418 || log[0].Tried.IsZero() {
			return fmt.Sprintf("%+v, %v", log, err)
		}
		return ""
	})
	if in.attempts() != 6 {
		t.Errorf("got %d attempts", in.attempts())
	}
}

func TestOutbox_GoneDisables(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in, other, foreign := newInbox(t), newInbox(t), newInbox(t)
	in.fail(func(delivery) int { return http.StatusGone })
	s.add("in", in.URL, nil)
	s.add("other", other.URL, func(w *webhook.Settings) { w.Events = []string{"webhook.disabled"} })
	s.add("foreign", foreign.URL, func(w *webhook.Settings) { w.Events = []string{"room.*"} })
	s.record(s.joins("a", 0, 3)...)
	other.wait(1)
	if got := other.accepted()[0].typ; got != "webhook.disabled" {
		t.Errorf("got %s", got)
	}
	eventually(t, func() string {
		status, err := s.outbox.Get(t.Context(), s.owner, "in")
		if err != nil || status.DisabledAt.IsZero() || status.Stopped != "disabled by PPCH: the receiver answered 410 Gone" {
			return fmt.Sprintf("%+v, %v", status, err)
		}
		if status.Waiting != 0 {
			return fmt.Sprintf("%d deliveries wait for it", status.Waiting)
		}
		return ""
	})
	s.record(s.joins("a", 3, 4)...)
	s.restart()
	s.record(s.joins("a", 4, 5)...)
	if in.attempts() != 1 || len(foreign.accepted()) != 0 {
		t.Errorf("got %d attempts, %d elsewhere", in.attempts(), len(foreign.accepted()))
	}
	// The caller enables it again.
	in.fail(nil)
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 5, 6)...)
	same(t, "nicks by room", map[string][]string{"a": nicks(5, 6)}, in.wait(1))
}

func TestOutbox_LongFailureDisables(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config {
		return c.Hasten(time.Millisecond, 0, 0, 3*time.Millisecond, 3*time.Millisecond, time.Hour)
	})
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 3)...)
	eventually(t, func() string {
		status, _ := s.outbox.Get(t.Context(), s.owner, "in")
		if !strings.HasSuffix(status.DisabledReason, "the last one: status 500") {
			return fmt.Sprintf("%+v", status)
		}
		return ""
	})
}

func TestOutbox_OldestFailWhenTooMuchWaits(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config { return c.Hasten(0, 2000, 0, time.Hour) })
	in, healthy := newInbox(t), newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	s.add("in", in.URL, nil)
	s.add("healthy", healthy.URL, nil)
	for i := range 40 {
		s.record(s.joins("a", 100*i, 100*i+100)...)
		healthy.wait(100 * (i + 1))
	}
	status, err := s.outbox.Get(t.Context(), s.owner, "in")
	if err != nil || status.Waiting > 2000 || status.Waiting < 1000 {
		t.Errorf("got %+v, %v", status, err)
	}
	log, err := s.outbox.Deliveries(t.Context(), s.owner, "in", webhook.LogQuery{Limit: 5000, State: "failed"})
	if err != nil || len(log) != 4000-status.Waiting || log[0].Problem != "too much waits for this webhook: the oldest deliveries fail" {
		t.Errorf("got %d failed, %v", len(log), err)
	}
	if metric := counter(t, s.outbox, "dropped"); metric != len(log) {
		t.Errorf("got %d counted as dropped", metric)
	}
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 4000)}, healthy.byRoom())
}

func TestOutbox_RetryAfter(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	in.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		in.ServeHTTP(w, r)
	})
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 1)...)
	eventually(t, func() string {
		log, _ := s.outbox.Deliveries(t.Context(), s.owner, "in", webhook.LogQuery{Limit: 1})
		if len(log) != 1 || time.Until(log[0].Due) < 50*time.Minute {
			return fmt.Sprintf("%+v", log)
		}
		return ""
	})
}

func TestOutbox_RemovedAndOldDeliveriesAreDeleted(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in, kept := newInbox(t), newInbox(t)
	s.add("in", in.URL, nil)
	s.add("kept", kept.URL, nil)
	s.record(s.joins("a", 0, 700)...)
	in.wait(700)
	kept.wait(700)
	delivered(t, s, "kept", 700)
	check(t, s.outbox.Delete(t.Context(), s.owner, "in"))
	if _, err := s.outbox.Get(t.Context(), s.owner, "in"); !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	count := func(query string) (n int) {
		check(t, s.store.Read(t.Context(), func(tx *history.Tx) error {
			_, err := tx.Get(query, nil, &n)
			return err
		}))
		return n
	}
	eventually(t, func() string {
		if n := count(`SELECT COUNT(*) FROM deliveries`); n != 700 {
			return fmt.Sprintf("%d deliveries", n)
		}
		return ""
	})
	s.change = func(c webhook.Config) webhook.Config {
		c.KeepLog = time.Nanosecond
		return c.Hasten(0, 0, 0, time.Hour)
	}
	s.restart()
	kept.fail(func(delivery) int { return http.StatusInternalServerError })
	s.record(s.joins("b", 0, 2)...)
	eventually(t, func() string {
		_, _ = s.outbox.List(t.Context(), s.owner)
		if err := s.outbox.Sweep(t.Context()); err != nil {
			return err.Error()
		}
		if n, m := count(`SELECT COUNT(*) FROM deliveries`), count(`SELECT COUNT(*) FROM messages`); n != 2 || m != 2 {
			return fmt.Sprintf("%d deliveries, %d messages; want the two that wait", n, m)
		}
		return ""
	})
}

func TestOutbox_ThousandEndpoints(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	for i := range 1000 {
		s.add(fmt.Sprintf("in%d", i), in.URL, nil)
	}
	if _, _, err := s.outbox.Put(t.Context(), s.owner, "", webhook.Settings{URL: in.URL}, ""); !errors.Is(err, webhook.ErrTooMany) {
		t.Errorf("one more: got %v", err)
	}
	s.record(s.joins("a", 0, 3)...)
	in.wait(3000)
	times := map[string]int{}
	for _, d := range in.accepted() {
		times[d.nick]++
	}
	same(t, "times", map[string]int{"nick00000": 1000, "nick00001": 1000, "nick00002": 1000}, times)
	list, err := s.outbox.List(t.Context(), s.owner)
	if err != nil || len(list) != 1000 || !slices.IsSortedFunc(list, func(a, b webhook.Status) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("got %d, %v", len(list), err)
	}
}

// The receiver is repaired, and its operator doesn't want to wait for the next attempt.
func TestOutbox_TestSendsWhatWaits(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config { return c.Hasten(0, 0, 0, time.Hour) })
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusBadRequest })
	s.add("in", in.URL, nil)
	s.record(append(s.joins("a", 0, 3), s.joins("b", 0, 3)...)...)
	eventually(t, func() string {
		if in.attempts() < 2 {
			return fmt.Sprint(in.attempts(), " attempts")
		}
		return ""
	})
	s.restart() // so that they have to be read
	in.fail(nil)
	if r, err := s.outbox.Test(t.Context(), s.owner, "in"); err != nil || !r.Delivered {
		t.Errorf("got %+v, %v", r, err)
	}
	got := in.wait(7)
	delete(got, "")
	delete(got, "ppch-test")
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 3), "b": nicks(0, 3)}, got)
}

func TestOutbox_Test(t *testing.T) {
	t.Parallel()
	s := newStation(t, nil)
	in := newInbox(t)
	s.add("in", in.URL, func(w *webhook.Settings) { w.Enabled = false })
	if r, err := s.outbox.Test(t.Context(), s.owner, "in"); err != nil || !r.Delivered || r.Status != http.StatusNoContent {
		t.Errorf("got %+v, %v", r, err)
	}
	in.fail(func(delivery) int { return http.StatusForbidden })
	if r, err := s.outbox.Test(t.Context(), s.owner, "in"); err != nil || r.Delivered || r.Problem != "status 403" {
		t.Errorf("got %+v, %v", r, err)
	}
	s.record(s.joins("a", 0, 1)...)
	if len(in.accepted()) != 1 || in.accepted()[0].typ != "webhook.test" {
		t.Errorf("got %+v", in.accepted())
	}
}
