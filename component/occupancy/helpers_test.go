package occupancy_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

var (
	muc      = jid.MustParse("muc.meet.jitsi")
	lobby    = jid.MustParse("lobby.meet.jitsi")
	breakout = jid.MustParse("breakout.meet.jitsi")
	daily    = jid.MustParse("daily@muc.meet.jitsi")
)

// at returns a time sec seconds after the first.
func at(sec int) time.Time { return time.Unix(1790000000+int64(sec), 0).UTC() }

// person returns an occupant who joined at a time.
func person(nick string, joined int) occupancy.Occupant {
	return occupancy.Occupant{ID: nick, RealJID: "q-" + nick + "@meet.jitsi/web", Role: "participant", Affiliation: "none", JoinedAt: at(joined)}
}

// withName returns o with a display name.
func withName(o occupancy.Occupant, name string) occupancy.Occupant {
	o.Name = name
	return o
}

var focus = occupancy.Occupant{ID: "focus", RealJID: "focus@auth.meet.jitsi/focus", Role: "moderator", Affiliation: "owner", JoinedAt: at(0)}

// fullRoom returns a delta with all occupants of a room.
func fullRoom(room string, present ...occupancy.Occupant) occupancy.Delta {
	return occupancy.Delta{Room: room, New: true, Facts: &occupancy.RoomFacts{CreatedAt: at(0)}, Present: present}
}

// roomUpdate returns a delta with changes in a room.
func roomUpdate(room string, left []string, present ...occupancy.Occupant) occupancy.Delta {
	return occupancy.Delta{Room: room, Left: left, Present: present}
}

func synced(rooms, occupants int, deltas ...occupancy.Delta) occupancy.Batch {
	return occupancy.Batch{Deltas: deltas, Synced: true, Rooms: rooms, Occupants: occupants}
}

// meeting returns a Directory with Ann, Bob and Jicofo in one room.
func meeting(t *testing.T) *occupancy.Directory {
	t.Helper()
	d := newDirectory(muc, lobby, breakout)
	mainOf(d).Begin(muc, jitsi)
	apply(t, d, at(10), synced(1, 3, fullRoom("daily@muc.meet.jitsi", focus, person("ann", 1), person("bob", 2))))
	return d
}

func apply(t *testing.T, d *occupancy.Directory, when time.Time, batches ...occupancy.Batch) {
	t.Helper()
	for _, b := range batches {
		check(t, mainOf(d).Apply(muc, b, when))
	}
}

// drain returns the pending events of a stream except status events, each as "kind room nick people".
func drain(s *occupancy.Subscription) []string {
	events := []string{}
	for {
		select {
		case e, ok := <-s.Events():
			if !ok {
				return append(events, "end")
			}
			if e.Kind == occupancy.EventStatus {
				continue
			}
			events = append(events, fmt.Sprintf("%s %s %s %d", e.Kind, e.Room.Localpart(), e.Occupant.ID, e.Counts.People()))
		default:
			return events
		}
	}
}

// nicks returns the sorted nicks of a room.
func nicks(t *testing.T, d *occupancy.Directory, room jid.JID) []string {
	t.Helper()
	r := must(d.Room(room))(t)
	ids := []string{}
	for _, record := range r.Occupants {
		o := record.Occupant()
		ids = append(ids, o.ID)
	}
	slices.Sort(ids)
	return ids
}

// jitsi is the configuration of docker-jitsi-meet.
var jitsi = occupancy.SystemAccounts{
	Recorders:    []string{"recorder@hidden.meet.jitsi"},
	Transcribers: []string{"transcriber@hidden.meet.jitsi"},
	Hidden:       []string{"hidden.meet.jitsi"},
}

// newDirectory returns a Directory whose replicas never get too old to read, because most tests use past dates.
func newDirectory(domains ...jid.JID) *occupancy.Directory {
	d := occupancy.NewDirectory(domains...)
	d.MaxStaleness = 100 * 365 * 24 * time.Hour
	return d
}

// confirmed returns when the replica of a domain was last confirmed, and false if there is none.
func confirmed(d *occupancy.Directory, domain jid.JID) (time.Time, bool) {
	w, err := d.Domain(domain)
	return w.AsOf, err == nil && !w.AsOf.IsZero()
}

// listed returns all rooms in an order, none if they can't be read.
func listed(d *occupancy.Directory, by occupancy.Order) []occupancy.RoomSummary {
	page, _ := d.Rooms(occupancy.Query{By: by, Domain: muc.String()})
	return page.Rooms
}

// reasonOf returns the reason of an UnavailableError, nothing for any other.
func reasonOf(err error) occupancy.Reason {
	if unknown, ok := errors.AsType[*occupancy.UnavailableError](err); ok {
		return unknown.Reason
	}
	return ""
}

// problems returns the reasons of a domain's Problem, ReadProblem and EventProblem.
func problems(d occupancy.Domain) string {
	return fmt.Sprintf("%q %q %q", reason(d.Problem), reason(d.ReadProblem), reason(d.EventProblem))
}

func reason(p *occupancy.UnavailableError) occupancy.Reason {
	if p == nil {
		return ""
	}
	return p.Reason
}

// sameProblem compares problems by their reasons.
var sameProblem = cmp.Comparer(func(a, b *occupancy.UnavailableError) bool { return reason(a) == reason(b) })

// sameJID compares JIDs as text, because cmp can't see into jid.JID.
var sameJID = cmp.Comparer(func(a, b jid.JID) bool { return a.String() == b.String() })

// asOccupant compares records by what they contain.
var asOccupant = cmp.Transformer("occupant", (*occupancy.Record).Occupant)

// records returns the records of occupants.
func records(occupants ...occupancy.Occupant) (all []*occupancy.Record) {
	for _, o := range occupants {
		all = append(all, occupancy.NewRecord(o))
	}
	return all
}

// must returns v, and ends the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// check ends the test if there is an error.
var check = componenttest.Check

// same reports how got differs from want.
var same = componenttest.Same

// errorOf returns the error of a read.
func errorOf[T any](_ T, err error) error { return err }

// next returns the event that has to be in a stream, and passes over those of statuses.
func next(t *testing.T, s *occupancy.Subscription) occupancy.Event {
	t.Helper()
	for {
		select {
		case e := <-s.Events():
			if e.Kind != occupancy.EventStatus {
				return e
			}
		default:
			t.Fatal("no event")
			return occupancy.Event{}
		}
	}
}

// mainOf returns the shard of a Directory with only one.
func mainOf(d *occupancy.Directory) *occupancy.Shard { return d.Shard(occupancy.DefaultShard) }
