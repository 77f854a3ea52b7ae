package api_test

import (
	"bytes"
	"net/http"
	"regexp"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/occupancy"
)

const nodesSecret = "the secret of all nodes"

// newNode returns the Directory of a node with a Prosody, whose fingerprints other nodes have, too.
func newNode(t testing.TB) *apitest.Directory {
	all := apitest.NewShards(t)
	all.Secret = nodesSecret
	return all.AddShard(occupancy.ShardConfig{Name: "main", Domains: []jid.JID{mainDomain, breakoutDomain, lobbyDomain}}).Start()
}

// ofNode are the options of a node.
func ofNode(d *apitest.Directory) func(*api.Config) {
	return withBoth(withDirectory(d.Directory), withSecret(nodesSecret))
}

// meetingRooms are the rooms of a meeting with a breakout room, each with all its people.
func meetingRooms() (main, breakout occupancy.Delta) {
	main = apitest.Room("daily@muc.meet.jitsi", 3)
	main.Facts.Breakouts = []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "Group 1"}}
	return main, apitest.Room("b1@breakout.meet.jitsi", 1)
}

var nodeTargets = []string{
	"/api/rooms/daily/participants", "/api/rooms/daily", "/api/rooms/nowhere", "/api/rooms/b1@breakout.meet.jitsi", "/api/rooms/daily?shard=main",
	"/api/rooms", "/api/rooms?limit=1", "/api/rooms?expand=occupants", "/api/rooms?sort=participants&type=all", "/api/rooms?name=daily&name=nowhere",
	"/api/stats/history",
}

// Another node, and the same one after a restart, have learned the same rooms in another way.
func TestETag_EqualOnEachNode(t *testing.T) {
	first, second := newNode(t), newNode(t)
	main, breakout := meetingRooms()
	first.Change(main, apitest.Room("other@muc.meet.jitsi", 2))
	first.Change(breakout)
	second.Load(breakoutDomain, breakout)
	second.Join("daily", "gone", "p2")
	second.Change(apitest.Room("other@muc.meet.jitsi", 5))
	second.Change(apitest.Room("other@muc.meet.jitsi", 2))
	second.Change(main)
	given := withLink("room=*")
	a, b, stranger := start(t, given, ofNode(first)), start(t, given, ofNode(second)), start(t, given, withDirectory(second.Directory), withSecret("another secret"))
	numbers := withKeys("scope=count")
	c, d := start(t, numbers, ofNode(first)), start(t, numbers, ofNode(second))
	for _, target := range append(nodeTargets, "/s/"+testToken+".json") {
		for _, nodes := range [][2]*service{{a, b}, {c, d}} {
			if nodes[0] == c && target[1] == 's' {
				continue
			}
			one, two := nodes[0].get(target), nodes[1].get(target)
			if tag := two.header.Get("ETag"); one.status != http.StatusOK || tag == "" || tag != one.header.Get("ETag") {
				t.Errorf("%s: got the tags %s and %s of\n%s\n%s", target, one.header.Get("ETag"), tag, one.body, two.body)
			}
		}
		if tag := stranger.get(target).header.Get("ETag"); tag == a.get(target).header.Get("ETag") {
			t.Errorf("%s: got the same tag with another secret", target)
		}
	}
}

// A client whose last response came from another node, or from before a restart, waits for the next change.
func TestWait_WithETagOfAnotherNode(t *testing.T) {
	first, second := newNode(t), newNode(t)
	first.Join("daily", "ann", "bob")
	second.Join("daily", "bob", "ann")
	a, b := start(t, ofNode(first)), start(t, ofNode(second))
	answers := b.later(waited, a.get(waited))
	b.holds(1)
	second.Leave("daily", "ann")
	if got := <-answers; got.status != http.StatusOK || got.object(t)["participant_count"] != 1.0 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// What a response says beyond its times changes exactly when its tag does.
func TestETag_ChangesWithEachFact(t *testing.T) {
	one := 1
	person := func(change func(*occupancy.Occupant)) occupancy.Delta {
		o := apitest.Person("p0")
		change(&o)
		return occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{o}}
	}
	facts := func(change func(*occupancy.RoomFacts)) occupancy.Delta {
		f := occupancy.RoomFacts{CreatedAt: apitest.Joined}
		change(&f)
		return occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &f}
	}
	later := apitest.Joined.Add(time.Second)
	steps := []occupancy.Delta{
		person(func(o *occupancy.Occupant) { o.Name = "Another" }),
		person(func(o *occupancy.Occupant) { o.Name = "Anothe"; o.UserID = "r" }),
		person(func(o *occupancy.Occupant) { o.Role = "moderator" }),
		person(func(o *occupancy.Occupant) { o.Affiliation = "owner" }),
		person(func(o *occupancy.Occupant) { o.UserName, o.UserGroup = o.UserGroup, o.UserName }),
		person(func(o *occupancy.Occupant) { o.AvatarURL = "https://example.com/a.png" }),
		person(func(o *occupancy.Occupant) { o.Flags = occupancy.FlagHandRaised }),
		person(func(o *occupancy.Occupant) { o.Flags = occupancy.FlagAudioMuted }),
		person(func(o *occupancy.Occupant) { o.Connection = occupancy.ConnectionStale }),
		person(func(o *occupancy.Occupant) { o.JoinedAt = later }),
		person(func(o *occupancy.Occupant) { o.JoinedAt, o.Stamp = later, later }),
		person(func(o *occupancy.Occupant) { o.RealJID = "recorder@hidden.meet.jitsi/x" }),
		{Room: "daily@muc.meet.jitsi", Left: []string{"p1"}, Present: []occupancy.Occupant{apitest.Person("p7")}},
		facts(func(f *occupancy.RoomFacts) { f.Subject = "Plans" }),
		facts(func(f *occupancy.RoomFacts) { f.MeetingID = "Plans" }),
		facts(func(f *occupancy.RoomFacts) { f.Password = true }),
		facts(func(f *occupancy.RoomFacts) { f.MembersOnly = true }),
		facts(func(f *occupancy.RoomFacts) { f.Visitors = &one }),
		facts(func(f *occupancy.RoomFacts) { f.CreatedAt = later }),
		facts(func(f *occupancy.RoomFacts) { f.Lobby = "daily@lobby.meet.jitsi" }),
		facts(func(f *occupancy.RoomFacts) {
			f.Breakouts = []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "One"}}
		}),
		facts(func(f *occupancy.RoomFacts) {
			f.Breakouts = []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "Two"}}
		}),
		apitest.Room("b1@breakout.meet.jitsi", 0),
		apitest.Room("b1@breakout.meet.jitsi", 1),
		{Room: "b1@breakout.meet.jitsi", Gone: true},
		{Room: "daily@muc.meet.jitsi", Gone: true},
	}
	d := newNode(t)
	d.Change(apitest.Room("daily@muc.meet.jitsi", 3))
	times := regexp.MustCompile(`"(as_of":"[^"]*"|duration_seconds":(\d+|null))`)
	for name, s := range map[string]*service{"names": start(t, ofNode(d)), "numbers": start(t, ofNode(d), withKeys("scope=count"))} {
		t.Run(name, func(t *testing.T) {
			d.Load(mainDomain, apitest.Room("daily@muc.meet.jitsi", 3))
			d.Load(breakoutDomain)
			targets := []string{"/api/rooms/daily", "/api/rooms?name=daily&expand=occupants"}
			tags, bodies := make([]map[string][]byte, len(targets)), make([]map[string]string, len(targets))
			for i := range targets {
				tags[i], bodies[i] = map[string][]byte{}, map[string]string{}
			}
			for i, step := range append([]occupancy.Delta{{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{CreatedAt: apitest.Joined}}}, steps...) {
				d.Change(step)
				for j, target := range targets {
					got := s.get(target)
					body, tag := times.ReplaceAll(got.body, nil), got.header.Get("ETag")
					if known, ok := tags[j][tag]; ok && !bytes.Equal(known, body) {
						t.Errorf("%s after step %d: the tag %s is that of\n%s\nand of\n%s", target, i, tag, known, body)
					}
					if known, ok := bodies[j][string(body)]; ok && known != tag {
						t.Errorf("%s after step %d: got the tags %s and %s of\n%s", target, i, known, tag, body)
					}
					tags[j][tag], bodies[j][string(body)] = body, tag
				}
			}
			if n := len(tags[0]); name == "names" && n < len(steps)-2 {
				t.Errorf("got %d tags in %d steps", n, len(steps))
			}
		})
	}
}
