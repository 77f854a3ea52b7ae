package api

import (
	"context"
	"slices"
	"sync"
	"time"

	"ppch/component/occupancy"
)

// The clock of the history.
const (
	// historyStep is what one number stands for, maxSteps how many there are: an hour.
	historyStep = 15 * time.Second
	maxSteps    = int(time.Hour / historyStep)

	// sampleEvery is how often the history looks how many there are.
	// After maxUnseen without a look nobody can say what went on meanwhile.
	sampleEvery = time.Second
	maxUnseen   = 3 * sampleEvery
)

// history is how many rooms and people there were in the last hour, step by step. Its size is bounded.
//
// A number is the most that there was within its step, so that a peak shows which is over before the step is.
// A step is known if each sample in it found all domains live, as event streams have it:
// what was true at an earlier moment is no sample of this one.
type history struct {
	directory *occupancy.Directory
	every     time.Duration // sampleEvery, but for tests

	// What only Run uses: the step that isn't over yet, and when it was last looked at.
	begun  step
	looked time.Time

	// mu protects what follows.
	mu    sync.Mutex
	steps []step
	over  time.Time // when the last of steps was
	turns uint64    // how often that has changed
}

// step is the most that there was of everything within some time, each for itself. The zero step isn't known.
type step struct {
	known                 bool
	main, breakout, lobby most
}

// most is the most that there was in all rooms of one type.
type most struct {
	rooms, people int
	counts        occupancy.Counts
}

// newHistory returns one that begins with the first step after Run does.
func newHistory(directory *occupancy.Directory) *history {
	return &history{
		directory: directory, every: sampleEvery,
		steps: make([]step, 0, maxSteps), over: time.Now().Truncate(historyStep),
	}
}

// Run looks how many there are until ctx ends, and returns nil.
func (h *history) Run(ctx context.Context) error {
	next := time.NewTicker(h.every)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			h.look(time.Now())
		}
	}
}

// look takes in how many there are now.
func (h *history) look(now time.Time) {
	now = now.Round(0) // the clock on the wall alone: the other one stands still while a machine sleeps
	unseen := now.Sub(h.looked)
	h.looked = now
	seen := h.count()
	if unseen < 0 || unseen > maxUnseen {
		h.begun.known, seen.known = false, false
	}
	h.turn(now.Truncate(historyStep))
	h.begun.raise(seen)
}

// count returns how many there are.
func (h *history) count() step {
	all, err := h.directory.LiveTotals()
	if err != nil {
		return step{}
	}
	now := step{known: true}
	for _, totals := range all {
		now.of(totals.Type).add(totals)
	}
	return now
}

// turn ends the steps that have been over by then.
func (h *history) turn(over time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if over.Equal(h.over) {
		return
	}
	h.turns++
	if n := over.Sub(h.over) / historyStep; n < 0 || n > time.Duration(maxSteps) {
		h.steps, h.over, h.begun = h.steps[:0], over, step{} // the clock was set, or stood still for long
		return
	}
	for ; h.over.Before(over); h.over = h.over.Add(historyStep) {
		if len(h.steps) == maxSteps {
			h.steps = slices.Delete(h.steps, 0, 1)
		}
		if h.begun.known || len(h.steps) > 0 { // it begins with something
			h.steps = append(h.steps, h.begun)
		}
		h.begun = step{}
	}
	h.begun.known = true // until a look finds otherwise
}

// raise makes s the most of itself and what there is now.
func (s *step) raise(now step) {
	s.known = s.known && now.known
	for _, t := range []occupancy.RoomType{occupancy.RoomMain, occupancy.RoomBreakout, occupancy.RoomLobby} {
		s.of(t).raise(*now.of(t))
	}
}

// of returns what s has of one type of rooms.
func (s *step) of(t occupancy.RoomType) *most {
	switch t {
	case occupancy.RoomBreakout:
		return &s.breakout
	case occupancy.RoomLobby:
		return &s.lobby
	}
	return &s.main
}

func (m *most) add(totals occupancy.Totals) {
	m.rooms += totals.Rooms
	m.people += totals.Counts.People()
	for i, n := range totals.Counts {
		m.counts[i] += n
	}
}

func (m *most) raise(now most) {
	m.rooms = max(m.rooms, now.rooms)
	m.people = max(m.people, now.people)
	for i, n := range now.counts {
		m.counts[i] = max(m.counts[i], n)
	}
}

// told returns the steps, which the caller owns, when the last of them was over, and a number that is another whenever these are.
func (h *history) told() (steps []step, over time.Time, turns uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.steps), h.over, h.turns
}
