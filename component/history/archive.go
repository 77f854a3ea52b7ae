package history

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"ppch/component/occupancy"
)

// Peers asks other PPCH about the meetings that they recorded. It must be safe for concurrent use.
type Peers interface {
	// Ask asks all other PPCH that are connected to the Prosody of a shard a question, which their Archive answers, and calls each, one call
	// at a time, with the name of every one and its answer, or why there is none; with an empty name if none is known.
	// It blocks until all have answered or had the time to. With once, each must answer it at most once.
	Ask(ctx context.Context, shard string, question []byte, once bool, each func(name string, answer []byte, err error))
}

// Unanswered is a PPCH whose part is missing in an answer, wholly or because its clock differs from another's.
type Unanswered struct {
	Shard string

	// Collector is its name; empty if none of the shard is known.
	Collector string

	// Why says why, for people.
	Why string
}

// String returns it for people.
func (u Unanswered) String() string {
	return cmp.Or(u.Collector, "any record") + " of the shard " + u.Shard + ": " + u.Why
}

// UnansweredError means that an answer can't be given because some PPCH did not answer.
type UnansweredError struct{ Unanswered []Unanswered }

func (e *UnansweredError) Error() string {
	var all []string
	for _, u := range e.Unanswered {
		all = append(all, u.String())
	}
	return "history: incomplete without " + strings.Join(all, "; ")
}

// Caller is who asks.
type Caller struct {
	// Key is the name of its API key, for the log of reads.
	Key string

	// Rooms are those that it may read: with none it reads nothing, with nil everything.
	Rooms Rooms

	// Names is whether it may read who was there.
	Names bool `json:",omitempty"`
}

// Archive reads the meetings of all shards: those that this PPCH records, and those that others do. It is safe for concurrent use.
//
// Two PPCH may record one shard. What they know is merged by the computed ids, so that the record is as complete as both are together.
type Archive struct {
	recorder *Recorder
	peers    Peers // nil for none
	log      *slog.Logger
	reads    recent // questions whose read was logged
}

// NewArchive returns the Archive of what r records and peers do; peers may be nil.
func NewArchive(r *Recorder, peers Peers) *Archive {
	return &Archive{recorder: r, peers: peers, log: r.log}
}

// ask returns the answers to q of all that record a shard, or any of the shards if it is empty, and who did not answer.
// The error is ErrOff if none of them records, that of the file of this PPCH if it alone was asked, or an [UnansweredError] if there is no answer at all.
func (a *Archive) ask(ctx context.Context, q question, shard string, once bool) (parts []part, missing []Unanswered, err error) {
	replies := &replies{answered: map[string]bool{}, off: map[string][]Unanswered{}}
	var own, others []string
	for _, name := range a.shards(shard) {
		if a.peers == nil || a.recorder.cfg.Own(name) {
			own = append(own, name)
		}
		if a.peers != nil {
			others = append(others, name)
		}
	}
	if len(own) > 0 || once && a.recorder.cfg.Store.Path() != "" {
		q.Shard = shard
		given, err := a.do(ctx, q)
		if err != nil && a.peers == nil {
			return nil, nil, err
		}
		replies.note(own, "", given, err)
	}
	var all sync.WaitGroup
	for _, name := range others {
		q.Shard = name
		text, err := json.Marshal(q)
		if err != nil {
			return nil, nil, fmt.Errorf("history: question: %w", err)
		}
		asked := q
		all.Go(func() {
			a.peers.Ask(ctx, name, text, once, func(from string, reply []byte, err error) {
				if from == "" && slices.Contains(own, name) {
					return // this PPCH is the only one that records it
				}
				var given answer
				if err == nil {
					given, err = readAnswer(reply, asked)
				}
				replies.note([]string{name}, from, given, err)
			})
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return replies.result()
}

// shards returns the names of the shards to ask about: one, which may have been retired, or all.
func (a *Archive) shards(one string) (names []string) {
	if one != "" {
		return []string{one}
	}
	for _, s := range recordedShards(a.recorder.cfg.Directory) {
		names = append(names, s.Name())
	}
	return names
}

// part is the answer of one PPCH: a collector, or this one if from is empty.
type part struct {
	from string
	answer
}

// replies collects answers.
type replies struct {
	// mu protects what follows.
	mu       sync.Mutex
	parts    []part
	missing  []Unanswered
	own      error // of the file of this PPCH
	answered map[string]bool
	off      map[string][]Unanswered
}

// note notes the answer of one PPCH for some shards, or why there is none.
func (r *replies) note(shards []string, from string, given answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && !given.Off {
		r.parts = append(r.parts, part{from, given})
	}
	if from == "" && err != nil {
		r.own = cmp.Or(r.own, err)
	}
	for _, shard := range shards {
		switch {
		case err != nil:
			r.missing = append(r.missing, Unanswered{shard, from, why(err)})
		case given.Off:
			r.off[shard] = append(r.off[shard], Unanswered{shard, from, "it records no meetings"})
		default:
			r.answered[shard] = true
		}
	}
}

// result returns the answers, and who did not answer. A PPCH that records nothing is missing only if no other one records the shard.
func (r *replies) result() ([]part, []Unanswered, error) {
	for shard, silent := range r.off {
		if len(r.parts)+len(r.missing) > 0 && !r.answered[shard] && !slices.ContainsFunc(r.missing, func(u Unanswered) bool { return u.Shard == shard }) {
			r.missing = append(r.missing, silent...)
		}
	}
	sortUnanswered(r.missing)
	// The result doesn't depend on who was quicker.
	sort.SliceStable(r.parts, func(i, k int) bool { return r.parts[i].from < r.parts[k].from })
	switch {
	case len(r.parts) > 0:
		return r.parts, r.missing, nil
	case len(r.missing) == 0:
		return nil, nil, ErrOff
	case errors.As(r.own, new(*Problem)) && !slices.ContainsFunc(r.missing, func(u Unanswered) bool { return u.Collector != "" }):
		return nil, nil, r.own
	}
	return nil, nil, &UnansweredError{r.missing}
}

func sortUnanswered(all []Unanswered) {
	// Not slices.SortFunc here and where answers are merged: each type of items would make the program 15 KB larger.
	sort.Slice(all, func(i, k int) bool {
		return cmp.Or(strings.Compare(all[i].Shard, all[k].Shard), strings.Compare(all[i].Collector, all[k].Collector)) < 0
	})
}

// why returns an error for people.
func why(err error) string {
	var problem *Problem
	switch {
	case errors.As(err, &problem):
		return problem.Title
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	}
	return strings.TrimPrefix(err.Error(), "cluster: ")
}

// Meetings returns the meetings that f selects, latest first, where the list continues, and whose are missing.
func (a *Archive) Meetings(ctx context.Context, by Caller, f MeetingFilter) (all []Meeting, next Position, missing []Unanswered, err error) {
	parts, missing, err := a.ask(ctx, question{Ask: askMeetings, Caller: by, Filter: &f}, "", false)
	if err != nil {
		return nil, Position{}, nil, err
	}
	var m merger
	all, next = m.lists(parts, f.Limit)
	return all, next, m.missing(missing), nil
}

// Meeting returns a meeting, or ErrNoMeeting. The error is an [UnansweredError] if it isn't known whether there is one.
func (a *Archive) Meeting(ctx context.Context, by Caller, id ID) (Meeting, []Unanswered, error) {
	read, missing, err := a.find(ctx, question{Ask: askMeeting, Caller: by, ID: id})
	return read.Meeting, missing, err
}

// Attendance returns who was in a meeting and its breakout rooms, with the errors of Meeting. Every PPCH that knows the meeting logs the read.
func (a *Archive) Attendance(ctx context.Context, by Caller, id ID) (Attendance, []Unanswered, error) {
	return a.find(ctx, question{Ask: askAttendance, Caller: by, ID: id, Read: rand.Text()})
}

// find returns what is known of a meeting.
func (a *Archive) find(ctx context.Context, q question) (Attendance, []Unanswered, error) {
	parts, missing, err := a.ask(ctx, q, "", false)
	if err != nil {
		return Attendance{}, nil, err
	}
	found := slices.DeleteFunc(parts, func(p part) bool { return !p.Found })
	switch {
	case len(found) == 0 && len(missing) > 0:
		return Attendance{}, nil, &UnansweredError{missing}
	case len(found) == 0:
		return Attendance{}, nil, ErrNoMeeting
	}
	var m merger
	read := m.records(found)
	return read, slices.DeleteFunc(m.missing(missing), func(u Unanswered) bool { return u.Shard != read.Meeting.Shard }), nil
}

// Person returns the record of a person, and whose are missing. Every PPCH that answers logs the read.
func (a *Archive) Person(ctx context.Context, by Caller, userID string) (Record, []Unanswered, error) {
	parts, missing, err := a.ask(ctx, question{Ask: askPerson, Caller: by, UserID: userID, Read: rand.Text()}, "", false)
	if err != nil {
		return Record{}, nil, err
	}
	var m merger
	r := m.persons(userID, parts)
	return r, m.missing(missing), nil
}

// Peaks returns the peaks of all shards, or of one, as [Store.Peaks] does. With several shards they are sums of the peaks of each within a step:
// the true peak may be lower, and exact is false, as it is if any are missing. It returns none if those of a shard are missing.
func (a *Archive) Peaks(ctx context.Context, by Caller, typ occupancy.RoomType, step time.Duration, from time.Time) (all []Peaks, exact bool, missing []Unanswered, err error) {
	parts, missing, err := a.ask(ctx, question{Ask: askPeaks, Caller: by, Type: typ, Step: step, From: from}, "", false)
	if err != nil {
		return nil, false, nil, err
	}
	var wanted []string
	for _, s := range recordedShards(a.recorder.cfg.Directory) {
		wanted = append(wanted, s.Name())
	}
	all, exact = mergePeaks(parts, wanted)
	return all, exact && len(missing) == 0, missing, nil
}

// Erase deletes all that is stored of a person in every PPCH, and returns how many stays that were.
// With an [UnansweredError] the others have deleted it: to repeat it is safe.
func (a *Archive) Erase(ctx context.Context, by Caller, userID string) (n int, err error) {
	parts, missing, err := a.ask(ctx, question{Ask: askErase, Caller: by, UserID: userID}, "", true)
	if err != nil {
		return 0, err
	}
	erased := map[string]int{}
	for _, p := range parts {
		for shard, stays := range p.Erased {
			erased[shard] = max(erased[shard], stays)
		}
	}
	for _, stays := range erased {
		n = add(n, stays)
	}
	if len(missing) > 0 {
		return n, &UnansweredError{missing}
	}
	return n, nil
}

// EraseStay deletes one stay of a meeting in every PPCH, or returns ErrNoMeeting, ErrNoStay, or an [UnansweredError] as Erase does.
func (a *Archive) EraseStay(ctx context.Context, by Caller, meeting, stay ID) error {
	m, _, err := a.Meeting(ctx, by, meeting)
	if err != nil {
		return err
	}
	parts, missing, err := a.ask(ctx, question{Ask: askEraseStay, Caller: by, ID: meeting, Stay: stay}, m.Shard, true)
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		return &UnansweredError{missing}
	case !slices.ContainsFunc(parts, func(p part) bool { return p.Found }):
		return ErrNoStay
	}
	return nil
}
