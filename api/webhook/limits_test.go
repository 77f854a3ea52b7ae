package webhook_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"ppch/api/webhook"
)

// realTimes keeps the waits and limits of the real service.
func realTimes(c webhook.Config) webhook.Config { return c }

// Each wait of the schedule follows the number of attempts that the file has, a fifth longer at most.
func TestOutbox_Schedule(t *testing.T) {
	t.Parallel()
	s := newStation(t, realTimes)
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 1)...)
	waits := []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
	for i, wait := range waits {
		eventually(t, func() string {
			log := must(s.outbox.Deliveries(t.Context(), s.owner, "in", webhook.LogQuery{Limit: 1}))(t)
			if log[0].Attempts != i+1 || log[0].State != "waiting" {
				return fmt.Sprintf("%+v", log)
			}
			if got := log[0].Due.Sub(log[0].Tried); got < wait || got > wait*6/5+10*time.Second {
				t.Errorf("attempt %d: the next one is %s later, want %s", i+1, got, wait)
			}
			return ""
		})
		s.alter(`UPDATE deliveries SET due = 0`) // as if the time had come
		s.restart()
	}
	eventually(t, func() string {
		log := must(s.outbox.Deliveries(t.Context(), s.owner, "in", webhook.LogQuery{Limit: 1}))(t)
		if log[0].Attempts != 10 || log[0].State != "failed" {
			return fmt.Sprintf("%+v", log)
		}
		return ""
	})
	if in.attempts() != 10 {
		t.Errorf("got %d attempts", in.attempts())
	}
}

// Beyond 256 MiB the oldest deliveries fail, and only as many as necessary.
func TestOutbox_TooManyBytesWait(t *testing.T) {
	t.Parallel()
	s := newStation(t, realTimes)
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 64)...)
	s.alter(`UPDATE deliveries SET size = ?`, 256<<20/64)
	s.restart()
	s.record(s.joins("b", 0, 1)...)
	status := must(s.outbox.Get(t.Context(), s.owner, "in"))(t)
	log := must(s.outbox.Deliveries(t.Context(), s.owner, "in", webhook.LogQuery{Limit: 100}))(t)
	slices.Reverse(log)
	if status.Waiting != 64 || log[0].State != "failed" || log[0].Problem != "too much waits for this webhook: the oldest deliveries fail" {
		t.Errorf("%d wait, the oldest is %+v", status.Waiting, log[0])
	}
	for _, d := range log[1:] {
		if d.State != "waiting" {
			t.Errorf("got %+v", d)
		}
	}
}

// A receiver that asks for a pause gets it: also other meetings wait.
func TestOutbox_RetryAfterPausesTheWebhook(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		s := newStation(t, nil)
		in, healthy := newInbox(t), newInbox(t)
		in.fail(func(delivery) int { return status })
		in.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3600")
			in.ServeHTTP(w, r)
		})
		s.add("in", in.URL, nil)
		s.add("healthy", healthy.URL, nil)
		s.record(s.joins("a", 0, 1)...)
		eventually(t, func() string {
			if n := s.count(`SELECT COUNT(*) FROM deliveries WHERE attempts = 1 AND state = 0`); n != 1 {
				return "the attempt isn't stored"
			}
			return ""
		})
		in.fail(nil)
		for i := range 20 {
			s.record(s.joins(fmt.Sprint("other", i), 0, 1)...)
		}
		healthy.wait(21)
		if n := in.attempts(); n != 1 {
			t.Errorf("got %d attempts after the answer %d", n, status)
		}
		must(s.outbox.Test(t.Context(), s.owner, "in"))(t) // its receiver works again
		in.wait(22)
	}
}
