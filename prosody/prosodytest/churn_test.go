package prosodytest_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

func TestChurn_KeepsNumberOfOccupants(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	ctx := within(t)
	c := must(s.Churn(ctx, newCast(t, s), 2, 3))(t)
	defer c.Close()
	var calls atomic.Int64
	c.Joined = func(m prosodytest.Member, asked time.Time) {
		if time.Since(asked) > 0 && (m.Room == c.Rooms[0] || m.Room == c.Rooms[1]) {
			calls.Add(1)
		}
	}
	check(t, c.Run(ctx, 500, 20))
	if c.Joins() != 20 || calls.Load() != 20 {
		t.Errorf("got %d joins and %d calls of Joined, want 20", c.Joins(), calls.Load())
	}
	component, occupants := newComponent(t, s), 0
	for _, room := range c.Rooms {
		st := must(component.IQ(ctx, room, "get", discoInfo))(t)
		var info struct {
			Fields []struct {
				Var   string `xml:"var,attr"`
				Value string `xml:"value"`
			} `xml:"query>x>field"`
		}
		check(t, st.Decode(&info))
		for _, f := range info.Fields {
			if f.Var == "muc#roominfo_occupants" {
				occupants += must(strconv.Atoi(f.Value))(t)
			}
		}
	}
	if want := 2 * (3 + 1); occupants != want {
		t.Errorf("got %d occupants, want %d", occupants, want)
	}
}
