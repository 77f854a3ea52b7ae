package occupancy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// shards returns a Directory of two main shards, a and b, with the same domains. Nothing is known of either.
func shards(t *testing.T) (d *occupancy.Directory, a, b *occupancy.Shard) {
	t.Helper()
	d = newDirectory()
	return d, addShard(t, d, "a", occupancy.ShardMain, muc, lobby, breakout), addShard(t, d, "b", occupancy.ShardMain, muc, lobby, breakout)
}

func addShard(t *testing.T, d *occupancy.Directory, name string, kind occupancy.ShardKind, domains ...jid.JID) *occupancy.Shard {
	t.Helper()
	s, err := d.AddShard(occupancy.ShardConfig{Name: name, Kind: kind, Domains: domains})
	check(t, err)
	return s
}

// serve loads the rooms of a shard's main domain, and none into its others.
func serve(t *testing.T, s *occupancy.Shard, sec int, rooms ...occupancy.Delta) {
	t.Helper()
	for i, d := range s.Domains() {
		s.Begin(d.JID, jitsi)
		b := occupancy.Batch{Synced: true}
		if i == 0 {
			b.Deltas, b.Rooms = rooms, len(rooms)
			for _, r := range rooms {
				b.Occupants += len(r.Present)
			}
		}
		check(t, s.Apply(d.JID, b, at(sec)))
		s.SetStatus(d.JID, occupancy.Status{Connected: true, Since: at(sec), Mode: occupancy.ModeModule})
	}
}

// refuse makes a shard unknown.
func refuse(s *occupancy.Shard) {
	for _, d := range s.Domains() {
		s.Forget(d.JID)
		s.SetStatus(d.JID, occupancy.Status{Problem: occupancy.ProblemRefused.Err(nil)})
	}
}

// shardOf returns the shard that an error is about.
func shardOf(err error) string {
	if p, ok := errors.AsType[*occupancy.UnavailableError](err); ok {
		return p.Shard
	}
	return ""
}

const dailyAddress = "daily@muc.meet.jitsi"

func TestDirectory_SilentShardIsUnknown(t *testing.T) {
	d, a, b := shards(t)
	serve(t, a, 10, fullRoom(dailyAddress, focus, person("ann", 1), person("bob", 2)))
	missing := jid.MustParse("none@muc.meet.jitsi")

	t.Run("a found room is inexact", func(t *testing.T) {
		r, err := d.Room(daily)
		check(t, err)
		if r.Participants != 2 || r.Exact || !slices.Equal(r.UnknownShards, []string{"b"}) || r.Shard != "a" || r.Split || r.MeetingParticipants != nil {
			t.Errorf("got %+v want two people, inexact, b unknown", r)
		}
	})
	t.Run("a missing room is an error", func(t *testing.T) {
		for name, err := range map[string]error{"Room": errorOf(d.Room(missing)), "RoomSummary": errorOf(d.RoomSummary(missing))} {
			if reasonOf(err) != occupancy.ReasonConnecting || shardOf(err) != "b" {
				t.Errorf("%s: got %v of shard %q want connecting of b", name, err, shardOf(err))
			}
		}
	})
	t.Run("lists and totals are errors", func(t *testing.T) {
		for name, err := range map[string]error{
			"Rooms": errorOf(d.Rooms(occupancy.Query{})), "Stats": errorOf(d.Stats(occupancy.Query{})), "Totals": errorOf(d.Totals(muc)),
		} {
			if reasonOf(err) != occupancy.ReasonConnecting || shardOf(err) != "b" {
				t.Errorf("%s: got %v of shard %q want connecting of b", name, err, shardOf(err))
			}
		}
	})
	t.Run("those of the other shard stay", func(t *testing.T) {
		page, err := d.Rooms(occupancy.Query{Shard: "a"})
		check(t, err)
		stats, err := d.Stats(occupancy.Query{Shard: "a"})
		check(t, err)
		totals, err := a.Totals(muc)
		check(t, err)
		if len(page.Rooms) != 1 || stats[0].Counts.People() != 2 || stats[0].Shard != "a" || totals.Rooms != 1 {
			t.Errorf("got %+v, %+v, %+v want the room of a", page, stats, totals)
		}
	})
	t.Run("once it has reported, everything is exact", func(t *testing.T) {
		serve(t, b, 5)
		r, err := d.Room(daily)
		check(t, err)
		if !r.Exact || r.UnknownShards != nil || r.MeetingParticipants == nil || r.AsOf != at(5) {
			t.Errorf("got %+v want an exact room, as old as the older shard", r)
		}
		if r, err := d.Room(missing); err != nil || r.Exists || !r.Exact || r.AsOf != at(5) {
			t.Errorf("got %+v, %v want no such room", r, err)
		}
		if page, err := d.Rooms(occupancy.Query{}); err != nil || len(page.Rooms) != 1 || page.AsOf != at(5) {
			t.Errorf("got %+v, %v want one room", page, err)
		}
	})
	t.Run("one that is lost is unknown again", func(t *testing.T) {
		before, _ := d.RoomSummary(daily)
		refuse(b)
		r, err := d.Room(daily)
		check(t, err)
		after, err := d.RoomSummary(daily)
		check(t, err)
		if r.Exact || before.Fingerprint == after.Fingerprint || after.Fingerprint != r.Fingerprint {
			t.Errorf("got %+v, before %+v, after %+v want an inexact room with another fingerprint", r, before, after)
		}
		if err := errorOf(d.Room(missing)); reasonOf(err) != occupancy.ReasonRefused || !strings.HasPrefix(errorText(err), "shard b: ") {
			t.Errorf("got %v want an error that names the shard", err)
		}
	})
}

func errorText(err error) string {
	if p, ok := errors.AsType[*occupancy.UnavailableError](err); ok {
		return p.Remedy
	}
	return ""
}

func TestDirectory_SplitRoomIsTheSum(t *testing.T) {
	d, a, b := shards(t)
	early := fullRoom(dailyAddress, focus, person("ann", 1))
	early.Facts = &occupancy.RoomFacts{CreatedAt: at(1), Subject: "First"}
	late := fullRoom(dailyAddress, focus, person("bob", 2), person("cyd", 3))
	late.Facts = &occupancy.RoomFacts{CreatedAt: at(2), Subject: "Second"}
	serve(t, a, 10, late, fullRoom("only-a@muc.meet.jitsi", person("dan", 1)))
	serve(t, b, 8, early, fullRoom("only-b@muc.meet.jitsi", person("eve", 1), person("fay", 1)))

	r, err := d.Room(daily)
	check(t, err)
	if !r.Split || !r.Exact || r.Participants != 3 || r.Shard != "" || r.AsOf != at(8) || len(r.Occupants) != 5 || r.Subject != "First" || *r.MeetingParticipants != 3 {
		t.Errorf("got %+v want the sum, with the facts of the older room", r)
	}
	if len(r.Parts) != 2 || r.Parts[0].Shard != "a" || r.Parts[0].Participants != 2 || r.Parts[0].AsOf != at(10) || r.Parts[1].Shard != "b" || r.Parts[1].Participants != 1 {
		t.Errorf("got parts %+v want two on a and one on b", r.Parts)
	}
	if s, err := d.RoomSummary(daily); err != nil || s != r.Summary() {
		t.Errorf("got summary %+v, %v want %+v", s, err, r.Summary())
	}
	page, err := d.Rooms(occupancy.Query{By: occupancy.ByParticipants})
	check(t, err)
	if len(page.Rooms) != 3 || page.Rooms[0] != r.Summary() || page.Rooms[1].Address != "only-b@muc.meet.jitsi" {
		t.Errorf("got %+v want three rooms, the split one first", page.Rooms)
	}
	one, err := d.Rooms(occupancy.Query{Shard: "b", By: occupancy.ByParticipants})
	check(t, err)
	if len(one.Rooms) != 2 || one.Rooms[0].Participants != 1 {
		t.Errorf("got %+v want the rooms of b as they are there", one.Rooms)
	}
	stats, err := d.Stats(occupancy.Query{Domain: muc.String()})
	check(t, err)
	if s := stats[0]; len(stats) != 1 || s.Rooms != 3 || s.Counts.People() != 6 || s.Largest.Address != dailyAddress || s.Largest.Participants != 3 || s.Shard != "" {
		t.Errorf("got %+v want three rooms with six people", s)
	}
	for size, rooms := range stats[0].Sizes.AtMost() {
		if want := map[int]int{0: 0, 1: 1, 2: 2, 3: 3}; size <= 3 && rooms != want[size] {
			t.Errorf("got %d rooms of at most %d people want %d", rooms, size, want[size])
		}
	}
	if s, err := d.Stats(occupancy.Query{Shard: "none"}); !errors.Is(err, occupancy.ErrNoShard) {
		t.Errorf("got %v, %v want ErrNoShard", s, err)
	}

	// When the room ends on one shard, the other's remains.
	check(t, b.Apply(muc, synced(1, 2, occupancy.Delta{Room: dailyAddress, Gone: true}), at(11)))
	if r, err := d.Room(daily); err != nil || r.Split || r.Parts != nil || r.Participants != 2 || r.Shard != "a" || r.Subject != "Second" {
		t.Errorf("got %+v, %v want the room of a", r, err)
	}
	if page, err := d.Rooms(occupancy.Query{}); err != nil || len(page.Rooms) != 3 || page.Rooms[0].Participants != 2 {
		t.Errorf("got %+v, %v want three rooms on one shard each", page, err)
	}
}

func TestDirectory_SplitSurvivesResync(t *testing.T) {
	d, a, b := shards(t)
	room := fullRoom(dailyAddress, person("ann", 1))
	serve(t, a, 10, room)
	serve(t, b, 10, room)
	for range 2 {
		serve(t, a, 11, room)
		if r, err := d.Room(daily); err != nil || !r.Split {
			t.Fatalf("got %+v, %v want a split room", r, err)
		}
	}
	serve(t, a, 12)
	if r, err := d.Room(daily); err != nil || r.Split || r.Shard != "b" {
		t.Errorf("got %+v, %v want the room of b", r, err)
	}
	a.Forget(muc)
	serve(t, a, 13, room)
	if r, err := d.Room(daily); err != nil || !r.Split {
		t.Errorf("got %+v, %v want a split room", r, err)
	}
}

func TestDirectory_EventsNameTheirShard(t *testing.T) {
	d, a, b := shards(t)
	serve(t, a, 10, fullRoom(dailyAddress, person("ann", 1)))
	events := d.SubscribeBatches(20)
	serve(t, b, 10, fullRoom(dailyAddress, person("bob", 1)))
	check(t, b.Apply(muc, synced(1, 2, roomUpdate(dailyAddress, nil, person("cyd", 2))), at(11)))
	b.Forget(muc)
	for len(events.Events()) > 0 {
		e := <-events.Events()
		if e.Shard != "b" || e.Domain != nil && e.Domain.Shard != "b" {
			t.Errorf("got %+v want an event of b", e)
		}
		if e.Kind == occupancy.EventJoined && e.Counts.People() != 2 {
			t.Errorf("got %d people want those of the room on b", e.Counts.People())
		}
	}
	var rooms []string
	for r := range a.Snapshot().Rooms(0) {
		rooms = append(rooms, r.Shard+" "+r.JID.Localpart())
	}
	if !slices.Equal(rooms, []string{"a daily"}) {
		t.Errorf("got %q want the room of a", rooms)
	}
}

// A shard may be added and retired while the Directory is used.
func TestDirectory_AddAndRetireShards(t *testing.T) {
	d := meeting(t)
	check(t, errorOf(d.Room(daily)))
	events := d.Subscribe(10)
	b := addShard(t, d, "b", "", muc)
	if e := <-events.Events(); e.Kind != occupancy.EventStatus || e.Shard != "b" || e.Domain.EventProblem == nil {
		t.Errorf("got %+v want the status of b", e)
	}
	if r, err := d.Room(daily); err != nil || r.Exact {
		t.Errorf("got %+v, %v want an inexact room: nothing is known of b", r, err)
	}
	serve(t, b, 10, fullRoom(dailyAddress, person("cyd", 1)), fullRoom("other@muc.meet.jitsi", person("dan", 1)))
	if r, err := d.Room(daily); err != nil || !r.Split {
		t.Errorf("got %+v, %v want a split room", r, err)
	}
	if !d.Retire("b") || d.Retire("b") || d.Shard("b") != nil || len(d.Domains()) != 3 {
		t.Errorf("got domains %v want those of the main shard", d.Domains())
	}
	if r, err := d.Room(daily); err != nil || !r.Exact || r.Split || r.Participants != 2 {
		t.Errorf("got %+v, %v want the room of the main shard, exact", r, err)
	}
	if got := listed(d, occupancy.ByName); len(got) != 1 {
		t.Errorf("got %+v want one room", got)
	}
	if err := b.Apply(muc, synced(0, 0), at(20)); !errors.Is(err, occupancy.ErrNotWatched) {
		t.Errorf("got %v want ErrNotWatched of a retired shard", err)
	}
	for len(events.Events()) > 0 {
		if e := <-events.Events(); e.Kind == occupancy.EventReset && e.Shard == "b" && len(events.Events()) == 0 {
			return
		}
	}
	t.Error("the last event is not the reset of b")
}

func TestDirectory_RefusesShards(t *testing.T) {
	d, _, _ := shards(t)
	addShard(t, d, "v1", occupancy.ShardVisitors, jid.MustParse("muc.v1.meet.jitsi"))
	for want, cfg := range map[string]occupancy.ShardConfig{
		`occupancy: shard "": it has no name`:                                                        {Domains: []jid.JID{muc}},
		`occupancy: shard "a": the name is taken`:                                                    {Name: "a", Domains: []jid.JID{muc}},
		`occupancy: shard "c": it has no MUC domain`:                                                 {Name: "c"},
		`occupancy: shard "c": "backup" is not a kind: use main or visitors`:                         {Name: "c", Kind: "backup", Domains: []jid.JID{muc}},
		`occupancy: shard "c": it has the MUC domain muc.meet.jitsi twice`:                           {Name: "c", Domains: []jid.JID{muc, muc}},
		`occupancy: shard "c": the MUC domain muc.meet.jitsi belongs to a shard of kind main`:        {Name: "c", Kind: occupancy.ShardVisitors, Domains: []jid.JID{muc}},
		`occupancy: shard "c": the MUC domain muc.v1.meet.jitsi belongs to a shard of kind visitors`: {Name: "c", Domains: []jid.JID{jid.MustParse("muc.v1.meet.jitsi")}},
	} {
		if _, err := d.AddShard(cfg); err == nil || err.Error() != want {
			t.Errorf("got %v want %s", err, want)
		}
	}
}

// Lobby and breakout rooms belong to rooms of their own shard.
func TestDirectory_RelatedRoomsStayOnTheirShard(t *testing.T) {
	d, a, b := shards(t)
	serve(t, a, 10, fullRoom(dailyAddress, person("ann", 1)))
	serve(t, b, 10)
	b.Begin(lobby, jitsi)
	check(t, b.Apply(lobby, synced(1, 1, fullRoom("daily@lobby.meet.jitsi", person("eve", 1))), at(10)))
	if r, err := d.Room(daily); err != nil || r.Lobby != nil {
		t.Errorf("got %+v, %v want no lobby: that one is on another shard", r, err)
	}
	if r, err := d.Room(jid.MustParse("daily@lobby.meet.jitsi")); err != nil || !r.Parent.Equal(jid.JID{}) {
		t.Errorf("got %+v, %v want no parent", r, err)
	}
}

func TestDirectory_UnansweredIsForTheUnknownShard(t *testing.T) {
	d, a, b := shards(t)
	serve(t, a, 10)
	_, _ = d.Room(daily)
	select {
	case <-b.Unanswered():
	default:
		t.Error("got no signal on b")
	}
	select {
	case <-a.Unanswered():
		t.Error("got a signal on a, which is connected")
	case <-time.After(0):
	}
}

// A shard that can't read all its rooms might have one that another has.
func TestDirectory_IncompleteShardIsUnknown(t *testing.T) {
	d, a, b := shards(t)
	serve(t, a, 10, fullRoom(dailyAddress, person("ann", 1)))
	serve(t, b, 10, fullRoom("weekly@muc.meet.jitsi", person("bob", 1)))
	incomplete := synced(1, 1)
	incomplete.Unseen = true
	check(t, b.Apply(muc, incomplete, at(11)))
	if r, err := d.Room(daily); err != nil || r.Exact || !slices.Equal(r.UnknownShards, []string{"b"}) {
		t.Errorf("got %+v, %v want an inexact room", r, err)
	}
	if r, err := d.Room(jid.MustParse("weekly@muc.meet.jitsi")); err != nil || !r.Exact {
		t.Errorf("got %+v, %v want an exact room: b has it, and a knows all its rooms", r, err)
	}
	if _, err := d.Room(jid.MustParse("none@muc.meet.jitsi")); reasonOf(err) != occupancy.ReasonStorage || shardOf(err) != "b" {
		t.Errorf("got %v want storage of b", err)
	}
}

// The age of a merged room is that of the oldest answer, whichever shard has the facts.
func TestDirectory_SplitRoomIsAsOldAsTheOldestPart(t *testing.T) {
	d, a, b := shards(t)
	first, second := fullRoom(dailyAddress, person("ann", 1)), fullRoom(dailyAddress, person("bob", 2))
	second.Facts = &occupancy.RoomFacts{CreatedAt: at(2)}
	serve(t, a, 10, first)
	serve(t, b, 5, second)
	if r, err := d.Room(daily); err != nil || r.AsOf != at(5) || r.CreatedAt != at(0) {
		t.Errorf("got %+v, %v want the older room, as of 5", r, err)
	}
}

// A client may claim to come from any room; only one of its own shard's meeting is shown.
func TestDirectory_MovesStayOnTheirShard(t *testing.T) {
	d, a, b := shards(t)
	serve(t, a, 10, fullRoom(dailyAddress, person("ann", 1)))
	main := fullRoom(dailyAddress, person("cyd", 1))
	main.Facts.Breakouts = []occupancy.Breakout{{JID: "one@breakout.meet.jitsi"}}
	serve(t, b, 10, main)
	for _, s := range []*occupancy.Shard{a, b} {
		moved := person("bob", 2)
		moved.MovedFrom = dailyAddress
		s.Begin(breakout, jitsi)
		check(t, s.Apply(breakout, synced(1, 1, fullRoom("one@breakout.meet.jitsi", moved)), at(11)))
		r, err := s.Room(jid.MustParse("one@breakout.meet.jitsi"))
		check(t, err)
		if got := r.Occupants[0].Occupant().MovedFrom; (got != "") != (s == b) {
			t.Errorf("shard %s: got a move from %q", s.Name(), got)
		}
	}
	if r, err := d.Room(jid.MustParse("one@breakout.meet.jitsi")); err != nil || !r.Split {
		t.Errorf("got %+v, %v want a split room", r, err)
	}
}
