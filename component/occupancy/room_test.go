package occupancy_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestRoom_AllFields(t *testing.T) {
	d := newDirectory(muc, lobby, breakout)
	for _, domain := range []jid.JID{muc, lobby, breakout} {
		mainOf(d).Begin(domain, jitsi)
	}
	ann := withName(person("ann", 1), "Ann")
	rec := occupancy.Occupant{ID: "rec", RealJID: "recorder@hidden.meet.jitsi/j", Role: "participant", Affiliation: "none"}
	check(t, mainOf(d).Apply(muc, synced(1, 3, occupancy.Delta{
		Room: "[acme]daily@muc.meet.jitsi", New: true,
		Facts: &occupancy.RoomFacts{
			CreatedAt: at(0), MeetingID: "m-1", Subject: "Plans", Password: true, MembersOnly: true, Visitors: new(7),
			Lobby: "[acme]daily@lobby.meet.jitsi",
			Breakouts: []occupancy.Breakout{
				{JID: "b2@breakout.meet.jitsi", Name: "Two"},
				{JID: "b1@breakout.meet.jitsi", Name: "One"},
			},
		},
		Present: []occupancy.Occupant{focus, ann, rec},
	}), at(10)))
	// A moderator's client is in the lobby, too, but isn't waiting.
	ann.Affiliation = "owner"
	check(t, mainOf(d).Apply(lobby, synced(1, 3, fullRoom("[acme]daily@lobby.meet.jitsi", person("eve", 3), person("fay", 4), ann)), at(11)))
	ann.Affiliation = "none"
	check(t, mainOf(d).Apply(breakout, synced(1, 2, fullRoom("b1@breakout.meet.jitsi", focus, person("gus", 5))), at(12)))

	room := jid.MustParse("[acme]daily@muc.meet.jitsi")
	got, err := d.Room(room.Bare())
	check(t, err)
	focus, ann, rec := focus, ann, rec
	focus.Kind, ann.Kind, rec.Kind = occupancy.KindFocus, occupancy.KindUser, occupancy.KindRecorder
	want := occupancy.Room{
		JID: room, Exists: true, Participants: 1, Exact: true, VisitorsSource: occupancy.VisitorsFromFocus, Shard: occupancy.DefaultShard, Source: occupancy.SourceModule, AsOf: at(10),
		Counts:    map[occupancy.Kind]int{occupancy.KindFocus: 1, occupancy.KindUser: 1, occupancy.KindRecorder: 1},
		Occupants: records(ann, focus, rec),
		CreatedAt: at(0), Type: occupancy.RoomMain, Tenant: "acme", Subject: "Plans", MeetingID: "m-1",
		Password: true, MembersOnly: true, MeetingParticipants: new(2), Visitors: new(7),
		Lobby: &occupancy.RoomRef{JID: jid.MustParse("[acme]daily@lobby.meet.jitsi"), Known: true, Exists: true, Participants: 2},
		Breakouts: []occupancy.RoomRef{
			{JID: jid.MustParse("b2@breakout.meet.jitsi"), Name: "Two", Known: true},
			{JID: jid.MustParse("b1@breakout.meet.jitsi"), Name: "One", Known: true, Exists: true, Participants: 1},
		},
		Version: 1, Fingerprint: got.Fingerprint, AnonymousFingerprint: got.AnonymousFingerprint,
	}
	byNick := cmp.Transformer("byNick", func(all []*occupancy.Record) map[string]occupancy.Occupant {
		m := make(map[string]occupancy.Occupant)
		for _, o := range all {
			m[o.ID()] = o.Occupant()
		}
		return m
	})
	same(t, "occupants", want, got, sameJID, byNick)
	for _, child := range []string{"[acme]daily@lobby.meet.jitsi", "b1@breakout.meet.jitsi"} {
		r, err := d.Room(jid.MustParse(child))
		if err != nil || !r.Parent.Equal(room) || r.Participants == 0 {
			t.Errorf("%s: got parent %s and %d people", child, r.Parent, r.Participants)
		}
	}
}

func TestRoom_PeopleOfTheMeeting(t *testing.T) {
	d := newDirectory(muc, lobby, breakout)
	mainOf(d).Begin(muc, jitsi)
	daily := fullRoom("daily@muc.meet.jitsi", focus, person("ann", 1))
	daily.Facts.Breakouts = []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi"}, {JID: "b2@breakout.meet.jitsi"}}
	apply(t, d, at(10), synced(2, 3, daily, fullRoom("other@muc.meet.jitsi", person("oz", 1))))
	meeting := func(when string, want *int) {
		t.Helper()
		got, err := d.Room(jid.MustParse("daily@muc.meet.jitsi"))
		check(t, err)
		if !cmp.Equal(got.MeetingParticipants, want) {
			t.Errorf("%s: got %v want %v", when, got.MeetingParticipants, want)
		}
	}
	meeting("while the breakout domain is unknown", nil)
	gus, eve := person("gus", 5), person("eve", 6)
	gus.MovedFrom, eve.MovedFrom = "daily@muc.meet.jitsi", "other@muc.meet.jitsi"
	mainOf(d).Begin(breakout, jitsi)
	s := d.Subscribe(10)
	check(t, mainOf(d).Apply(breakout, synced(1, 2, fullRoom("b1@breakout.meet.jitsi", gus, eve)), at(12)))
	meeting("with two in a breakout room", new(3))
	got, err := d.Room(jid.MustParse("b1@breakout.meet.jitsi"))
	check(t, err)
	if got.MeetingParticipants != nil {
		t.Errorf("got %d in the meeting of a breakout room", *got.MeetingParticipants)
	}
	for _, record := range got.Occupants {
		o := record.Occupant()
		if want := map[string]string{"gus": "daily@muc.meet.jitsi"}[o.ID]; o.MovedFrom != want {
			t.Errorf("%s: got from %q want %q: rooms of other meetings stay unknown", o.ID, o.MovedFrom, want)
		}
	}
	back := person("eve", 8)
	back.MovedFrom = "b1@breakout.meet.jitsi"
	apply(t, d, at(13), synced(2, 4, roomUpdate("daily@muc.meet.jitsi", nil, back)))
	for len(s.Events()) > 0 {
		if e := <-s.Events(); e.Kind == occupancy.EventJoined && e.Occupant.MovedFrom != "b1@breakout.meet.jitsi" {
			t.Errorf("got %+v", e)
		}
	}
}

func TestRoom_ReaderOwnsCopy(t *testing.T) {
	d := meeting(t)
	before, _ := d.Room(daily)
	before.Counts[occupancy.KindUser] = 99
	for i := range before.Occupants {
		before.Occupants[i] = nil
	}
	after, _ := d.Room(daily)
	if after.Counts[occupancy.KindUser] != 2 || after.Occupants[0].Occupant().Name != "" {
		t.Errorf("got %+v", after)
	}
}

func TestDirectory_CopiesInput(t *testing.T) {
	d := meeting(t)
	facts := &occupancy.RoomFacts{Breakouts: []occupancy.Breakout{{JID: "b@breakout.meet.jitsi"}}}
	present := []occupancy.Occupant{person("cyd", 3)}
	apply(t, d, at(20), synced(1, 4, occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: facts, Present: present}))
	facts.Breakouts[0].JID, present[0].Name = "x@breakout.meet.jitsi", "changed"
	got, _ := d.Room(daily)
	if b := got.Breakouts[0].JID.String(); b != "b@breakout.meet.jitsi" {
		t.Errorf("got breakout %s", b)
	}
	for _, record := range got.Occupants {
		o := record.Occupant()
		if o.Name != "" {
			t.Errorf("got %+v", o)
		}
	}
}

func TestRoom_Missing(t *testing.T) {
	d := meeting(t)
	apply(t, d, at(20), synced(2, 4, fullRoom("__jicofo-health-check-1@muc.meet.jitsi", focus)))
	for _, name := range []string{"none@muc.meet.jitsi", "__jicofo-health-check-1@muc.meet.jitsi"} {
		got, err := d.Room(jid.MustParse(name))
		want := occupancy.Room{
			JID: jid.MustParse(name), Exact: true, Source: occupancy.SourceModule, AsOf: at(20), Type: occupancy.RoomMain, Fingerprint: got.Fingerprint, AnonymousFingerprint: got.AnonymousFingerprint,
			Counts: map[occupancy.Kind]int{}, Occupants: []*occupancy.Record{}, Version: got.Version,
		}
		if diff := cmp.Diff(want, got, sameJID); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
	}
	if got, err := d.Room(jid.MustParse("daily@lobby.meet.jitsi")); reasonOf(err) != occupancy.ReasonConnecting {
		t.Errorf("got %+v of a domain without a replica", got)
	}
	if got, err := d.Room(jid.MustParse("daily@muc.example.com")); !errors.Is(err, occupancy.ErrNotWatched) {
		t.Errorf("got %+v of a domain that is not watched", got)
	}
}

func TestRoom_LobbyBySameNode(t *testing.T) {
	elsewhere := jid.MustParse("lobby.example.com")
	d := newDirectory(muc, elsewhere, lobby)
	for _, domain := range []jid.JID{muc, elsewhere, lobby} {
		mainOf(d).Begin(domain, jitsi)
	}
	check(t, mainOf(d).Apply(muc, synced(2, 2, fullRoom("daily@muc.meet.jitsi", focus), fullRoom("open@muc.meet.jitsi", focus)), at(1)))
	check(t, mainOf(d).Apply(elsewhere, synced(1, 1, fullRoom("open@lobby.example.com", person("eve", 1))), at(1)))
	if got, _ := d.Room(daily); got.Lobby != nil {
		t.Errorf("got lobby %+v before its domain has a replica", got.Lobby)
	}
	check(t, mainOf(d).Apply(lobby, synced(1, 1, fullRoom("daily@lobby.meet.jitsi", person("eve", 1))), at(1)))
	if got, _ := d.Room(daily); got.Lobby == nil || got.Lobby.Participants != 1 {
		t.Errorf("got lobby %+v, want the room of the same node", got.Lobby)
	}
	if got, _ := d.Room(jid.MustParse("open@muc.meet.jitsi")); got.Lobby != nil {
		t.Errorf("got lobby %+v, want none: another Jitsi has that node", got.Lobby)
	}
	if got, _ := d.Room(jid.MustParse("daily@lobby.meet.jitsi")); !got.Parent.Equal(daily) || got.Type != occupancy.RoomLobby || got.Lobby != nil {
		t.Errorf("got %+v, want the parent of the same node", got)
	}
	if got, _ := d.Room(jid.MustParse("open@lobby.example.com")); !got.Parent.Equal(jid.JID{}) {
		t.Errorf("got parent %s, want none", got.Parent)
	}
}

func TestRoom_UnknownRelatedRooms(t *testing.T) {
	d := meeting(t)
	apply(t, d, at(20), synced(1, 3, occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{
		Lobby: "daily@lobby.meet.jitsi", Breakouts: []occupancy.Breakout{{JID: "b@breakout.meet.jitsi"}, {JID: "b@breakout.example.com"}},
	}}))
	got, _ := d.Room(daily)
	for _, ref := range append(got.Breakouts, *got.Lobby) {
		if ref.Known {
			t.Errorf("got %+v although its domain has no replica", ref)
		}
	}
}

func TestRoom_ParentFollowsFacts(t *testing.T) {
	d := meeting(t)
	mainOf(d).Begin(breakout, jitsi)
	check(t, mainOf(d).Apply(breakout, synced(1, 1, fullRoom("b@breakout.meet.jitsi", focus)), at(1)))
	facts := func(breakouts ...string) *occupancy.RoomFacts {
		f := &occupancy.RoomFacts{}
		for _, b := range breakouts {
			f.Breakouts = append(f.Breakouts, occupancy.Breakout{JID: b})
		}
		return f
	}
	const room = "daily@muc.meet.jitsi"
	for _, step := range []struct {
		name  string
		delta occupancy.Delta
		rooms int
		want  string
	}{
		{"the room has no breakout rooms", occupancy.Delta{Room: room, Facts: facts()}, 1, ""},
		{"it gets some", occupancy.Delta{Room: room, Facts: facts("a@breakout.meet.jitsi", "b@breakout.meet.jitsi")}, 1, room},
		{"a delta without facts", occupancy.Delta{Room: room}, 1, room},
		{"it keeps one", occupancy.Delta{Room: room, Facts: facts("b@breakout.meet.jitsi")}, 1, room},
		{"it keeps the other", occupancy.Delta{Room: room, Facts: facts("a@breakout.meet.jitsi")}, 1, ""},
		{"it is sent whole", occupancy.Delta{Room: room, New: true, Facts: facts("b@breakout.meet.jitsi"), Present: []occupancy.Occupant{focus, person("ann", 1), person("bob", 2)}}, 1, room},
		{"it ends", occupancy.Delta{Room: room, Gone: true}, 0, ""},
	} {
		check(t, mainOf(d).Apply(muc, synced(step.rooms, 3*step.rooms, step.delta), at(20)))
		if got, _ := d.Room(jid.MustParse("b@breakout.meet.jitsi")); got.Parent.String() != step.want {
			t.Errorf("%s: got parent %q want %q", step.name, got.Parent, step.want)
		}
	}
}

func TestRoomType_ByDomain(t *testing.T) {
	for _, c := range []struct {
		name    string
		domains []string
		want    []occupancy.RoomType
	}{
		{"docker-jitsi-meet", []string{"muc.meet.jitsi", "breakout.meet.jitsi", "lobby.meet.jitsi"}, []occupancy.RoomType{"main", "breakout", "lobby"}},
		{"the first is always main", []string{"lobby.example.com", "lobby.meet.jitsi"}, []occupancy.RoomType{"main", "lobby"}},
		{"other names", []string{"conference.example.com", "lobbyist.example.com", "visitors"}, []occupancy.RoomType{"main", "main", "main"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var domains []jid.JID
			for _, name := range c.domains {
				domains = append(domains, jid.MustParse(name))
			}
			d := newDirectory(domains...)
			for i, domain := range domains {
				mainOf(d).Begin(domain, jitsi)
				check(t, mainOf(d).Apply(domain, synced(0, 0), time.Now()))
				if r, _ := d.Room(jid.MustParse("x@" + domain.String())); r.Type != c.want[i] {
					t.Errorf("%s: got %s want %s", domain, r.Type, c.want[i])
				}
			}
		})
	}
}

func TestRoom_Tenant(t *testing.T) {
	for node, want := range map[string]string{"daily": "", "[acme]daily": "acme", "[acme]": "", "[acme": "", "a[b]c": "", "[a][b]": "a"} {
		d := newDirectory(muc)
		mainOf(d).Begin(muc, jitsi)
		apply(t, d, at(1), synced(1, 1, fullRoom(node+"@muc.meet.jitsi", focus)))
		room, _ := d.Room(jid.NewUnsafe(node, muc.String(), "").JID)
		if room.Tenant != want || !room.Exists {
			t.Errorf("%s: got %+v, want tenant %q", node, room, want)
		}
	}
}

func TestDirectory_MissingRoomIsUnknownWhileStorageFails(t *testing.T) {
	d := meeting(t)
	other := jid.MustParse("other@muc.meet.jitsi")
	batch := synced(1, 3)
	batch.Unseen = true
	apply(t, d, at(20), batch)
	mainOf(d).SetStatus(muc, following())
	for name, err := range map[string]error{
		"Room": errorOf(d.Room(other)), "RoomSummary": errorOf(d.RoomSummary(other)), "Totals": errorOf(d.Totals(muc)), "Stats": errorOf(d.Stats(occupancy.Query{Domain: muc.String()})), "Rooms": errorOf(d.Rooms(occupancy.Query{Domain: muc.String()})),
	} {
		if reasonOf(err) != occupancy.ReasonStorage {
			t.Errorf("%s: got %v, but there may be rooms that Prosody couldn't read", name, err)
		}
	}
	if domain, err := d.Domain(muc); err != nil || problems(domain) != `"storage" "storage" "storage"` {
		t.Errorf("got the problems %s", problems(domain))
	}
	if room, err := d.Room(daily); err != nil || room.Participants != 2 || !room.Exact {
		t.Errorf("got %+v, %v want the room", room, err)
	}
	if d.Snapshot().Domains()[0].Known || d.SnapshotOf(other).Domains()[0].Known || !d.SnapshotOf(daily).Domains()[0].Known {
		t.Error("got the whole domain as known, or the known room as unknown")
	}
	mainOf(d).Begin(breakout, jitsi)
	check(t, mainOf(d).Apply(breakout, occupancy.Batch{Synced: true, Unseen: true}, at(21)))
	apply(t, d, at(22), synced(1, 3, occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{Breakouts: []occupancy.Breakout{{JID: "b@breakout.meet.jitsi"}}}}))
	if room, _ := d.Room(daily); room.Breakouts[0].Known {
		t.Errorf("got %+v want an unknown breakout room", room.Breakouts[0])
	}
	if room, err := d.Room(other); err != nil || room.Exists || !room.Exact || errorOf(d.Totals(muc)) != nil {
		t.Errorf("got %+v, %v want a room that doesn't exist", room, err)
	}
}

func TestDirectory_VisitorNodeCountsOccupants(t *testing.T) {
	visitor := func(nick string) occupancy.Occupant {
		o := person(nick, 3)
		o.Role = "visitor"
		return o
	}
	d := newDirectory(muc)
	mainOf(d).Begin(muc, occupancy.SystemAccounts{VisitorNode: true})
	apply(t, d, at(10), synced(1, 3, fullRoom("daily@muc.meet.jitsi", focus, person("ann", 1), visitor("v1"))))
	s := d.Subscribe(10)
	apply(t, d, at(20), synced(1, 4, roomUpdate("daily@muc.meet.jitsi", nil, visitor("v2"))))
	apply(t, d, at(21), synced(1, 4, occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{CreatedAt: at(0), Subject: "Plans"}}))
	room, _ := d.Room(daily)
	if room.Visitors == nil || *room.Visitors != 2 || room.Counts[occupancy.KindVisitor] != 2 || room.Participants != 1 {
		t.Errorf("got %v visitors of %v want two, the same in both", room.Visitors, room.Counts)
	}
	for r := range d.Snapshot().Rooms(0) {
		if r.Facts.Visitors == nil || *r.Facts.Visitors != 2 {
			t.Errorf("got %v in the snapshot want 2", r.Facts.Visitors)
		}
	}
	s.Close()
	for e := range s.Events() {
		if e.Facts != nil && (e.Facts.Visitors == nil || *e.Facts.Visitors != e.Counts.Of(occupancy.KindVisitor)) {
			t.Errorf("got %v with %v want what its counts say", e.Facts.Visitors, e.Counts)
		}
	}
}
