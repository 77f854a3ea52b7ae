package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/apitest"
	"ppch/api/keys"
)

// Recent events are those of the ring: of a room or of all, the last ones, as the key may read them, with the time since when none is missing.
func TestRecent_IsCompleteSinceItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := apitest.NewDirectory(t)
		begun := time.Now()
		s := newService(t, d.Directory)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.Run(ctx) })
		defer running.Wait()
		defer stop()
		check := func(node string, grant keys.Grant, limit int, want string) {
			t.Helper()
			room := jid.JID{}
			if node != "" {
				room = jid.MustParse(node + "@" + apitest.Main.String())
			}
			synctest.Wait()
			since, all := s.Recent(room, "", grant, limit)
			got := []string{since.Sub(begun).String()}
			for _, data := range all {
				var e struct {
					Event    string           `json:"event"`
					Room     string           `json:"room_name"`
					People   int              `json:"participant_count"`
					Occupant *json.RawMessage `json:"occupant"`
				}
				if err := json.Unmarshal(data, &e); err != nil {
					t.Fatalf("%s: %v", data, err)
				}
				got = append(got, fmt.Sprintf("%s %s %d %t", e.Event, e.Room, e.People, e.Occupant != nil))
			}
			if got := strings.Join(got, ", "); got != want {
				t.Errorf("%q, at most %d: got %s want %s", node, limit, got, want)
			}
		}
		check("", s.grant, 10, "0s")
		d.Join("daily", "ann")
		time.Sleep(time.Minute)
		d.Join("other", "bob")
		check("", s.grant, 10, "0s, room.started daily 0 false, participant.joined daily 1 true, room.started other 0 false, participant.joined other 1 true")
		check("daily", s.grant, 10, "0s, room.started daily 0 false, participant.joined daily 1 true")
		check("none", s.grant, 10, "0s")
		check("", s.grant, 2, "1m0s, room.started other 0 false, participant.joined other 1 true")
		check("daily", s.grant, 1, "0s, participant.joined daily 1 true")
		anonymous := newService(t, d.Directory, "scope=count,events").grant
		check("daily", anonymous, 1, "0s, participant.joined daily 1 false")
		limited := newService(t, d.Directory, "scope=all room=other").grant
		check("", limited, 10, "0s, room.started other 0 false, participant.joined other 1 true")
		time.Sleep(14*time.Minute + 30*time.Second)
		check("", s.grant, 10, "0s, room.started other 0 false, participant.joined other 1 true")
		time.Sleep(15 * time.Minute)
		check("", s.grant, 10, "1m0s")
	})
}
