package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ppch/component/occupancy"
)

// What one PPCH asks another.
const (
	askMeetings   = "meetings"
	askMeeting    = "meeting"
	askAttendance = "attendance"
	askPerson     = "person"
	askPeaks      = "peaks"
	askErase      = "erase"
	askEraseStay  = "erase-stay"
)

// question is a question about the meetings of a shard, or of all if Shard is empty. Which fields it has depends on Ask.
type question struct {
	Ask    string
	Shard  string
	Caller Caller

	// Read identifies the read for which it is asked, so that it is logged once in a PPCH with several shards.
	Read string `json:",omitempty"`

	Filter *MeetingFilter     `json:",omitempty"`
	ID     ID                 `json:",omitzero"`
	Stay   ID                 `json:",omitzero"`
	UserID string             `json:",omitempty"`
	Type   occupancy.RoomType `json:",omitempty"`
	Step   time.Duration      `json:",omitempty"`
	From   time.Time          `json:",omitzero"`
}

// answer is the answer of one PPCH.
type answer struct {
	// Ask is that of the question.
	Ask string

	// Off is whether it records no meetings.
	Off bool `json:",omitempty"`

	// Problem is why its file can't be used.
	Problem *Problem `json:",omitempty"`

	// Found is whether it has the meeting or stay.
	Found bool `json:",omitempty"`

	Meetings []Meeting `json:",omitempty"`
	Next     Position  `json:",omitzero"`
	Record   *record   `json:",omitempty"`
	Person   *Record   `json:",omitempty"`
	Peaks    []Peaks   `json:",omitempty"`

	// Shards are those of Peaks.
	Shards []string `json:",omitempty"`

	// Erased is how many stays were deleted, by shard.
	Erased map[string]int `json:",omitempty"`
}

// record is what one PPCH knows of a meeting.
type record struct {
	Meeting      Meeting
	Stays        []Stay `json:",omitempty"`
	AsOf, ReadAt time.Time
	Gaps         []Gap `json:",omitempty"`
}

// Answer answers the question of another PPCH. It checks what the caller may read, and logs the read.
func (a *Archive) Answer(ctx context.Context, text []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, fmt.Errorf("history: question: %w", err)
	}
	given, err := a.do(ctx, q)
	var problem *Problem
	if errors.As(err, &problem) {
		given, err = answer{Problem: &Problem{Reason: problem.Reason, Title: problem.Title, Remedy: problem.Remedy}}, nil
	}
	if err != nil {
		if !errors.Is(err, errQuestion) {
			a.log.Error("question about meetings not answered", "ask", q.Ask, "err", err)
			err = errors.New("history: internal error: the collector's log has the cause")
		}
		return nil, err
	}
	given.Ask = q.Ask
	return json.Marshal(given)
}

// readAnswer reads the answer of another PPCH to q, whose text may be anything.
func readAnswer(text []byte, q question) (given answer, err error) {
	if err := json.Unmarshal(text, &given); err != nil {
		return answer{}, fmt.Errorf("its answer makes no sense: %w", err)
	}
	switch {
	case given.Ask != q.Ask:
		return answer{}, fmt.Errorf("its answer is about %q", given.Ask)
	case given.Problem != nil:
		return answer{}, given.Problem
	case given.Off:
	case given.Found && (q.Ask == askMeeting || q.Ask == askAttendance) && (given.Record == nil || given.Record.Meeting.ID != q.ID),
		q.Ask == askPerson && given.Person == nil:
		return answer{}, errors.New("its answer is about something else")
	}
	meetings, stays := given.Meetings, []Stay(nil)
	if given.Record != nil {
		meetings = append(meetings, given.Record.Meeting)
	}
	if given.Person != nil {
		stays = given.Person.Stays
		if len(given.Person.Accesses) > maxRecord {
			return answer{}, errTooMuch
		}
	}
	if given.Next != (Position{}) && q.Filter != nil && q.Filter.After != (Position{}) && given.Next.compare(q.Filter.After) <= 0 {
		return answer{}, errors.New("its list goes round in circles")
	}
	if len(stays) > maxRecord || q.Filter != nil && len(given.Meetings) > q.Filter.Limit ||
		slices.ContainsFunc(meetings, func(m Meeting) bool { return m.Shard != q.Shard || !q.Caller.Rooms.Includes(m.Room) }) ||
		slices.ContainsFunc(stays, func(s Stay) bool { return s.Shard != q.Shard || !q.Caller.Rooms.Includes(s.Room) }) {
		return answer{}, errTooMuch
	}
	return given, nil
}

var errTooMuch = errors.New("its answer has more than was asked for")

// errQuestion is the error of a question that no PPCH of this release asks.
var errQuestion = errors.New("history: unknown question, or the caller may not ask it: update all PPCH to one release")

// do answers a question from the file of this PPCH.
func (a *Archive) do(ctx context.Context, q question) (given answer, err error) {
	store := a.recorder.cfg.Store
	erases := q.Ask == askErase || q.Ask == askEraseStay
	switch {
	case store.Path() == "", !erases && q.Ask != askPerson && a.recorder.cfg.Level == LevelOff:
		return answer{Off: true}, nil
	case (erases || q.Ask == askAttendance || q.Ask == askPerson) && !q.Caller.Names, q.Ask == askErase && q.Caller.Rooms != nil:
		return answer{}, errQuestion
	}
	switch q.Ask {
	case askMeetings:
		if q.Filter == nil || q.Filter.Limit < 1 || q.Filter.Limit > maxScanned {
			return answer{}, errQuestion
		}
		f := *q.Filter
		f.Shard, f.Rooms = q.Shard, q.Caller.Rooms
		given.Meetings, given.Next, err = store.Meetings(ctx, f)
	case askMeeting, askAttendance, askEraseStay:
		return a.doMeeting(ctx, q)
	case askPerson:
		if err := a.logRead(ctx, q); err != nil {
			return answer{}, err
		}
		var r Record
		r, err = store.Person(ctx, q.UserID, q.Shard)
		r.Stays = slices.DeleteFunc(r.Stays, func(s Stay) bool { return !q.Caller.Rooms.Includes(s.Room) })
		given.Person = &r
	case askPeaks:
		for _, s := range a.recorder.ownShards() {
			given.Shards = append(given.Shards, s.Name())
		}
		given.Peaks, err = store.Peaks(ctx, q.Type, q.Step, q.From)
	case askErase:
		given.Erased, err = a.recorder.Erase(context.WithoutCancel(ctx), q.UserID)
		a.log.Info("person deleted", "key", q.Caller.Key, "shard", q.Shard)
	default:
		err = errQuestion
	}
	return given, err
}

// doMeeting answers a question about one meeting, as if there were none if the caller may not read its room.
func (a *Archive) doMeeting(ctx context.Context, q question) (given answer, err error) {
	m, err := a.recorder.cfg.Store.Meeting(ctx, q.ID)
	if errors.Is(err, ErrNoMeeting) || err == nil && (q.Shard != "" && m.Shard != q.Shard || !q.Caller.Rooms.Includes(m.Room)) {
		return answer{}, nil
	}
	if err != nil {
		return answer{}, err
	}
	switch q.Ask {
	case askMeeting:
		return answer{Found: true, Record: &record{Meeting: m}}, nil
	case askEraseStay:
		err := a.recorder.EraseStay(context.WithoutCancel(ctx), q.ID, q.Stay)
		if errors.Is(err, ErrNoStay) {
			return answer{}, nil
		}
		a.log.Info("stay deleted", "key", q.Caller.Key, "meeting", q.ID.String())
		return answer{Found: err == nil}, err
	}
	if err := a.logRead(ctx, q); err != nil {
		return answer{}, err
	}
	read, err := a.recorder.cfg.Store.Attendance(ctx, q.ID)
	if errors.Is(err, ErrNoMeeting) {
		return answer{}, nil
	}
	r := &record{Meeting: read.Meeting, AsOf: read.AsOf, ReadAt: read.ReadAt, Gaps: read.Gaps}
	for _, p := range slices.Concat(read.Attendees, read.Waited) {
		r.Stays = append(r.Stays, p.Stays...)
	}
	return answer{Found: true, Record: r}, err
}

// logRead records that personal data was read, once for each read.
func (a *Archive) logRead(ctx context.Context, q question) error {
	if q.Read != "" && !a.reads.add(q.Read) {
		return nil
	}
	return a.recorder.cfg.Store.LogAccess(ctx, q.Caller.Key, q.Ask, q.ID, q.UserID)
}

// recent is a bounded set that forgets the oldest. It is safe for concurrent use.
type recent struct {
	// mu protects what follows.
	mu  sync.Mutex
	all map[string]bool
	old map[string]bool
}

// add adds a name and reports whether it is new.
func (r *recent) add(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[name] || r.old[name] {
		return false
	}
	if r.all == nil || len(r.all) >= 1000 {
		r.all, r.old = make(map[string]bool), r.all
	}
	r.all[name] = true
	return true
}
