package api_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"ppch/component/occupancy"
)

// A dashboard beside thousands of rooms shows the first at once, while the others are still being encoded;
// who asks meanwhile is told the same.
func TestTheFirstRoomsOfASnapshotDoNotWaitForTheLast(t *testing.T) {
	d := newSite(t)
	const rooms = 1000
	var deltas []occupancy.Delta
	for i := range rooms {
		deltas = append(deltas, occupancy.Delta{Room: fmt.Sprintf("room%03d@muc.meet.jitsi", i), Present: []occupancy.Occupant{person("ann"), person("bob")}})
	}
	d.tell(deltas...)
	s := prepare(t, telling(d.Directory))
	defer func() { _ = s.CloseListener() }()
	snapshot := s.Parts(testKey)
	for _, encoded := range snapshot {
		if encoded == 0 || encoded > rooms/4 {
			t.Errorf("with the first part got %d of %d rooms encoded", encoded, rooms)
		}
		break
	}
	told := make([][]string, 4)
	var reading sync.WaitGroup
	for i := range told {
		reading.Go(func() {
			for part := range snapshot {
				told[i] = append(told[i], part)
			}
		})
	}
	reading.Wait()
	for _, parts := range told {
		if n := strings.Count(strings.Join(parts, ""), `{"room_jid":`); n != rooms || len(parts) < 4 {
			t.Errorf("got %d rooms in %d parts, want %d", n, len(parts), rooms)
		}
		if !slices.Equal(parts, told[0]) {
			t.Error("two readers were told different things")
		}
	}
}
