package history_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// two runs two PPCH on one Prosody, and returns the meeting in the room daily as each of them and a node without a file read it.
func two(t *testing.T, a, b func(*site)) (reads []history.Attendance, missing []history.Unanswered) {
	t.Helper()
	sites := []*site{newSite(t, history.LevelNames), newSite(t, history.LevelNames)}
	for i, record := range []func(*site){a, b} {
		record(sites[i])
	}
	archives := map[string]*history.Archive{}
	for i, name := range []string{"a", "b"} {
		archives[name] = history.NewArchive(sites[i].recorder, nil)
	}
	for _, asker := range []*history.Archive{
		nodeOf(&peers{archives: archives}),
		history.NewArchive(sites[0].recorder, &peers{archives: map[string]*history.Archive{"b": archives["b"]}}),
		history.NewArchive(sites[1].recorder, &peers{archives: map[string]*history.Archive{"a": archives["a"]}}),
	} {
		all, _, _, err := asker.Meetings(t.Context(), everything, history.MeetingFilter{Limit: 10})
		if err != nil || len(all) != 1 {
			t.Fatalf("got %+v, %v want one meeting", all, err)
		}
		read, silent, err := asker.Attendance(t.Context(), everything, all[0].ID)
		check(t, err)
		if diff := cmp.Diff(all[0], read.Meeting, cmpopts.IgnoreUnexported(history.Meeting{})); diff != "" {
			t.Errorf("- in the list, + alone:\n%s", diff)
		}
		reads, missing = append(reads, read), append(missing, silent...)
	}
	return reads, missing
}

// ended waits until all stays have ended.
func (s *site) ended(stays int) {
	s.t.Helper()
	waitFor(s.t, "the ends", func() bool {
		return s.count("SELECT COUNT(*) FROM stays WHERE left_before IS NOT NULL") == stays && s.count("SELECT COUNT(*) FROM meetings WHERE ended_before IS NULL") == 0
	})
}

// Two PPCH never note a change at the same millisecond. All readers see the same times: the earlier ones, or the closer bounds.
func TestArchive_OneAnswerToAll(t *testing.T) {
	sees := func(late int) func(*site) {
		return func(s *site) {
			s.load(10)
			s.apply(20, room("daily", 15, person("ann", 20), person("bob", 21)))
			s.apply(40+late, change("daily", []string{"ann"}))
			s.apply(50+late, gone("daily"))
			s.ended(2)
		}
	}
	misses := func(s *site) { // the end
		s.load(10)
		s.apply(20, room("daily", 15, person("ann", 20), person("bob", 21)))
		waitFor(s.t, "the stays", func() bool { return s.count("SELECT COUNT(*) FROM stays") == 2 })
		s.restart()
		s.load(60)
		s.ended(2)
	}
	for _, tt := range []struct {
		name string
		a, b func(*site)
		want string
	}{
		{"the second is later", sees(0), sees(1), "50-50 ann 20-20 40-40 bob 21-21 50-50"},
		{"the first is later", sees(2), sees(0), "50-50 ann 20-20 40-40 bob 21-21 50-50"},
		{"the second misses the end", sees(0), misses, "50-50 ann 20-20 40-40 bob 21-21 50-50"},
		{"both miss the end", misses, misses, "20-60 ann 20-20 20-60 bob 21-21 21-60"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reads, missing := two(t, tt.a, tt.b)
			for _, read := range reads {
				got := fmt.Sprintf("%d-%d", sec(read.Meeting.EndedAfter), sec(read.Meeting.EndedBefore))
				for _, p := range read.Attendees {
					s := p.Stays[0]
					joinedAfter := s.JoinedAfter
					if joinedAfter.IsZero() {
						joinedAfter = s.Joined
					}
					got += fmt.Sprintf(" %s %d-%d %d-%d", s.Nick, sec(joinedAfter), sec(s.Joined), sec(s.LeftAfter), sec(s.LeftBefore))
				}
				if got != tt.want || len(missing) != 0 {
					t.Errorf("got %s and %v missing want %s", got, missing, tt.want)
				}
			}
		})
	}
}

// The clock of one PPCH is an hour fast. A length between times of two clocks would be false, so its record isn't merged, and it is named.
func TestArchive_ClocksApart(t *testing.T) {
	record := func(fast int) func(*site) {
		return func(s *site) {
			opened, ann := room("daily", 15+fast), person("ann", 20+fast)
			opened.Facts.Stamp, ann.Stamp = at(15), at(20)
			opened.Present = []occupancy.Occupant{ann}
			s.load(10 + fast)
			s.apply(20+fast, opened)
			s.apply(40+fast, gone("daily"))
			s.ended(1)
		}
	}
	reads, missing := two(t, record(0), record(3600))
	for _, read := range reads {
		if total := read.Attendees[0].Total; total != (history.Span{Min: 20 * time.Second, Max: 20 * time.Second}) {
			t.Errorf("got %v want 20 s", total)
		}
	}
	if len(missing) != 3 || !strings.Contains(missing[0].Why, "its clock differs by 1h0m0s") {
		t.Errorf("got %v want one of them named in each answer", missing)
	}
}

// Each PPCH has other pseudonyms, and one may miss a stay. They are one person nevertheless.
func TestArchive_PseudonymsOfTwo(t *testing.T) {
	archives := map[string]*history.Archive{}
	for i, name := range []string{"a", "b"} {
		s := newSite(t, history.LevelPseudonyms)
		s.load(10)
		s.apply(20, room("daily", 15, person("ann", 20)))
		if i == 1 {
			s.apply(30, change("daily", []string{"ann"}))
			s.apply(40, change("daily", nil, person("ann", 40)))
		}
		waitFor(t, "the stays", func() bool { return s.count("SELECT COUNT(*) FROM stays") == 1+i })
		archives[name] = history.NewArchive(s.recorder, nil)
	}
	read, _, err := nodeOf(&peers{archives: archives}).Attendance(t.Context(), everything, history.MeetingID("main", "daily@muc.meet.jitsi", at(15)))
	if err != nil || len(read.Attendees) != 1 || len(read.Attendees[0].Stays) != 2 {
		t.Errorf("got %+v, %v want one person with two stays", read.Attendees, err)
	}
}

// Peaks aren't exact while one of two PPCH may have seen a higher one.
func TestArchive_PeaksUnanswered(t *testing.T) {
	_, _, others := twoSites(t)
	for _, fail := range []map[string]error{{}, {"c": errors.New("gone")}} {
		others.fail = fail
		_, exact, missing, err := nodeOf(others).Peaks(t.Context(), everything, occupancy.RoomMain, 5*time.Minute, at(0))
		if err != nil || exact != (len(fail) == 0) || len(missing) != len(fail) {
			t.Errorf("without %v: got exact %v, %v, %v", fail, exact, missing, err)
		}
	}
}

// FuzzAnswer reads an answer that may be anything: nothing crashes, and no room is returned that the caller may not read.
func FuzzAnswer(f *testing.F) {
	meeting := history.MeetingID("main", "daily@muc.meet.jitsi", at(15))
	one := fmt.Sprintf(`{"ID":%q,"Shard":"main","Room":"daily@muc.meet.jitsi","Began":"2026-11-30T10:00:00Z"}`, meeting)
	stay := fmt.Sprintf(`{"ID":%q,"Shard":"main","Room":"daily@muc.meet.jitsi","Joined":"2026-11-30T10:00:00Z"}`, meeting)
	for _, text := range []string{
		``, `{}`, `{"Off":true}`, `{"Ask":"meetings","Meetings":[` + one + `],"Next":{"Began":-1}}`,
		`{"Ask":"attendance","Found":true,"Record":{"Meeting":` + one + `,"Stays":[` + stay + `,` + stay + `],"Gaps":[{}]}}`,
		`{"Ask":"person","Person":{"Stays":[` + stay + `],"Accesses":[{}]}}`, `{"Ask":"peaks","Shards":["main","main"],"Peaks":[{"Rooms":-1}]}`,
		`{"Ask":"erase","Erased":{"":-9223372036854775808}}`, `{"Ask":"meeting","Problem":{}}`, `{"Ask":"erase-stay","Found":true}`,
	} {
		f.Add([]byte(text))
	}
	by := history.Caller{Key: "narrow", Names: true, Rooms: history.Rooms{{Local: "daily", Domain: "muc.meet.jitsi"}}}
	f.Fuzz(func(t *testing.T, text []byte) {
		garble := func([]byte) []byte { return text }
		unread := history.NewArchive(history.NewRecorder(history.RecorderConfig{Store: history.New("", history.Options{}), Directory: occupancy.NewDirectory(muc)}), nil)
		n := nodeOf(&peers{archives: map[string]*history.Archive{"a": unread, "b": unread}, garble: garble})
		all, _, _, err := n.Meetings(t.Context(), by, history.MeetingFilter{Limit: 2})
		if err == nil && (len(all) > 2 || slices.ContainsFunc(all, func(m history.Meeting) bool { return m.Room != "daily@muc.meet.jitsi" })) {
			t.Errorf("got %+v", all)
		}
		read, _, err := n.Attendance(t.Context(), by, meeting)
		if err == nil && read.Meeting.ID != meeting {
			t.Errorf("got %+v", read)
		}
		person, _, err := n.Person(t.Context(), by, "user-ann")
		if err == nil && slices.ContainsFunc(person.Stays, func(s history.Stay) bool { return s.Room != "daily@muc.meet.jitsi" }) {
			t.Errorf("got %+v", person)
		}
		_, _, _, _ = n.Peaks(t.Context(), by, occupancy.RoomMain, 5*time.Minute, at(0))
		_ = n.EraseStay(t.Context(), by, meeting, history.ID{})
		if n, err := n.Erase(t.Context(), everything, "user-ann"); err == nil && n < 0 {
			t.Errorf("got %d deleted stays", n)
		}
	})
}

// FuzzQuestion answers a question that may be anything: nothing crashes, and an answer is JSON.
func FuzzQuestion(f *testing.F) {
	store := history.New(f.TempDir(), history.Options{})
	defer store.Close()
	archive := history.NewArchive(history.NewRecorder(history.RecorderConfig{
		Store: store, Directory: occupancy.NewDirectory(muc), Level: history.LevelNames,
	}), nil)
	for _, text := range []string{
		``, `{}`, `{"Ask":"meetings"}`, `{"Ask":"meetings","Filter":{"Limit":1,"After":{"Began":1}}}`, `{"Ask":"meeting","ID":"00112233445566778899aabbccddeeff"}`,
		`{"Ask":"peaks","Type":"main"}`, `{"Ask":"peaks","Type":"main","Step":1,"From":"0001-01-01T00:00:00Z"}`, `{"Ask":"person","UserID":"a"}`, `{"Ask":"erase","UserID":"a"}`,
		`{"Ask":"attendance","ID":"00112233445566778899aabbccddeeff","Caller":{"Names":true,"Rooms":[{"Prefix":true}]}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		answer, err := archive.Answer(t.Context(), text)
		if err == nil && !json.Valid(answer) {
			t.Errorf("got %s for %s", answer, text)
		}
	})
}
