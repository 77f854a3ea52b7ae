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
	var told atomic.Int64
	c.Joined = func(m prosodytest.Member, asked time.Time) {
		if time.Since(asked) > 0 && (m.Room == c.Rooms[0] || m.Room == c.Rooms[1]) {
			told.Add(1)
		}
	}
	if err := c.Run(ctx, 500, 20); err != nil {
		t.Fatal(err)
	}
	if c.Came() != 20 || told.Load() != 20 {
		t.Errorf("%d came, and %d were told, want 20", c.Came(), told.Load())
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
		if err := st.Decode(&info); err != nil {
			t.Fatal(err)
		}
		for _, f := range info.Fields {
			if f.Var == "muc#roominfo_occupants" {
				occupants += must(strconv.Atoi(f.Value))(t)
			}
		}
	}
	if want := 2 * (3 + 1); occupants != want {
		t.Errorf("%d are in the rooms, with the focus, want %d", occupants, want)
	}
}
