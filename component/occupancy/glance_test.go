package occupancy_test

import (
	"testing"

	"ppch/component/occupancy"
)

// A reader without names has nothing new to read after what only names show.
func TestGlance_NumbersStayWhenOnlyNamesChange(t *testing.T) {
	d := meeting(t)
	facts := occupancy.RoomFacts{Subject: "Plans", Breakouts: []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "One"}}}
	tell := func(delta occupancy.Delta, occupants int) {
		delta.Room = daily.String()
		apply(t, d, at(20), synced(1, occupants, delta))
	}
	tell(occupancy.Delta{Facts: &facts}, 3)
	named := somebody("ann", 1)
	named.Name = "Ann"
	muted := named
	muted.Marks = occupancy.MarkHandRaised | occupancy.MarkAudioMuted | occupancy.MarkVideoMuted
	renamed, wordier := facts, facts
	renamed.Breakouts = []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "Two"}}
	wordier.Subject = "Other plans"
	locked := wordier
	locked.Password = true
	for _, c := range []struct {
		what    string
		delta   occupancy.Delta
		numbers bool
	}{
		{"a name", occupancy.Delta{Present: []occupancy.Occupant{named}}, false},
		{"a hand and both mutes", occupancy.Delta{Present: []occupancy.Occupant{muted}}, false},
		{"the name of a breakout room", occupancy.Delta{Facts: &renamed}, false},
		{"the subject", occupancy.Delta{Facts: &wordier}, false},
		{"the password", occupancy.Delta{Facts: &locked}, true},
		{"a leave", occupancy.Delta{Left: []string{named.ID}}, true},
	} {
		before, _ := d.Glance(daily)
		occupants := 3
		if c.what == "a leave" {
			occupants = 2
		}
		tell(c.delta, occupants)
		after, _ := d.Glance(daily)
		if after.State == before.State || after.Numbers != before.Numbers != c.numbers {
			t.Errorf("%s: state changed %t, numbers changed %t, want true and %t", c.what, after.State != before.State, after.Numbers != before.Numbers, c.numbers)
		}
		if room, _ := d.Room(daily); room.Numbers != after.Numbers || room.State != after.State {
			t.Errorf("%s: the room and its glance differ", c.what)
		}
	}
}
