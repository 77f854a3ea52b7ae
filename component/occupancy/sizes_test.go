package occupancy_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/component/occupancy"
)

func TestSizesFollowEveryRoom(t *testing.T) {
	d := meeting(t)
	for _, step := range []struct {
		name string
		in   occupancy.Batch
		want map[int]int // rooms of at most so many people
	}{
		{"Jicofo's room of two people", synced(1, 3), map[int]int{0: 0, 1: 0, 2: 1, 3: 1}},
		{"a third person comes", synced(1, 4, more("daily@muc.meet.jitsi", nil, somebody("cyd", 11))), map[int]int{0: 0, 1: 0, 2: 0, 3: 1}},
		{"a room with nobody but machinery", synced(2, 5, whole("zoo@muc.meet.jitsi", focus)), map[int]int{0: 1, 1: 1, 2: 1, 3: 2}},
		{
			"a health check is no room", synced(3, 6, whole("__jicofo-health-check-1@muc.meet.jitsi", focus)),
			map[int]int{0: 1, 1: 1, 2: 1, 3: 2},
		},
		{
			"a room is gone", synced(2, 2, occupancy.Delta{Room: "daily@muc.meet.jitsi", Gone: true}),
			map[int]int{0: 1, 1: 1, 2: 1, 3: 1},
		},
	} {
		apply(t, d, at(20), step.in)
		totals, _ := d.Totals(muc)
		got := maps.Collect(totals.Sizes.AtMost())
		maps.DeleteFunc(got, func(bound, _ int) bool { return bound > 3 })
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", step.name, diff)
		}
	}
}

func TestARoomIsOfTheSmallestSizeThatHoldsIt(t *testing.T) {
	for people, want := range map[int]int{0: 0, 5: 5, 6: 10, 10: 10, 11: 20, 499: 500, 500: 500, 501: 0} {
		d := newDirectory(muc)
		d.Begin(muc, jitsi)
		room := page(1, people)
		apply(t, d, at(0), synced(1, people, room))
		totals, _ := d.Totals(muc)
		got := 0 // stays so for a room that is larger than all sizes
		for bound, rooms := range totals.Sizes.AtMost() {
			if rooms == 1 {
				got = bound
				break
			}
		}
		if got != want {
			t.Errorf("%d people: got size %d want %d", people, got, want)
		}
	}
}
