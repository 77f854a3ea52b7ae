package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"
)

// maxSkew is how far apart two PPCH may put one moment. What they recorded isn't merged if that is more:
// lengths between times of two clocks would be wrong.
const maxSkew = 5 * time.Second

// merger merges what several PPCH know.
type merger struct {
	// skewed are those whose records aren't part of the result.
	skewed []Unanswered
}

// agree reports whether a PPCH puts a moment where another one does, and remembers it if not.
func (m *merger) agree(shard, from string, theirs, others time.Time) bool {
	skew := theirs.Sub(others).Abs()
	if skew <= maxSkew {
		return true
	}
	if !slices.ContainsFunc(m.skewed, func(u Unanswered) bool { return u.Shard == shard && u.Collector == from }) {
		m.skewed = append(m.skewed, Unanswered{shard, from, fmt.Sprintf("its clock differs by %s from that of another one: synchronise them", skew.Round(time.Second))})
	}
	return false
}

// missing adds those whose records aren't part of the result.
func (m *merger) missing(all []Unanswered) []Unanswered {
	all = append(all, m.skewed...)
	sortUnanswered(all)
	return all
}

// lists merges lists of meetings, and returns where the merged one continues: nowhere beyond the place where any of them does.
// A meeting is where the earlier of two clocks puts it.
func (m *merger) lists(parts []part, limit int) (all []Meeting, next Position) {
	index := map[ID]int{}
	for _, p := range parts {
		for _, one := range p.Meetings {
			i, known := index[one.ID]
			switch {
			case !known:
				index[one.ID] = len(all)
				all = append(all, one)
			case m.agree(one.Shard, p.from, one.Began, all[i].Began):
				all[i] = mergeMeetings(all[i], one)
			}
		}
		if p.Next != (Position{}) && (next == (Position{}) || p.Next.compare(next) < 0) {
			next = p.Next
		}
	}
	if next != (Position{}) {
		all = slices.DeleteFunc(all, func(one Meeting) bool { return positionOf(one).compare(next) > 0 })
	}
	sort.Slice(all, func(i, k int) bool { return positionOf(all[i]).compare(positionOf(all[k])) < 0 })
	if len(all) > limit {
		all = all[:limit]
		next = positionOf(all[limit-1])
	}
	return all, next
}

// bounds are the times between which something happened, equal if that is exact, or zero if it didn't happen.
type bounds struct{ after, before time.Time }

// merge returns what two PPCH know together. Of exact times the earlier one counts, because both heard of it later.
func (b bounds) merge(o bounds) bounds {
	switch {
	case b.before.IsZero():
		return o
	case o.before.IsZero():
		return b
	}
	if both := (bounds{later(b.after, o.after), earlier(b.before, o.before)}); !both.after.After(both.before) {
		return both
	}
	// Their clocks differ a little.
	if cmp.Or(cmp.Compare(o.before.Sub(o.after), b.before.Sub(b.after)), o.before.Compare(b.before)) < 0 {
		return o
	}
	return b
}

// mergeMeetings merges what two PPCH know of a meeting. Each may have missed people, so the numbers are the least possible ones.
func mergeMeetings(a, b Meeting) Meeting {
	end := bounds{a.EndedAfter, a.EndedBefore}.merge(bounds{b.EndedAfter, b.EndedBefore})
	a.Began, a.EndedAfter, a.EndedBefore = earlier(a.Began, b.Began), end.after, end.before
	a.Peak, a.Stays = max(a.Peak, b.Peak), max(a.Stays, b.Stays)
	a.Parent, a.MeetingID = cmp.Or(a.Parent, b.Parent), cmp.Or(a.MeetingID, b.MeetingID)
	return a
}

// records merges what PPCH know of a meeting. parts isn't empty.
func (m *merger) records(parts []part) Attendance {
	first := *parts[0].Record
	stays := m.stays(nil, parts[0], first.Stays)
	for _, p := range parts[1:] {
		r := *p.Record
		if !m.agree(r.Meeting.Shard, p.from, r.Meeting.Began, first.Meeting.Began) {
			continue
		}
		first.Meeting = mergeMeetings(first.Meeting, r.Meeting)
		// Of the two ages, that of a PPCH that still watches counts.
		if open := first.unwatched(); open && !r.unwatched() || open == r.unwatched() && r.AsOf.After(first.AsOf) {
			first.AsOf, first.ReadAt = r.AsOf, r.ReadAt
		}
		first.Gaps = commonGaps(first.Gaps, r.Gaps)
		stays = m.stays(stays, p, r.Stays)
	}
	a := Attendance{Meeting: first.Meeting, AsOf: first.AsOf, ReadAt: first.ReadAt, Gaps: first.Gaps}
	a.group(stays)
	return a
}

// unwatched reports whether the room isn't watched at present.
func (r record) unwatched() bool { return len(r.Gaps) > 0 && r.Gaps[len(r.Gaps)-1].Ended.IsZero() }

// stays adds the stays that a PPCH knows to all. Each PPCH has other pseudonyms; common stays show whose they are.
func (m *merger) stays(all []Stay, p part, theirs []Stay) []Stay {
	index := make(map[ID]int, len(all))
	for i, s := range all {
		index[s.ID] = i
	}
	pseudonyms := map[string]string{}
	for _, s := range theirs {
		if i, known := index[s.ID]; known && s.Pseudonym != "" {
			pseudonyms[s.Pseudonym] = all[i].Pseudonym
		}
	}
	for _, s := range theirs {
		s.Pseudonym = cmp.Or(pseudonyms[s.Pseudonym], s.Pseudonym)
		i, known := index[s.ID]
		switch {
		case !known:
			index[s.ID] = len(all)
			all = append(all, s)
		case !s.JoinedAfter.IsZero() || !all[i].JoinedAfter.IsZero() || m.agree(s.Shard, p.from, s.Joined, all[i].Joined):
			all[i] = mergeStays(all[i], s)
		}
	}
	return all
}

// mergeStays merges what two PPCH know of a stay.
func mergeStays(a, b Stay) Stay {
	joined := bounds{cmp.Or(a.JoinedAfter, a.Joined), a.Joined}.merge(bounds{cmp.Or(b.JoinedAfter, b.Joined), b.Joined})
	left := bounds{a.LeftAfter, a.LeftBefore}.merge(bounds{b.LeftAfter, b.LeftBefore})
	a.JoinedAfter, a.Joined, a.LeftAfter, a.LeftBefore = joined.after, joined.before, left.after, left.before
	if joined.after.Equal(joined.before) {
		a.JoinedAfter = time.Time{}
	}
	a.Reason, a.Rule, a.Parent = cmp.Or(a.Reason, b.Reason), cmp.Or(a.Rule, b.Rule), cmp.Or(a.Parent, b.Parent)
	a.Nick, a.Name, a.UserID = cmp.Or(a.Nick, b.Nick), cmp.Or(a.Name, b.Name), cmp.Or(a.UserID, b.UserID)
	a.Pseudonym = cmp.Or(a.Pseudonym, b.Pseudonym)
	return a
}

// commonGaps returns the times in both lists, whose gaps are in order. Each began because the second PPCH stopped watching.
func commonGaps(a, b []Gap) (common []Gap) {
	for _, g := range a {
		for _, h := range b {
			both := Gap{Domain: g.Domain, Began: g.Began, Ended: cmp.Or(g.Ended, h.Ended), Reason: g.Reason}
			if h.Began.After(g.Began) {
				both.Began, both.Reason = h.Began, h.Reason
			}
			if !g.Ended.IsZero() && !h.Ended.IsZero() {
				both.Ended = earlier(g.Ended, h.Ended)
			}
			if both.Ended.IsZero() || both.Began.Before(both.Ended) {
				common = append(common, both)
			}
		}
	}
	return common
}

// persons merges records of a person.
func (m *merger) persons(userID string, parts []part) Record {
	r := Record{UserID: userID}
	for _, p := range parts {
		r.Pseudonym = cmp.Or(r.Pseudonym, p.Person.Pseudonym)
		r.Stays = m.stays(r.Stays, p, p.Person.Stays)
		r.Accesses = mergeAccesses(r.Accesses, p.Person.Accesses)
	}
	sort.SliceStable(r.Stays, func(i, k int) bool { return r.Stays[i].Joined.After(r.Stays[k].Joined) })
	return r
}

// sameRead is how far apart two PPCH may log the same read.
const sameRead = time.Minute

// mergeAccesses adds the reads in b that a lacks: both have logged the same ones, each by its own clock. The latest comes first.
func mergeAccesses(a, b []Access) []Access {
	taken := make([]bool, len(a))
	for _, access := range b {
		i := 0
		for i < len(taken) && (taken[i] || !a[i].same(access)) {
			i++
		}
		if i < len(taken) {
			taken[i] = true
			continue
		}
		a = append(a, access)
	}
	sort.SliceStable(a, func(i, k int) bool { return a[i].At.After(a[k].At) })
	return a
}

// same reports whether two PPCH logged the same read.
func (a Access) same(b Access) bool {
	return a.At.Sub(b.At).Abs() <= sameRead && a.Key == b.Key && a.Action == b.Action && a.Meeting == b.Meeting
}

// mergePeaks adds up the peaks of the wanted shards, each counted once, and reports whether the sums are exact. It returns none
// if one of these shards is missing, or if two answers have some shards in common.
func mergePeaks(parts []part, wanted []string) (all []Peaks, exact bool) {
	var sets []part
	for _, p := range parts {
		i := slices.IndexFunc(sets, func(other part) bool { return slices.Equal(other.Shards, p.Shards) })
		if i < 0 {
			sets = append(sets, p)
			continue
		}
		sets[i].Peaks = combinePeaks(sets[i].Peaks, p.Peaks, higher)
	}
	// A PPCH with more shards has the better sum of them.
	sort.SliceStable(sets, func(i, k int) bool { return len(sets[i].Shards) > len(sets[k].Shards) })
	seen, sums := map[string]bool{}, 0
	for _, p := range sets {
		known := 0
		for _, shard := range p.Shards {
			if seen[shard] {
				known++
			}
		}
		switch {
		case known == len(p.Shards):
			continue
		case known > 0:
			return nil, false
		}
		for _, shard := range p.Shards {
			seen[shard] = true
		}
		if sums++; sums == 1 {
			all = p.Peaks
			continue
		}
		all = combinePeaks(all, p.Peaks, sum)
	}
	if slices.ContainsFunc(wanted, func(shard string) bool { return !seen[shard] }) {
		return nil, false
	}
	return all, sums == 1
}

// combinePeaks combines the peaks of the same steps. Without one of them, combine has a zero Peaks.
func combinePeaks(a, b []Peaks, combine func(a, b Peaks) (Peaks, bool)) (all []Peaks) {
	at := map[int64]Peaks{}
	for _, p := range b {
		at[Milli(p.At)] = p
	}
	for _, p := range a {
		if c, ok := combine(p, at[Milli(p.At)]); ok {
			all = append(all, c)
		}
		delete(at, Milli(p.At))
	}
	for _, p := range at {
		if c, ok := combine(p, Peaks{}); ok {
			all = append(all, c)
		}
	}
	sort.Slice(all, func(i, k int) bool { return all[i].At.Before(all[k].At) })
	return all
}

// higher returns what two PPCH that watch the same shards saw together.
func higher(a, b Peaks) (Peaks, bool) {
	return Peaks{At: a.At, Rooms: max(a.Rooms, b.Rooms), Participants: max(a.Participants, b.Participants), Watched: max(a.Watched, b.Watched)}, true
}

// sum returns the sum for different shards, and false if one of them is unknown.
func sum(a, b Peaks) (Peaks, bool) {
	return Peaks{At: a.At, Rooms: add(a.Rooms, b.Rooms), Participants: add(a.Participants, b.Participants), Watched: min(a.Watched, b.Watched)}, b.Watched > 0 && a.Watched > 0
}

// add adds numbers of another PPCH, which may be anything.
func add(a, b int) int {
	if a < 0 || b < 0 || a > math.MaxInt32 || b > math.MaxInt32 {
		return max(a, b)
	}
	return a + b
}
