package occupancy

import (
	"errors"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

// RoomPart is a room on one shard, where several shards have a room of the same address.
type RoomPart struct {
	Shard        string
	Participants int
	Exact        bool
	Counts       map[Kind]int // nil if the source can't know them
	AsOf         time.Time
	CreatedAt    time.Time
}

// Answer is what one shard reports about a room: the room, which need not exist, or why it is unknown.
type Answer struct {
	Shard string
	Room  Room
	Err   error
}

// Merge returns a room as all shards that may have it report it.
//
// A shard whose answer is an error might have the room: one that no other shard has is then unknown, and Merge returns the error;
// one that is found is not exact. It is as old as the oldest answer.
func Merge(room jid.JID, answers []Answer) (Room, error) {
	var unknown []string
	var found []Answer
	var missing *Room
	var problem error
	var asOf time.Time
	unasked := false
	for i, a := range answers {
		if a.Err != nil {
			unknown = append(unknown, a.Shard)
			unasked = unasked || errors.Is(a.Err, ErrNoModule)
			// A shard without the module can be asked, so any other problem is more important.
			if err := nameShard(a.Shard, a.Err); problem == nil || errors.Is(problem, ErrNoModule) && !errors.Is(err, ErrNoModule) {
				problem = err
			}
			continue
		}
		if asOf.IsZero() || a.Room.AsOf.Before(asOf) {
			asOf = a.Room.AsOf
		}
		if a.Room.Exists {
			found = append(found, a)
		} else if missing == nil {
			missing = &answers[i].Room
		}
	}
	switch {
	case len(found) == 0 && problem != nil:
		return Room{}, problem
	case len(found) == 0 && missing == nil:
		return Room{JID: room}, ErrNotWatched
	case len(found) == 0:
		merged := *missing
		merged.AsOf = asOf
		return merged, nil
	}
	merged := found[0].Room
	if len(found) > 1 {
		merged = sum(found)
	}
	merged.AsOf = asOf
	if len(unknown) > 0 {
		merged.UnknownShards, merged.Unasked = unknown, unasked
		merged.Exact, merged.MeetingParticipants = false, nil
		if merged.VisitorsSource != VisitorsFromNodes {
			merged.Visitors = nil
		}
		merged.Fingerprint, merged.AnonymousFingerprint = merged.Fingerprint.with(unknown...), merged.AnonymousFingerprint.with(unknown...)
	}
	return merged, nil
}

// sum returns one room for those of several shards: the oldest room with the numbers of all.
func sum(found []Answer) Room {
	oldest := found[0].Room
	for _, a := range found[1:] {
		if c := a.Room.CreatedAt; !c.IsZero() && (oldest.CreatedAt.IsZero() || c.Before(oldest.CreatedAt)) {
			oldest = a.Room
		}
	}
	all := oldest
	all.Shard, all.Split, all.Parts = "", true, nil
	all.Participants, all.Exact, all.Counts, all.Occupants, all.Breakouts, all.Lobby = 0, true, map[Kind]int{}, []*Record{}, nil, nil
	all.Version, all.Fingerprint, all.AnonymousFingerprint = 0, found[0].Room.Fingerprint, found[0].Room.AnonymousFingerprint
	if all.VisitorsSource != VisitorsFromNodes {
		all.Visitors = new(int)
	}
	all.MeetingParticipants = new(int)
	for i, a := range found {
		r := a.Room
		all.Parts = append(all.Parts, RoomPart{Shard: a.Shard, Participants: r.Participants, Exact: r.Exact, Counts: r.Counts, AsOf: r.AsOf, CreatedAt: r.CreatedAt})
		all.Participants += r.Participants
		all.Exact = all.Exact && r.Exact
		all.Counts = sumCounts(all.Counts, r.Counts)
		all.Occupants = append(all.Occupants, r.Occupants...)
		all.MeetingParticipants = sumNumbers(all.MeetingParticipants, r.MeetingParticipants)
		if all.VisitorsSource != VisitorsFromNodes {
			all.Visitors = sumNumbers(all.Visitors, r.Visitors)
		}
		if all.Lobby == nil {
			all.Lobby = r.Lobby
		}
		all.Breakouts = append(all.Breakouts, r.Breakouts...)
		all.Password, all.MembersOnly = all.Password || r.Password, all.MembersOnly || r.MembersOnly
		all.Version = max(all.Version, r.Version)
		if i > 0 {
			all.Fingerprint, all.AnonymousFingerprint = all.Fingerprint.mix(uint64(r.Fingerprint)), all.AnonymousFingerprint.mix(uint64(r.AnonymousFingerprint))
		}
	}
	if slices.ContainsFunc(found, func(a Answer) bool { return a.Room.Occupants == nil }) {
		all.Occupants = nil
	}
	return all
}

// sumCounts returns the sums of two numbers by kind, nil if one is unknown.
func sumCounts(a, b map[Kind]int) map[Kind]int {
	if a == nil || b == nil {
		return nil
	}
	for k, n := range b {
		a[k] += n
	}
	return a
}

// sumNumbers returns the sum of two numbers, nil if one is unknown.
func sumNumbers(a, b *int) *int {
	if a == nil || b == nil {
		return nil
	}
	return new(*a + *b)
}

// nameShard returns err with the name of the shard that it is about.
func nameShard(shard string, err error) error {
	var p *UnavailableError
	if !errors.As(err, &p) || p.Shard != "" {
		return err
	}
	named := *p
	named.Shard, named.Remedy = shard, "shard "+shard+": "+p.Remedy
	return &named
}
