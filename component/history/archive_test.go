package history_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// peers are other PPCH, by name, which answer at once, or fail with an error.
type peers struct {
	archives map[string]*history.Archive
	fail     map[string]error
	garble   func([]byte) []byte
}

func (p *peers) Ask(ctx context.Context, shard string, question []byte, _ bool, each func(string, []byte, error)) {
	if len(p.archives)+len(p.fail) == 0 {
		each("", nil, errors.New("no collector of the shard was heard"))
	}
	for name, err := range p.fail {
		each(name, nil, err)
	}
	for name, a := range p.archives {
		answer, err := a.Answer(ctx, question)
		if p.garble != nil {
			answer = p.garble(answer)
		}
		each(name, answer, err)
	}
}

// nodeOf returns the Archive of a PPCH without a file that asks others.
func nodeOf(others *peers) *history.Archive {
	d := occupancy.NewDirectory(muc)
	return history.NewArchive(history.NewRecorder(history.RecorderConfig{
		Store: history.New("", history.Options{}), Directory: d, Own: func(string) bool { return false },
	}), others)
}

var everything = history.Caller{Key: "ops", Names: true}

// twoSites are two PPCH on one Prosody. The first alone sees Bob, the second alone sees when Ann left, and a later meeting.
func twoSites(t *testing.T) (a, b *site, others *peers) {
	t.Helper()
	a, b = newSite(t, history.LevelNames), newSite(t, history.LevelNames)
	for _, s := range []*site{a, b} {
		s.load(10)
		s.apply(20, room("daily", 15, person("ann", 20)))
	}
	a.apply(30, change("daily", nil, person("bob", 30)))
	a.apply(40, change("daily", []string{"bob"}))
	b.apply(50, change("daily", []string{"ann"}))
	b.apply(60, gone("daily"))
	b.apply(70, room("weekly", 65, person("eve", 70)))
	waitFor(t, "the first record", func() bool { return a.count("SELECT COUNT(*) FROM stays WHERE left_before IS NOT NULL") == 1 })
	waitFor(t, "the second record", func() bool { return b.count("SELECT COUNT(*) FROM meetings") == 2 })
	return a, b, &peers{archives: map[string]*history.Archive{"a": history.NewArchive(a.recorder, nil), "b": history.NewArchive(b.recorder, nil)}, fail: map[string]error{}}
}

func TestArchive_MergesTwoRecords(t *testing.T) {
	_, _, others := twoSites(t)
	n := nodeOf(others)
	all, next, missing, err := n.Meetings(t.Context(), everything, history.MeetingFilter{Limit: 10})
	if err != nil || len(all) != 2 || next != (history.Position{}) || len(missing) != 0 {
		t.Fatalf("got %+v, %v, %v, %v want two meetings", all, next, missing, err)
	}
	if all[0].Room != "weekly@muc.meet.jitsi" || all[1].Ongoing() || all[1].Peak != 2 {
		t.Errorf("got %+v want the later one first, and one that ended with a peak of 2", all)
	}
	read, missing, err := n.Attendance(t.Context(), everything, all[1].ID)
	if err != nil || len(missing) != 0 || len(read.Attendees) != 2 {
		t.Fatalf("got %+v, %v, %v want two people", read, missing, err)
	}
	for _, p := range read.Attendees {
		if len(p.Stays) != 1 || p.Stays[0].Present() {
			t.Errorf("%s: got %+v want one stay that ended", p.Name, p.Stays)
		}
	}
	person, _, err := n.Person(t.Context(), everything, "user-ann")
	if err != nil || len(person.Stays) != 1 || len(person.Accesses) != 2 {
		t.Errorf("got %+v, %v want one stay, and two reads that both have logged", person, err)
	}
}

// A list of two records in pages has each meeting once, whichever pages they come from.
func TestArchive_Pages(t *testing.T) {
	var want []string
	others := &peers{archives: map[string]*history.Archive{}}
	for k, name := range []string{"a", "b"} {
		s := newSite(t, history.LevelNumbers)
		s.load(0)
		for i := range 20 {
			if i%3 == k { // seen by the other one only
				continue
			}
			s.apply(10*i+1, room(fmt.Sprintf("room%d", i), 10*i+1, person("ann", 10*i+1)))
			s.apply(10*i+5, gone(fmt.Sprintf("room%d", i)))
		}
		waitFor(t, "the meetings", func() bool { return s.count("SELECT COUNT(*) FROM meetings WHERE ended_before IS NOT NULL") == 13 })
		others.archives[name] = history.NewArchive(s.recorder, nil)
	}
	for i := 19; i >= 0; i-- {
		want = append(want, fmt.Sprintf("room%d@muc.meet.jitsi", i))
	}
	n := nodeOf(others)
	for limit := 1; limit <= 21; limit += 3 {
		var got []string
		f := history.MeetingFilter{Limit: limit}
		for range 30 {
			all, next, _, err := n.Meetings(t.Context(), everything, f)
			check(t, err)
			for _, m := range all {
				got = append(got, m.Room)
			}
			if f.After = next; next == (history.Position{}) {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: got %q want %q", limit, got, want)
		}
	}
}

// What is missing has a name, and what may be missing is never denied.
func TestArchive_Unanswered(t *testing.T) {
	_, _, others := twoSites(t)
	b := others.archives["b"]
	delete(others.archives, "b")
	others.fail["b"] = context.DeadlineExceeded
	n := nodeOf(others)
	want := []history.Unanswered{{Shard: "main", Collector: "b", Why: "it did not answer in time"}}
	all, _, missing, err := n.Meetings(t.Context(), everything, history.MeetingFilter{Limit: 10})
	if err != nil || len(all) != 1 || !slices.Equal(missing, want) {
		t.Errorf("got %+v, %v, %v want one meeting, without b", all, missing, err)
	}
	if _, missing, err := n.Meeting(t.Context(), everything, all[0].ID); err != nil || !slices.Equal(missing, want) {
		t.Errorf("got %v, %v want the meeting, without b", missing, err)
	}
	var silent *history.UnansweredError
	unknown := history.MeetingID("main", "weekly@muc.meet.jitsi", at(65))
	if _, _, err := n.Meeting(t.Context(), everything, unknown); !errors.As(err, &silent) {
		t.Errorf("got %v want that b may know the meeting", err)
	}
	if peaks, _, _, err := n.Peaks(t.Context(), everything, occupancy.RoomMain, 5*time.Minute, at(0)); err != nil || len(peaks) != 0 {
		t.Errorf("got %+v, %v", peaks, err)
	}
	if erased, err := n.Erase(t.Context(), everything, "user-ann"); !errors.As(err, &silent) || erased != 1 {
		t.Errorf("got %d, %v want one stay, and that b did not answer", erased, err)
	}
	others.archives["b"] = b
	delete(others.fail, "b")
	if erased, err := n.Erase(t.Context(), everything, "user-ann"); err != nil || erased != 1 {
		t.Errorf("got %d, %v want that of b", erased, err)
	}
	if person, _, err := n.Person(t.Context(), everything, "user-ann"); err != nil || len(person.Stays) != 0 {
		t.Errorf("got %+v, %v want nothing", person, err)
	}
	clear(others.archives)
	if _, _, _, err := n.Meetings(t.Context(), everything, history.MeetingFilter{Limit: 10}); !errors.As(err, &silent) || silent.Unanswered[0].Collector != "" {
		t.Errorf("got %v want that no collector is known", err)
	}
}

func TestArchive_EraseStay(t *testing.T) {
	a, b, others := twoSites(t)
	n := nodeOf(others)
	meeting := history.MeetingID("main", "daily@muc.meet.jitsi", at(15))
	ann, bob := history.StayID(meeting, "ann", at(20)), history.StayID(meeting, "bob", at(30))
	for _, stay := range []history.ID{ann, bob} {
		if err := n.EraseStay(t.Context(), everything, meeting, stay); err != nil {
			t.Error(err)
		}
	}
	if err := n.EraseStay(t.Context(), everything, meeting, bob); !errors.Is(err, history.ErrNoStay) {
		t.Errorf("got %v want no stay", err)
	}
	if left := a.count("SELECT COUNT(*) FROM stays") + b.count("SELECT COUNT(*) FROM stays"); left != 1 {
		t.Errorf("got %d stays want that of Eve", left)
	}
}

// Another PPCH returns only what the caller may read.
func TestArchive_Rights(t *testing.T) {
	_, _, others := twoSites(t)
	n := nodeOf(others)
	meeting := history.MeetingID("main", "daily@muc.meet.jitsi", at(15))
	for _, rooms := range []history.Rooms{{}, {{Local: "weekly", Domain: "muc.meet.jitsi"}}, {{Local: "", Domain: "other.meet.jitsi", Prefix: true}}} {
		by := history.Caller{Key: "narrow", Rooms: rooms, Names: true}
		all, _, _, err := n.Meetings(t.Context(), by, history.MeetingFilter{Limit: 10})
		if err != nil || slices.ContainsFunc(all, func(m history.Meeting) bool { return !rooms.Includes(m.Room) }) {
			t.Errorf("%v: got %+v, %v", rooms, all, err)
		}
		if _, _, err := n.Attendance(t.Context(), by, meeting); !errors.Is(err, history.ErrNoMeeting) {
			t.Errorf("%v: got %v want no meeting", rooms, err)
		}
		if p, _, err := n.Person(t.Context(), by, "user-ann"); err != nil || len(p.Stays) != 0 {
			t.Errorf("%v: got %+v, %v", rooms, p, err)
		}
		if err := n.EraseStay(t.Context(), by, meeting, history.ID{}); !errors.Is(err, history.ErrNoMeeting) {
			t.Errorf("%v: got %v want no meeting", rooms, err)
		}
		if _, err := n.Erase(t.Context(), by, "user-ann"); err == nil {
			t.Errorf("%v: a limited caller erased a person", rooms)
		}
	}
	if _, _, err := n.Attendance(t.Context(), history.Caller{Key: "numbers"}, meeting); err == nil {
		t.Error("a caller who may not read names read them")
	}
}

func TestArchive_BadAnswers(t *testing.T) {
	_, _, others := twoSites(t)
	n := nodeOf(others)
	meeting := history.MeetingID("main", "daily@muc.meet.jitsi", at(15))
	for name, garble := range map[string]func([]byte) []byte{
		"nothing":        func([]byte) []byte { return nil },
		"no JSON":        func([]byte) []byte { return []byte("{") },
		"another answer": func([]byte) []byte { return []byte(`{"Ask":"peaks"}`) },
		"another meeting": func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(meeting.String()), []byte(history.ID{}.String()))
		},
		"another shard": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"Shard":"main"`), []byte(`"Shard":"b"`)) },
		"bad numbers":   func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"Peak":`), []byte(`"Peak":"x`)) },
	} {
		others.garble = garble
		var silent *history.UnansweredError
		_, _, _, err := n.Meetings(t.Context(), everything, history.MeetingFilter{Limit: 10})
		_, _, err2 := n.Meeting(t.Context(), everything, meeting)
		if !errors.As(err, &silent) && !errors.As(err2, &silent) {
			t.Errorf("%s: got %v and %v want that the answers make no sense", name, err, err2)
		}
	}
}

// A list that continues where it began would never end.
func TestArchive_EndlessList(t *testing.T) {
	_, _, others := twoSites(t)
	f := history.MeetingFilter{Limit: 10, After: history.Position{Began: at(60).UnixMilli()}}
	others.garble = func([]byte) []byte {
		return fmt.Appendf(nil, `{"Ask":"meetings","Next":{"Began":%d}}`, at(60).UnixMilli())
	}
	var silent *history.UnansweredError
	if _, next, _, err := nodeOf(others).Meetings(t.Context(), everything, f); !errors.As(err, &silent) {
		t.Errorf("got a list that continues at %v, %v want that the answers make no sense", next, err)
	}
}

func TestArchive_OffEverywhere(t *testing.T) {
	s := newSite(t, history.LevelOff)
	n := nodeOf(&peers{archives: map[string]*history.Archive{"a": history.NewArchive(s.recorder, nil)}})
	if _, _, _, err := n.Meetings(t.Context(), everything, history.MeetingFilter{Limit: 10}); !errors.Is(err, history.ErrOff) {
		t.Errorf("got %v want that nothing is recorded", err)
	}
	_, _, others := twoSites(t)
	others.archives["off"] = history.NewArchive(s.recorder, nil)
	if all, _, missing, err := nodeOf(others).Meetings(t.Context(), everything, history.MeetingFilter{Limit: 10}); err != nil || len(all) != 2 || len(missing) != 0 {
		t.Errorf("got %+v, %v, %v want what the others recorded", all, missing, err)
	}
}

// A PPCH that receives a shard from others doesn't record it. If it did before, its rooms don't end by that.
func TestRecorder_OwnShardsOnly(t *testing.T) {
	s := newSite(t, history.LevelNames)
	b, _ := withShards(t, s)
	s.load(10)
	apply(t, b, true, muc, 10, 0, 0)
	waitFor(t, "both domains to be recorded", func() bool { return s.count("SELECT COUNT(*) FROM domains") == 2 })
	apply(t, b, false, muc, 21, 1, 1, room("daily", 19, person("bob", 21)))
	s.expect("room-started daily  0>0", "joined daily bob 0>1")
	s.stop()
	s.own = func(shard string) bool { return shard != "b" }
	s.directory = occupancy.NewDirectory(muc)
	b, _ = withShards(t, s)
	s.start(s.directory)
	s.load(60)
	apply(t, b, true, muc, 61, 1, 1, room("daily", 19, person("bob", 21)))
	apply(t, b, false, muc, 62, 1, 2, change("daily", nil, person("ann", 62)))
	s.apply(70, room("weekly", 69, person("eve", 70)))
	s.expect("lost from 10 because of stopped", "restored, lost from 10 to 60 because of stopped", "room-started weekly  0>0", "joined weekly eve 0>1")
	if n := s.count("SELECT COUNT(*) FROM stays"); n != 2 {
		t.Errorf("got %d stays want that of Eve, and the old one of Bob", n)
	}
}
