package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// laterAt sends a request, and returns a channel for the response.
func (s *service) laterAt(target string) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		defer close(answers) // also if do ends the test
		answers <- s.do(ask{target: target})
	}()
	return answers
}

func TestPosition_WaitsForTheEvent(t *testing.T) {
	d := apitest.NewDirectory(t)
	d.Join("daily", "ann")
	s := start(t, withDirectory(d.Directory))
	_, origins := d.Origins()
	at := origins["main"]
	for _, target := range []string{"/api/rooms/daily/participants?", "/api/rooms?", "/api/stats?"} {
		at.Seq++
		answers := s.laterAt(target + fmt.Sprintf("at_least=main:%s:%d", at.Epoch, at.Seq))
		s.holds(1)
		d.Join("daily", fmt.Sprint("guest", at.Seq))
		if got := <-answers; got.status != http.StatusOK {
			t.Errorf("%s got %d %s", target, got.status, got.body)
		}
		s.holds(0)
	}
}

// Two collectors are connected to one Prosody, and a node follows one of them. Only what Prosody confirms after a request for a position
// of the other one includes that event, whether its epoch began earlier or later, and whether it still runs.
func TestPosition_OfAnotherCollector(t *testing.T) {
	const followed = "20261130T110000Z-FOLLOWED"
	for name, other := range map[string]string{"older": "20261130T100000Z-OTHER", "newer": "20261130T120000Z-OTHER"} {
		t.Run(name, func(t *testing.T) {
			d := occupancy.NewDirectory(mainDomain)
			shard := d.Shard(occupancy.DefaultShard)
			shard.SetStatus(mainDomain, occupancy.Status{Connected: true, Mode: occupancy.ModeModule})
			shard.Begin(mainDomain, occupancy.SystemAccounts{})
			seq := uint64(0)
			receive := func(at time.Time, people ...occupancy.Occupant) {
				t.Helper()
				seq++
				b := occupancy.Batch{Synced: true, Rooms: 1, Occupants: int(seq), Origin: occupancy.Origin{Epoch: followed, Seq: seq}}
				if b.Deltas = []occupancy.Delta{{Room: "daily@muc.meet.jitsi", Present: people}}; len(people) == 0 {
					seq--
					b.Deltas, b.Occupants = nil, int(seq)
				}
				check(t, shard.Apply(mainDomain, b, at))
			}
			receive(time.Now(), apitest.Person("ann"))
			s := start(t, withDirectory(d))
			answers := s.laterAt("/api/rooms/daily?at_least=main:" + other + ":1")
			s.holds(1)
			receive(time.Now().Add(-time.Minute)) // what Prosody confirmed before the request, and arrived late
			select {
			case got := <-answers:
				t.Fatalf("got %d %s before Prosody has confirmed the room", got.status, got.body)
			case <-time.After(100 * time.Millisecond):
			}
			receive(time.Now(), apitest.Person("bob"))
			if got := <-answers; got.status != http.StatusOK || got.object(t)["participant_count"] != 2.0 {
				t.Errorf("got %d %s", got.status, got.body)
			}
			answers = s.laterAt("/api/rooms/daily?at_least=main:" + followed + ":3")
			s.holds(1)
			receive(time.Now())
			receive(time.Now(), apitest.Person("cyd"))
			if got := <-answers; got.status != http.StatusOK || got.object(t)["participant_count"] != 3.0 {
				t.Errorf("got %d %s for an event of the followed collector", got.status, got.body)
			}
		})
	}
}

func TestPosition_SaysWhyItIsNotReached(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := prepare(t, withDirectory(d.Directory))
	s.WaitForPositions(time.Millisecond)
	s.run()
	const other = "/api/rooms?at_least=main:20261130T100000Z-OTHER:1"
	detail := s.get(other).wantProblem(t, http.StatusGatewayTimeout, "position-not-reached")["detail"]
	if detail != "Another PPCH sent the event, or this one before a restart, and Prosody has not confirmed the rooms of muc.meet.jitsi since the request: retry, or leave out at_least." {
		t.Errorf("got %q", detail)
	}
	lose(d, jid.MustParse("muc.meet.jitsi"))
	if got := s.get(other).wantProblem(t, http.StatusGatewayTimeout, "position-not-reached"); got["reason"] == nil {
		t.Errorf("got %v", got)
	}
}
