package history_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// attendance returns the attendance of the only meeting of a room, a line a person.
func (s *site) attendance(name string) (lines []string) {
	s.t.Helper()
	meetings, _, err := s.store.Meetings(s.t.Context(), history.MeetingFilter{Room: name + "@muc.meet.jitsi", Limit: 10})
	check(s.t, err)
	if len(meetings) != 1 {
		return []string{fmt.Sprintf("%d meetings", len(meetings))}
	}
	a := must(s.store.Attendance(s.t.Context(), meetings[0].ID))(s.t)
	for _, p := range a.Attendees {
		line := fmt.Sprintf("%s total %s sum %s", p.Name, span(p.Total), span(p.Sum))
		if p.Lobby.Max > 0 {
			line += " lobby " + span(p.Lobby)
		}
		lines = append(lines, line)
	}
	for _, gap := range a.Gaps {
		lines = append(lines, fmt.Sprintf("not watched %d to %d: %s", sec(gap.Began), sec(gap.Ended), gap.Reason))
	}
	return lines
}

func span(s history.Span) string {
	if s.Min == s.Max {
		return fmt.Sprint(int(s.Min / time.Second))
	}
	return fmt.Sprintf("%d-%d", s.Min/time.Second, s.Max/time.Second)
}

func (s *site) expectAttendance(name string, want ...string) {
	s.t.Helper()
	var got []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && !slices.Equal(got, want); time.Sleep(time.Millisecond) {
		got = s.attendance(name)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("attendance:\n got %q\nwant %q", got, want)
	}
}

func TestAttendance_Bounds(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(0)
	s.apply(10, room("daily", 10, person("ann", 10), person("bob", 11)))
	s.apply(30, change("daily", []string{"ann"}))
	s.apply(40, change("daily", nil, person("ann", 40)))
	s.apply(50)
	waitFor(t, "the last confirmation", func() bool { return s.count("SELECT COUNT(*) FROM stays") == 3 })
	s.restart()
	// Ann left between 50 and 80 and came back; Bob stayed all the time.
	s.load(80, room("daily", 10, person("ann", 70), person("bob", 11)))
	s.apply(90, change("daily", []string{"ann"}))
	s.apply(95)
	s.expectAttendance("daily", "ANN total 50-70 sum 50-80", "BOB total 84 sum 84", "not watched 50 to 80: stopped")
}

func TestAttendance_GuestsAreNotMerged(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(0)
	one, two := person("one", 10), person("two", 20)
	one.UserID, two.UserID, two.Name = "", "", one.Name
	s.apply(10, room("daily", 10, one))
	s.apply(20, change("daily", []string{"one"}, two))
	s.apply(30, gone("daily"))
	s.expectAttendance("daily", "ONE total 10 sum 10", "ONE total 10 sum 10")
}

// Rooms of breakouts count for the person, waiting in the lobby doesn't.
func TestAttendance_BreakoutAndLobby(t *testing.T) {
	breakout, lobby := jid.MustParse("breakout.meet.jitsi"), jid.MustParse("lobby.meet.jitsi")
	s := &site{t: t, dir: t.TempDir(), level: history.LevelNames, box: &box{needs: history.LevelNames}}
	s.start(occupancy.NewDirectory(muc, breakout, lobby))
	report := func(domain jid.JID, sec, rooms, occupants int, deltas ...occupancy.Delta) {
		t.Helper()
		if err := s.directory.Shard(occupancy.DefaultShard).Apply(domain, occupancy.Batch{Deltas: deltas, Synced: true, Rooms: rooms, Occupants: occupants}, at(sec)); err != nil {
			t.Fatal(err)
		}
	}
	for _, domain := range []jid.JID{muc, breakout, lobby} {
		s.directory.Shard(occupancy.DefaultShard).SetStatus(domain, occupancy.Status{Connected: true, Since: at(-1), Mode: occupancy.ModeModule})
		s.directory.Shard(occupancy.DefaultShard).Begin(domain, occupancy.SystemAccounts{})
		report(domain, 0, 0, 0)
	}
	waitFor(t, "the snapshots", func() bool { return s.count("SELECT COUNT(*) FROM domains") == 3 })
	other := func(address string, created int, present ...occupancy.Occupant) occupancy.Delta {
		return occupancy.Delta{Room: address, New: true, Facts: &occupancy.RoomFacts{CreatedAt: at(created), Stamp: at(created)}, Present: present}
	}
	main := room("daily", 10, person("bob", 10))
	main.Facts.Breakouts = []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "One"}}
	main.Facts.Lobby = "daily@lobby.meet.jitsi"
	report(muc, 10, 1, 1, main)
	report(lobby, 11, 1, 1, other("daily@lobby.meet.jitsi", 11, person("ann", 11)))
	report(lobby, 20, 1, 0, occupancy.Delta{Room: "daily@lobby.meet.jitsi", Left: []string{"ann"}})
	report(muc, 20, 1, 2, change("daily", nil, person("ann", 20)))
	report(muc, 30, 1, 1, change("daily", []string{"ann"}))
	report(breakout, 31, 1, 1, other("b1@breakout.meet.jitsi", 25, person("ann", 31)))
	report(breakout, 50, 0, 0, occupancy.Delta{Room: "b1@breakout.meet.jitsi", Gone: true})
	report(muc, 60, 0, 0, gone("daily"))
	s.expectAttendance("daily", "BOB total 50 sum 50", "ANN total 29 sum 29 lobby 9")
}

// A stay never ends before it began, even if the clock was set back meanwhile.
func TestAttendance_ClockSetBack(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(100, room("daily", 90, person("ann", 95), person("bob", 96)))
	s.apply(110, change("daily", nil, person("eve", 110)))
	waitFor(t, "Eve", func() bool { return s.count("SELECT COUNT(*) FROM stays") == 3 })
	s.restart()
	s.directory.Shard(occupancy.DefaultShard).Begin(muc, occupancy.SystemAccounts{})
	s.rooms = map[string]map[string]bool{}
	s.apply(50, room("daily", 90, person("ann", 95)))
	waitFor(t, "the snapshot", func() bool { return s.count("SELECT COUNT(*) FROM present") == 1 })
	if n := s.count("SELECT COUNT(*) FROM stays WHERE left_after < joined OR left_before < left_after"); n != 0 {
		t.Errorf("got %d stays that end before they began", n)
	}
	if n := s.count("SELECT COUNT(*) FROM gaps WHERE ended < began"); n != 0 {
		t.Errorf("got %d gaps that end before they began", n)
	}
	s.apply(60, change("daily", []string{"ann"}))
	waitFor(t, "Ann to leave", func() bool { return s.count("SELECT COUNT(*) FROM present") == 0 })
	// Each was there when the clock was set back to before they came: how long isn't known, and no length is negative.
	s.expectAttendance("daily", "ANN total 0 sum 0", "BOB total 0 sum 0", "EVE total 0 sum 0", "not watched 110 to 110: stopped")
	// Later stays are not affected.
	s.apply(70, change("daily", nil, person("bob", 70)))
	s.apply(80, change("daily", []string{"bob"}))
	s.expectAttendance("daily", "BOB total 10 sum 10", "ANN total 0 sum 0", "EVE total 0 sum 0", "not watched 110 to 110: stopped")
}

func TestMeetings_Filter(t *testing.T) {
	s := newSite(t, history.LevelNumbers)
	s.load(0)
	for i := range 10 {
		s.apply(10*i+1, room(fmt.Sprintf("room%d", i), 10*i+1, person("ann", 10*i+1)))
		if i%2 == 1 {
			s.apply(10*i+2, change(fmt.Sprintf("room%d", i), nil, person("bob", 10*i+2)))
		}
		s.apply(10*i+5, gone(fmt.Sprintf("room%d", i)))
	}
	waitFor(t, "ten meetings", func() bool { return s.count("SELECT COUNT(*) FROM meetings WHERE ended_before IS NOT NULL") == 10 })
	for _, tt := range []struct {
		name string
		in   history.MeetingFilter
		want string
	}{
		{"latest first", history.MeetingFilter{Limit: 3}, "9 8 7 more"},
		{"all", history.MeetingFilter{Limit: 10}, "9 8 7 6 5 4 3 2 1 0"},
		{"of one room", history.MeetingFilter{Room: "room4@muc.meet.jitsi", Limit: 3}, "4"},
		{"in a time", history.MeetingFilter{From: at(25), To: at(51), Limit: 10}, "5 4 3 2"},
		{"in no time", history.MeetingFilter{From: at(51), To: at(25), Limit: 10}, ""},
		{"with participants", history.MeetingFilter{MinParticipants: 2, Limit: 10}, "9 7 5 3 1"},
		{"allowed rooms", history.MeetingFilter{Rooms: history.Rooms{{Local: "room0", Domain: "muc.meet.jitsi"}, {Local: "room1", Domain: "muc.meet.jitsi"}, {Local: "room2", Domain: "muc.meet.jitsi"}}, Limit: 2}, "2 1 more"},
		{"of another tenant", history.MeetingFilter{Tenant: "acme", Limit: 2}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			all, next, err := s.store.Meetings(t.Context(), tt.in)
			check(t, err)
			for _, m := range all {
				got += " " + m.Room[4:5]
			}
			if next != (history.Position{}) {
				got += " more"
			}
			if got != "" {
				got = got[1:]
			}
			if got != tt.want {
				t.Errorf("got %q want %q", got, tt.want)
			}
		})
	}
	f := history.MeetingFilter{Limit: 4}
	pages := 0
	for {
		all, next, err := s.store.Meetings(t.Context(), f)
		check(t, err)
		if pages += len(all); next == (history.Position{}) {
			break
		}
		f.After = next
	}
	if pages != 10 {
		t.Errorf("got %d meetings in pages", pages)
	}
}

// The record says why people left, where Prosody knows.
func TestAttendance_Reasons(t *testing.T) {
	s := newSite(t, history.LevelNumbers)
	s.load(0)
	s.apply(10, room("daily", 10, person("ann", 10), person("bob", 11), person("cyd", 12)))
	kicked := change("daily", []string{"ann"})
	kicked.Reason = occupancy.LeaveKicked
	s.apply(20, kicked, change("daily", []string{"bob"}))
	destroyed := gone("daily")
	destroyed.Reason = occupancy.LeaveRoomDestroyed
	s.apply(30, destroyed)
	waitFor(t, "the meeting to end", func() bool { return s.count("SELECT COUNT(*) FROM meetings WHERE ended_before IS NOT NULL") == 1 })
	for reason, query := range map[string]string{
		"kicked": "reason = 'kicked'", "unknown": "reason IS NULL", "room-destroyed": "reason = 'room-destroyed'",
	} {
		if n := s.count("SELECT COUNT(*) FROM stays WHERE " + query); n != 1 {
			t.Errorf("%s: got %d stays want 1", reason, n)
		}
	}
}
