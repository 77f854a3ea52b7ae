package prosodytest_test

import (
	"testing"

	"ppch/prosody/prosodytest"
)

func TestPopulateFillsRooms(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	ctx := within(t)
	if err := s.Populate(ctx, 3, 4); err != nil {
		t.Fatal(err)
	}
	component := newComponent(t, s)
	for _, room := range []string{"room1", "room2", "room3"} {
		wantOccupants(ctx, t, component, s.Room(room), "4")
	}
	_, err := component.IQ(ctx, s.Room("room4"), "get", discoInfo)
	wantCondition(t, err, "item-not-found")
}
