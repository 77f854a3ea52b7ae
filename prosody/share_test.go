package prosody_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// twoComponents lets both components subscribe.
const twoComponents = `room_participants_components = { "ppch.meet.jitsi", "ppch2.meet.jitsi" }` + "\n"

// Two subscribers, one of them slow, both end with Prosody's rooms. The first reads at once, the second long after its
// window is full. Each batch is checked against the protocol's rules.
func TestSubscribers_SlowOneCatchesUp(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			srv := start(t, prosodytest.Options{
				Components: []string{"ppch2.meet.jitsi"}, HostConfig: eachMUC(twoComponents), ModuleConstants: map[string]string{"page_limit": "10", "window_limit": "3", "tick": "0.005"},
			})
			check(t, srv.Populate(within(t), 10, 15))
			cast := newCast(t, srv)
			random := rand.New(rand.NewPCG(seed, 0))
			var rooms []string
			for i := range 4 {
				rooms = append(rooms, srv.Room(sprint("r", i)))
				must(cast.Open(within(t), rooms[i]))(t)
			}
			crowd := must(srv.Crowd(within(t)))(t)
			defer func() { _ = crowd.Close() }()
			fast := follow(t, srv).untilSynced()
			slow := followAs(t, newComponent(t, srv, "ppch2.meet.jitsi"), srv.Domains.MUC)
			var here []prosodytest.Member
			for range 12 {
				here = append(here, must(crowd.Join(within(t), 5, rooms...))(t)...)
				random.Shuffle(len(here), func(i, j int) { here[i], here[j] = here[j], here[i] })
				gone := here[:len(here)/3]
				here = here[len(gone):]
				check(t, crowd.Leave(within(t), gone...))
				for i, m := range here[:10] {
					check(t, crowd.Update(m, fmt.Sprintf("<avatar-url>%d</avatar-url>", i)))
				}
				if random.IntN(3) == 0 {
					room := rooms[random.IntN(len(rooms))]
					check(t, cast.Focus.Destroy(within(t), room, ""))
					var left []prosodytest.Member
					for _, m := range here {
						if m.Room != room {
							left = append(left, m)
						}
					}
					here = left
					must(cast.Open(within(t), room))(t)
				}
				fast.matches(srv)
				for range random.IntN(4) { // now and then
					slow.next()
				}
			}
			slow.matches(srv)
			slow.untilSynced()
			fast.matches(srv)
			slow.quiet(200 * time.Millisecond)
		})
	}
}

// The module doesn't keep a swapped-out room in memory, and doesn't send it again when it is restored unchanged.
func TestSwappedRoom_NotPinnedNorResent(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{HostConfig: eachMUC("muc_room_cache_size = 2")})
	ada := must(cast.User(within(t), room, "Ada"))(t)
	joined := f.occupant(room, ada.Nick(), nil).joined()
	lua(t, srv, `prosody.weak = setmetatable({ `+muc+`.get_room_from_jid("`+room+`") }, { __mode = "v" }); return "";`)
	for _, other := range []string{"beta", "gamma", "delta"} {
		must(cast.Open(within(t), srv.Room(other)))(t)
		f.occupant(srv.Room(other), "focus", nil)
	}
	if got := lua(t, srv, `collectgarbage(); collectgarbage(); return tostring(prosody.weak[1]);`); got != "nil" {
		t.Errorf("still in memory: %s", got)
	}
	if got := lua(t, srv, `return `+muc+`.get_room_from_jid("`+room+`").jid;`); got != room {
		t.Errorf("restored %s, want %s", got, room)
	}
	f.quiet(500 * time.Millisecond)
	// Another subscriber gets the same while the room is in storage again.
	for _, other := range []string{"beta", "gamma"} {
		lua(t, srv, muc+`.get_room_from_jid("`+srv.Room(other)+`"); collectgarbage(); return "";`)
	}
	f.subscribe()
	f.untilSynced()
	if o, there := f.replica.occupant(room, ada.Nick()); !there || o.joined() != joined {
		t.Errorf("got %q, joined at %s before", o, joined)
	}
	check(t, ada.Update(within(t), prosodytest.DisplayName("Ada L.")))
	f.occupant(room, ada.Nick(), func(o occupant) bool { return o.name() == "Ada L." && o.joined() == joined })
}

// Prosody restarts during a snapshot: the next snapshot has nothing of the earlier one.
func TestSnapshot_RestartOfProsodyWithin(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"page_limit": "10", "window_limit": "2"}})
	check(t, srv.Populate(within(t), 100, 10))
	f := follow(t, srv)
	for range 2 {
		_, b, err := f.take(within(t))
		check(t, err)
		f.apply(b)
	}
	if f.replica.synced || f.replica.count() == 0 {
		t.Fatalf("%d occupants, synced: %v; want a part", f.replica.count(), f.replica.synced)
	}
	check(t, srv.Kill())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		if _, b, err := f.take(ctx); err != nil {
			break // the stream has ended
		} else if f.apply(b); b.Synced != "" {
			t.Error("got synced before the snapshot was complete")
		}
	}
	check(t, srv.Restart(within(t)))
	check(t, srv.Populate(within(t), 3, 2))
	again := follow(t, srv).untilSynced()
	if again.replica.epoch == f.replica.epoch {
		t.Error("got the same epoch, want a new one")
	}
	if len(again.replica.rooms) != 3 || again.replica.count() != 6 {
		t.Errorf("got %d rooms and %d occupants, want 3 and 6", len(again.replica.rooms), again.replica.count())
	}
	again.matches(srv)
}
