package api_test

import (
	"net/http"
	"testing"
	"time"

	"ppch/api"
)

const waited = "/api/rooms/daily/participants?wait=20s"

// later asks with what the client has, and returns where the answer will be.
func (s *service) later(target string, before answer) <-chan answer {
	answers := make(chan answer, 1)
	go func() { answers <- s.do(ask{target: target, header: has(before)}) }()
	return answers
}

func TestAnAnswerIsHeldBackUntilSomethingChanges(t *testing.T) {
	for _, target := range []string{waited, "/api/rooms/daily?wait=20s"} {
		d := newVillage(t, map[string]int{"daily": 1})
		s := start(t, told(d.Directory))
		before := s.get(target)
		answers := s.later(target, before)
		s.holds(1)
		began := time.Now()
		d.set("daily", 2)
		got := <-answers
		if got.status != http.StatusOK || got.object(t)["participant_count"] != 2.0 {
			t.Errorf("%s: got %d %s", target, got.status, got.body)
		}
		if took := time.Since(began); took > lookAgain {
			t.Errorf("%s: the change was told after %s, by looking again and not by its event", target, took)
		}
		s.holds(0)
	}
}

// lookAgain is how long it takes at least to find a change that no event tells.
const lookAgain = 1500 * time.Millisecond

func TestAnAnswerComesEvenIfNothingChanges(t *testing.T) {
	s := start(t, told(newVillage(t, map[string]int{"daily": 1}).Directory))
	before := s.get(waited)
	began := time.Now()
	got := s.do(ask{target: "/api/rooms/daily/participants?wait=300ms", header: has(before)})
	if took := time.Since(began); got.status != http.StatusNotModified || took < 300*time.Millisecond {
		t.Errorf("got %d after %s", got.status, took)
	}
}

func TestWhoHasNothingNeedNotWait(t *testing.T) {
	s := start(t, told(newVillage(t, map[string]int{"daily": 1}).Directory))
	began := time.Now()
	s.get(waited)
	s.do(ask{target: waited, header: http.Header{"If-None-Match": {`W/"old"`}}})
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestWhoWaitsIsToldThatNothingIsKnownAnyMore(t *testing.T) {
	d := newVillage(t, map[string]int{"daily": 1})
	s := start(t, told(d.Directory))
	answers := s.later(waited, s.get(waited))
	s.holds(1)
	d.Forget(mainDomain)
	(<-answers).wantProblem(t, http.StatusServiceUnavailable, "count-unknown")
}

func TestAStopAnswersThoseWhoWait(t *testing.T) {
	s := start(t, told(newVillage(t, map[string]int{"daily": 1}).Directory))
	answers := s.later(waited, s.get(waited))
	s.holds(1)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got := <-answers; got.status != http.StatusNotModified {
		t.Errorf("got %d", got.status)
	}
}

func TestNoMoreWaitThanThereMayBeStreams(t *testing.T) {
	s := start(t, told(newVillage(t, map[string]int{"daily": 1}).Directory), func(cfg *api.Config) { cfg.MaxStreams = 1 })
	before := s.get(waited)
	answers := s.later(waited, before)
	s.holds(1)
	s.do(ask{target: waited, header: has(before)}).wantProblem(t, http.StatusServiceUnavailable, "too-many-streams")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	<-answers
}

func TestImpossibleWaits(t *testing.T) {
	s := start(t, told(several()))
	for _, wait := range []string{"30", "-1s", "1h", "56s", "soon", "1s&wait=2s"} {
		s.get("/api/rooms/standup?wait="+wait).wantProblem(t, http.StatusBadRequest, "bad-parameter")
	}
}
