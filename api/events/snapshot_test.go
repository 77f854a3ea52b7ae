package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// The first rooms of a snapshot are sent while others are still being encoded, and all readers get the same.
func TestSnapshot_FirstRoomsDoNotWaitForTheLast(t *testing.T) {
	d := apitest.NewDirectory(t)
	const rooms = 1000
	var deltas []occupancy.Delta
	for i := range rooms {
		deltas = append(deltas, occupancy.Delta{Room: fmt.Sprintf("room%03d@muc.meet.jitsi", i), Present: []occupancy.Occupant{apitest.Person("ann"), apitest.Person("bob")}})
	}
	d.Change(deltas...)
	s := newService(t, d.Directory)
	snapshot := s.Parts(s.grant)
	for _, encoded := range snapshot {
		if encoded == 0 || encoded > rooms/4 {
			t.Errorf("with the first part got %d of %d rooms encoded", encoded, rooms)
		}
		break
	}
	read := make([][]string, 4)
	var reading sync.WaitGroup
	for i := range read {
		reading.Go(func() {
			for part := range snapshot {
				read[i] = append(read[i], part)
			}
		})
	}
	reading.Wait()
	for _, parts := range read {
		if n := strings.Count(strings.Join(parts, ""), `{"room_jid":`); n != rooms || len(parts) < 4 {
			t.Errorf("got %d rooms in %d parts, want %d", n, len(parts), rooms)
		}
		if !slices.Equal(parts, read[0]) {
			t.Error("two readers got different snapshots")
		}
	}
}

// A snapshot has all rooms of a domain, or says that the domain isn't known.
func TestSnapshot_ForgottenIsNeverEmpty(t *testing.T) {
	d := apitest.NewDirectory(t)
	d.Join("daily", "ann")
	s := newService(t, d.Directory)
	ctx, stop := context.WithCancel(t.Context())
	var forgetting sync.WaitGroup
	forgetting.Go(func() {
		for ctx.Err() == nil {
			d.Forget(apitest.Main)
			d.Load(apitest.Main, apitest.Room("daily@muc.meet.jitsi", 1))
		}
	})
	for range 500 {
		s.ForgetSnapshots()
		for part := range s.Parts(s.grant) {
			_, data, _ := strings.Cut(part, "data: ")
			var got struct {
				Domains []struct{ Known bool }
				Rooms   []any
			}
			if err := json.Unmarshal([]byte(data), &got); err != nil {
				t.Fatal(err)
			}
			if got.Domains[0].Known != (len(got.Rooms) == 1) {
				t.Fatalf("got %s", part)
			}
		}
	}
	stop()
	forgetting.Wait()
}
