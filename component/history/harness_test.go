package history_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/componenttest"
	"ppch/component/history"
	"ppch/component/occupancy"
)

var muc = jid.MustParse("muc.meet.jitsi")

// start is so late that the Directory takes all times below for recent ones.
var start = time.Now().Add(time.Hour).Truncate(time.Second).UTC()

// at returns a time sec seconds after start.
func at(sec int) time.Time { return start.Add(time.Duration(sec) * time.Second) }

// person returns an occupant who joined at a time.
func person(nick string, joined int) occupancy.Occupant {
	return occupancy.Occupant{
		ID: nick, Name: strings.ToUpper(nick), RealJID: "jid-of-" + nick + "@meet.jitsi/web", Role: "participant", Affiliation: "none",
		JoinedAt: at(joined), Stamp: at(joined), UserID: "user-" + nick, UserEmail: nick + "@mail.test",
	}
}

// room returns a delta with all occupants of a room that opened at a time.
func room(name string, created int, present ...occupancy.Occupant) occupancy.Delta {
	return occupancy.Delta{Room: name + "@muc.meet.jitsi", New: true, Facts: &occupancy.RoomFacts{CreatedAt: at(created), Stamp: at(created)}, Present: present}
}

// change returns a delta with changes in a room.
func change(name string, left []string, present ...occupancy.Occupant) occupancy.Delta {
	return occupancy.Delta{Room: name + "@muc.meet.jitsi", Left: left, Present: present}
}

func gone(name string) occupancy.Delta {
	return occupancy.Delta{Room: name + "@muc.meet.jitsi", Gone: true}
}

// box is an Outbox that keeps events in memory, and a list of committed ones in a table of the file.
type box struct {
	mu     sync.Mutex
	needs  history.Level
	events []history.Event
	fail   error
}

func (b *box) Needs() history.Level {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.needs
}

func (b *box) set(l history.Level) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.needs = l
}

func (b *box) Append(_ context.Context, tx *history.Tx, events []history.Event) (func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, b.fail
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, events...)
	}, nil
}

func (b *box) Erase(context.Context, *history.Tx, history.Person) (func(), error) {
	return func() {}, nil
}

// take returns the events as text and forgets them.
func (b *box) take() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		all = append(all, text(e))
	}
	b.events = nil
	return all
}

// text returns an event as "kind room nick people before>people after", with the bounds if it wasn't watched.
func text(e history.Event) string {
	if e.Gap != nil {
		s := fmt.Sprintf("lost from %d because of %s", sec(e.Gap.Began), e.Gap.Reason)
		if !e.Gap.Ended.IsZero() {
			s = fmt.Sprintf("restored, lost from %d to %d because of %s", sec(e.Gap.Began), sec(e.Gap.Ended), e.Gap.Reason)
		}
		return s
	}
	s := fmt.Sprintf("%s %s %s %d>%d", e.Kind, e.Room.Localpart(), e.Occupant.ID, e.Before.People(), e.Counts.People())
	if !e.NotBefore.Equal(e.At) {
		s += fmt.Sprintf(" between %d and %d", sec(e.NotBefore), sec(e.At))
	}
	return s
}

func sec(t time.Time) int { return int(t.Unix() - at(0).Unix()) }

// site is a Directory with a Recorder.
type site struct {
	t         *testing.T
	dir       string
	directory *occupancy.Directory
	store     *history.Store
	box       *box
	level     history.Level
	stop      func()
	recorder  *history.Recorder
	rules     []occupancy.Rule
	own       func(shard string) bool
	rooms     map[string]map[string]bool // the nicks in each, as Prosody counts them
}

// newSite returns a running site with an empty folder.
func newSite(t *testing.T, level history.Level) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), level: level, box: &box{needs: history.LevelNames}}
	s.start(occupancy.NewDirectory(muc))
	return s
}

// start runs the Recorder with a Directory, as after a start of PPCH.
func (s *site) start(d *occupancy.Directory) {
	s.t.Helper()
	s.directory = d
	d.MaxStaleness = 100 * 365 * 24 * time.Hour
	d.NotCounted = s.rules
	s.store = history.New(s.dir, history.Options{})
	s.recorder = history.NewRecorder(history.RecorderConfig{Store: s.store, Directory: d, Own: s.own, Level: s.level, Outbox: s.box})
	stop := componenttest.Run(s.t, s.recorder.Run)
	s.stop = sync.OnceFunc(func() {
		stop()
		s.store.Close()
	})
	s.t.Cleanup(s.stop)
	d.Shard(occupancy.DefaultShard).SetStatus(muc, occupancy.Status{Connected: true, Since: at(0), Mode: occupancy.ModeModule})
	waitFor(s.t, "the recorder", func() bool { return s.store.Stats().Transactions > 0 })
}

// restart stops the Recorder and starts it with a new Directory, which knows nothing.
func (s *site) restart() {
	s.t.Helper()
	s.stop()
	s.start(occupancy.NewDirectory(muc))
}

// load completes a snapshot at a time.
func (s *site) load(sec int, deltas ...occupancy.Delta) {
	s.t.Helper()
	s.directory.Shard(occupancy.DefaultShard).Begin(muc, occupancy.SystemAccounts{})
	s.rooms = map[string]map[string]bool{}
	s.apply(sec, deltas...)
	if s.level != history.LevelOff || s.box.Needs() != history.LevelOff {
		waitFor(s.t, "the snapshot to be recorded", func() bool {
			return s.count(fmt.Sprintf("SELECT COUNT(*) FROM domains WHERE confirmed >= %d", at(sec).UnixMilli())) == 1
		})
	}
}

// apply applies a batch at a time.
func (s *site) apply(sec int, deltas ...occupancy.Delta) {
	s.t.Helper()
	b := occupancy.Batch{Deltas: deltas, Synced: true}
	for _, d := range deltas {
		switch {
		case d.Gone:
			delete(s.rooms, d.Room)
		case d.New:
			s.rooms[d.Room] = map[string]bool{}
		}
		for _, nick := range d.Left {
			delete(s.rooms[d.Room], nick)
		}
		for _, o := range d.Present {
			s.rooms[d.Room][o.ID] = true
		}
	}
	for _, nicks := range s.rooms {
		b.Rooms++
		b.Occupants += len(nicks)
	}
	check(s.t, s.directory.Shard(occupancy.DefaultShard).Apply(muc, b, at(sec)))
}

func (s *site) expect(want ...string) {
	s.t.Helper()
	var got []string
	waitFor(s.t, fmt.Sprintf("events %q", want), func() bool {
		got = append(got, s.box.take()...)
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		s.t.Errorf("events:\n got %q\nwant %q", got, want)
	}
}

// waitFor waits until is returns true.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	componenttest.Eventually(t, time.Minute, what, is)
}

// count returns the number that a query of the file has as its answer.
func (s *site) count(query string) (n int) {
	s.t.Helper()
	err := s.store.Read(context.Background(), func(tx *history.Tx) error {
		_, err := tx.Get(query, nil, &n)
		return err
	})
	check(s.t, err)
	return n
}

// must returns v, and ends the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// check ends the test if there is an error.
var check = componenttest.Check
