package occupancy_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/component/occupancy"
)

func TestMovesCountWhoComesAndGoes(t *testing.T) {
	const room = "daily@muc.meet.jitsi"
	type kinds = map[occupancy.Kind]uint64
	d := meeting(t)
	if _, err := d.Totals(lobby); err == nil {
		t.Error("got moves of a domain without a replica")
	}
	again := func(batches ...occupancy.Batch) func() {
		return func() {
			d.Begin(muc, jitsi)
			apply(t, d, at(30), batches...)
		}
	}
	change := func(batches ...occupancy.Batch) func() {
		return func() { apply(t, d, at(20), batches...) }
	}
	for _, step := range []struct {
		name          string
		do            func()
		joins, leaves kinds
	}{
		{"whoever was there before hasn't joined", change(synced(1, 3)), kinds{}, kinds{}},
		{
			"somebody joins, and the recorder too", change(synced(1, 5, more(room, nil, somebody("cyd", 11), occupancy.Occupant{ID: "rec", RealJID: "recorder@hidden.meet.jitsi/j"}))),
			kinds{"user": 1, "recorder": 1}, kinds{},
		},
		{"a new name is no move", change(synced(1, 5, more(room, nil, named(somebody("cyd", 11), "Cyd")))), kinds{"user": 1, "recorder": 1}, kinds{}},
		{"somebody leaves and is back", change(synced(1, 5, more(room, nil, named(somebody("cyd", 12), "Cyd")))), kinds{"user": 2, "recorder": 1}, kinds{"user": 1}},
		{
			"a room of health checks moves nobody", change(synced(2, 6, whole("__jicofo-health-check-1@muc.meet.jitsi", focus))),
			kinds{"user": 2, "recorder": 1}, kinds{"user": 1},
		},
		{
			"a room ends with all who are in it", change(synced(1, 1, occupancy.Delta{Room: room, Gone: true})),
			kinds{"user": 2, "recorder": 1}, kinds{"user": 4, "recorder": 1, "focus": 1},
		},
		{
			"what a new copy shows counts as it would have", again(synced(1, 1, whole("zoo@muc.meet.jitsi", somebody("eve", 25)))),
			kinds{"user": 3, "recorder": 1}, kinds{"user": 4, "recorder": 1, "focus": 1},
		},
		{
			"whoever is there after nothing was known hasn't joined", func() {
				d.Forget(muc)
				if _, err := d.Totals(muc); err == nil {
					t.Error("got moves of a domain that was forgotten")
				}
				again(synced(1, 1, whole("zoo@muc.meet.jitsi", somebody("fay", 26))))()
			},
			kinds{"user": 3, "recorder": 1}, kinds{"user": 4, "recorder": 1, "focus": 1},
		},
	} {
		step.do()
		totals, err := d.Totals(muc)
		must(t, err)
		joins, leaves := kinds{}, kinds{}
		for _, k := range occupancy.Kinds() {
			joins[k], leaves[k] = totals.Joins(k), totals.Leaves(k)
		}
		none := func(_ occupancy.Kind, n uint64) bool { return n == 0 }
		maps.DeleteFunc(joins, none)
		maps.DeleteFunc(leaves, none)
		if diff := cmp.Diff([]kinds{step.joins, step.leaves}, []kinds{joins, leaves}); diff != "" {
			t.Errorf("%s: -want +got:\n%s", step.name, diff)
		}
	}
}
