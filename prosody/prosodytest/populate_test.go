package prosodytest_test

import (
	"testing"

	"ppch/prosody/prosodytest"
)

func TestPopulate_FillsRooms(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	ctx := within(t)
	check(t, s.Populate(ctx, 3, 4))
	check(t, s.PopulateAs(ctx, "hall", "<<<", 1, 2))
	component := newComponent(t, s)
	for room, want := range map[string]string{"room1": "4", "room2": "4", "room3": "4", "hall1": "2"} {
		wantOccupants(ctx, t, component, s.Room(room), want)
	}
	_, err := component.IQ(ctx, s.Room("room4"), "get", discoInfo)
	wantCondition(t, err, "item-not-found")
}
