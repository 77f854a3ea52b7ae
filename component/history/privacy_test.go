package history_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// traces returns which of words the files of a site contain.
func (s *site) traces(words ...string) (found []string) {
	s.t.Helper()
	all := content(s.t, s.dir)
	for _, w := range words {
		if bytes.Contains(all, []byte(w)) {
			found = append(found, w)
		}
	}
	return found
}

// crowd applies batches in which many people join a room, and then leave it.
func (s *site) crowd(name string, n int, since int) {
	s.t.Helper()
	s.apply(since, room(name, since))
	for i := 0; i < n; i += 100 {
		var present []occupancy.Occupant
		var nicks []string
		for j := range 100 {
			p := person(fmt.Sprintf("nick%05d", i+j), since)
			p.Name, p.UserID = "Name of "+p.ID, "uid-of-"+p.ID
			present, nicks = append(present, p), append(nicks, p.ID)
		}
		s.apply(since+i/100, change(name, nil, present...))
		s.apply(since+i/100, change(name, nicks))
	}
	s.apply(since+n/100, gone(name))
}

func TestPrivacy_OffStoresNothing(t *testing.T) {
	s := &site{t: t, dir: t.TempDir(), level: history.LevelOff, box: &box{}}
	s.start(occupancy.NewDirectory(muc))
	s.load(10)
	s.crowd("secret-room", 10_000, 20)
	s.stop()
	if found := s.traces("secret-room", "nick0", "Name of", "uid-of", "muc.meet.jitsi", "jid-of", "mail.test"); len(found) > 0 {
		t.Errorf("got %q in the folder", found)
	}
}

// With an Outbox but no history, the file knows who is present, and nothing afterwards.
func TestPrivacy_OutboxAlone(t *testing.T) {
	s := &site{t: t, dir: t.TempDir(), level: history.LevelOff, box: &box{needs: history.LevelNames}}
	s.start(occupancy.NewDirectory(muc))
	s.load(10)
	s.crowd("secret-room", 1000, 20)
	waitFor(t, "all to have left", func() bool {
		s.box.mu.Lock()
		defer s.box.mu.Unlock()
		return len(s.box.events) >= 2002
	})
	if n := s.count("SELECT (SELECT COUNT(*) FROM stays) + (SELECT COUNT(*) FROM meetings) + (SELECT COUNT(*) FROM present) + (SELECT COUNT(*) FROM open_rooms)"); n != 0 {
		t.Errorf("got %d rows", n)
	}
	check(t, s.store.Checkpoint(t.Context()))
	if found := s.traces("secret-room", "nick0", "Name of", "uid-of", "jid-of", "mail.test"); len(found) > 0 {
		t.Errorf("got %q in the folder", found)
	}
}

func TestPrivacy_Levels(t *testing.T) {
	never := []string{"jid-of", "mail.test"}
	for _, tt := range []struct {
		level history.Level
		want  []string
	}{
		{history.LevelNumbers, nil},
		{history.LevelPseudonyms, nil},
		{history.LevelNames, []string{"nick00042", "Name of nick00042", "uid-of-nick00042"}},
	} {
		t.Run(tt.level.String(), func(t *testing.T) {
			s := newSite(t, tt.level)
			s.box.set(history.LevelOff)
			s.load(10)
			s.crowd("town-hall", 500, 20)
			waitFor(t, "all to have left", func() bool { return s.count("SELECT COUNT(*) FROM stays WHERE left_before IS NOT NULL") == 500 })
			pseudonyms := s.count("SELECT COUNT(DISTINCT pseudonym) FROM stays")
			if want := map[bool]int{true: 500}[tt.level == history.LevelPseudonyms]; pseudonyms != want {
				t.Errorf("got %d pseudonyms want %d", pseudonyms, want)
			}
			check(t, s.store.Checkpoint(t.Context()))
			words := append([]string{"nick00042", "Name of nick00042", "uid-of-nick00042"}, never...)
			if found := s.traces(words...); !slices.Equal(found, tt.want) {
				t.Errorf("got %q in the folder, want %q", found, tt.want)
			}
		})
	}
}

func TestPrivacy_Erase(t *testing.T) {
	for _, level := range []history.Level{history.LevelPseudonyms, history.LevelNames} {
		t.Run(level.String(), func(t *testing.T) {
			s := newSite(t, level)
			s.load(10)
			s.apply(20, room("daily", 15, person("ann", 20), person("bob", 20)))
			s.apply(30, change("daily", []string{"ann"}))
			s.apply(40, change("daily", nil, person("ann", 40)))
			waitFor(t, "three stays", func() bool { return s.count("SELECT COUNT(*) FROM stays") == 3 })
			ctx := t.Context()
			check(t, s.store.LogAccess(ctx, "reader", "person", history.ID{}, "user-ann"))
			before, err := s.store.Person(ctx, "user-ann", "")
			if err != nil || len(before.Stays) != 2 || len(before.Accesses) != 1 {
				t.Fatalf("got %+v, %v", before, err)
			}
			n, err := s.recorder.Erase(ctx, "user-ann")
			if err != nil || n["main"] != 2 {
				t.Errorf("got %v, %v; want 2 stays", n, err)
			}
			after, err := s.store.Person(ctx, "user-ann", "")
			if err != nil || len(after.Stays) != 0 || len(after.Accesses) != 0 {
				t.Errorf("got %+v, %v", after, err)
			}
			// Ann is still present: her nick stays until she leaves, and this stay isn't recorded again.
			if found := s.traces("user-ann", "ANN"); len(found) > 0 {
				t.Errorf("got %q in the folder", found)
			}
			s.apply(50, change("daily", []string{"ann"}))
			waitFor(t, "Ann to leave", func() bool { return s.count("SELECT COUNT(*) FROM present") == 1 })
			check(t, s.store.Checkpoint(ctx))
			if found := s.traces("user-ann", "ANN", "ann"); len(found) > 0 {
				t.Errorf("got %q in the folder after Ann left", found)
			}
			if n := s.count("SELECT COUNT(*) FROM stays"); n != 1 {
				t.Errorf("got %d stays want that of Bob", n)
			}
		})
	}
}

func TestPrivacy_EraseStay(t *testing.T) {
	s := newSite(t, history.LevelNames)
	guest := person("guest", 20)
	guest.UserID = ""
	s.load(10)
	s.apply(20, room("daily", 15, guest, person("bob", 20)))
	waitFor(t, "two stays", func() bool { return s.count("SELECT COUNT(*) FROM stays") == 2 })
	meetings, _, err := s.store.Meetings(t.Context(), history.MeetingFilter{Limit: 1})
	check(t, err)
	a := must(s.store.Attendance(t.Context(), meetings[0].ID))(t)
	for _, p := range a.Attendees {
		if p.Name != "GUEST" {
			continue
		}
		if err := s.recorder.EraseStay(t.Context(), meetings[0].ID, p.Stays[0].ID); err != nil {
			t.Error(err)
		}
		if err := s.recorder.EraseStay(t.Context(), meetings[0].ID, p.Stays[0].ID); err != history.ErrNoStay { //nolint:errorlint // no other
			t.Errorf("again: got %v", err)
		}
	}
	if found := s.traces("GUEST"); len(found) > 0 {
		t.Errorf("got %q in the folder", found)
	}
}

// Retention counts from the end of a stay, though its meeting goes on, and removes the bytes.
func TestPrivacy_Retention(t *testing.T) {
	s := newSite(t, history.LevelNames)
	s.load(10, room("endless", 5))
	s.crowd("over", 700, 20)
	s.apply(100, change("endless", nil, person("ann", 100), person("bob", 100)))
	s.apply(110, change("endless", []string{"ann"}))
	waitFor(t, "Ann to leave", func() bool { return s.count("SELECT COUNT(*) FROM stays WHERE left_before IS NOT NULL") == 701 })
	check(t, s.store.Prune(t.Context(), 30, at(105).AddDate(0, 0, 30)))
	if meetings, stays := s.count("SELECT COUNT(*) FROM meetings"), s.count("SELECT COUNT(*) FROM stays"); meetings != 1 || stays != 2 {
		t.Errorf("got %d meetings and %d stays", meetings, stays)
	}
	if found := s.traces("Name of nick", "uid-of-nick", "over@muc"); len(found) > 0 {
		t.Errorf("got %q in the folder", found)
	}
	check(t, s.store.Prune(t.Context(), 30, at(115).AddDate(0, 0, 30)))
	if found := s.traces("user-ann", "ANN"); len(found) > 0 {
		t.Errorf("got %q in the folder", found)
	}
	if found := s.traces("user-bob"); len(found) == 0 {
		t.Error("got nothing of Bob, who is present")
	}
}

// Without the key, a user's pseudonym can't be computed.
func TestPrivacy_DropKey(t *testing.T) {
	s := newSite(t, history.LevelPseudonyms)
	s.load(10)
	s.apply(20, room("daily", 15, person("ann", 20)))
	waitFor(t, "a stay", func() bool { return s.count("SELECT COUNT(*) FROM stays") == 1 })
	var key []byte
	err := s.store.Read(t.Context(), func(tx *history.Tx) error {
		_, err := tx.Get("SELECT value FROM settings WHERE name = 'pseudonym-key'", nil, &key)
		return err
	})
	if err != nil || len(key) != 32 {
		t.Fatalf("got a key of %d bytes, %v", len(key), err)
	}
	check(t, s.store.DropKey(t.Context()))
	if bytes.Contains(content(t, s.dir), key) {
		t.Error("the key is still in the folder")
	}
	if r, err := s.store.Person(t.Context(), "user-ann", ""); err != nil || len(r.Stays) != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	s.apply(30, change("daily", []string{"ann"})) // and the recorder goes on
	s.apply(31, change("daily", nil, person("ann", 31)))
	waitFor(t, "another pseudonym", func() bool { return s.count("SELECT COUNT(DISTINCT pseudonym) FROM stays") == 2 })
}
