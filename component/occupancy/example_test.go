package occupancy_test

import (
	"fmt"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func ExampleDirectory() {
	muc := jid.MustParse("muc.meet.jitsi")
	d := occupancy.NewDirectory(muc)

	// Until the rooms are loaded, a read is an error and not 0.
	room := jid.MustParse("planning@muc.meet.jitsi")
	_, err := d.Room(room)
	fmt.Println(err)

	// The first snapshot: Ann and Jicofo are in one room.
	prosody := d.Shard(occupancy.DefaultShard)
	prosody.Begin(muc, occupancy.SystemAccounts{})
	err = prosody.Apply(muc, occupancy.Batch{
		Deltas: []occupancy.Delta{{
			Room: room.String(), New: true, Facts: &occupancy.RoomFacts{},
			Present: []occupancy.Occupant{
				{ID: "focus", RealJID: "focus@auth.meet.jitsi/focus", Affiliation: "owner"},
				{ID: "1a2b3c4d", RealJID: "ann@meet.jitsi/web", Name: "Ann"},
			},
		}},
		Synced: true, Rooms: 1, Occupants: 2,
	}, time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := d.Room(room)
	fmt.Println(r.Participants, r.Counts, err)

	// Bob joins, and subscribers receive an event.
	events := d.Subscribe(1, room)
	defer events.Close()
	err = prosody.Apply(muc, occupancy.Batch{
		Deltas: []occupancy.Delta{{Room: room.String(), Present: []occupancy.Occupant{{ID: "5e6f7a8b", RealJID: "bob@meet.jitsi/web", Name: "Bob"}}}},
		Synced: true, Rooms: 1, Occupants: 3,
	}, time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	e := <-events.Events()
	fmt.Println(e.Kind, e.Occupant.Name, e.Counts.People())

	// Output:
	// occupancy: unavailable: connecting
	// 1 map[focus:1 user:1] <nil>
	// joined Bob 2
}

func ExampleNameResolver() {
	names := occupancy.NewNameResolver(jid.MustParse("muc.meet.jitsi"))
	for _, written := range []string{"My Room", "acme/Planning", "[acme]planning@muc.meet.jitsi", "a@example.com"} {
		room, err := names.Room(written)
		if err != nil {
			fmt.Println(err)
			continue
		}
		name := names.Name(room)
		fmt.Printf("%s is %s, shown as %s\n", name, room, occupancy.Readable(name))
	}

	// Output:
	// my%20room is my%20room@muc.meet.jitsi, shown as my room
	// [acme]planning is [acme]planning@muc.meet.jitsi, shown as [acme]planning
	// [acme]planning is [acme]planning@muc.meet.jitsi, shown as [acme]planning
	// occupancy: invalid room name: the domain after the first @ isn't watched; watched domains: muc.meet.jitsi
}
