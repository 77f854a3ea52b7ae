package api

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// The clock of the history.
const (
	// historyStep is the length of a step, and maxSteps the number of steps in an hour.
	historyStep = 15 * time.Second
	maxSteps    = int(time.Hour / historyStep)

	// sampleEvery is the interval of samples. After a gap of more than maxUnseen, the step is unknown.
	sampleEvery = time.Second
	maxUnseen   = 3 * sampleEvery
)

// lastHour is the number of rooms and people in the last hour, step by step. Its size is bounded.
//
// Each number is the maximum within its step, so that short peaks show.
// A step is known if each of its samples found all domains live, as event streams have it:
// the state of an earlier moment is no sample of this one.
type lastHour struct {
	directory *occupancy.Directory
	shard     string        // whose numbers these are, empty for all
	shards    *shardHours   // those of each shard; nil unless shard is empty
	every     time.Duration // sampleEvery; tests change it

	// What only Run uses: the step that has not ended yet, and the time of the last sample.
	current view.Step
	sampled time.Time

	// mu protects what follows.
	mu    sync.Mutex
	steps []view.Step
	end   time.Time // of the last step
}

// newLastHour returns a lastHour that begins with the first step after Run does.
func newLastHour(directory *occupancy.Directory) *lastHour {
	return &lastHour{
		directory: directory, shards: newShardHours(directory), every: sampleEvery,
		steps: make([]view.Step, 0, maxSteps), end: time.Now().Truncate(historyStep),
	}
}

// Run takes samples until ctx ends, and returns nil.
func (h *lastHour) Run(ctx context.Context) error {
	next := time.NewTicker(h.every)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			h.sample(time.Now())
		}
	}
}

// sample takes a sample.
func (h *lastHour) sample(now time.Time) {
	now = now.Round(0) // the wall clock only: the monotonic clock stops while a machine sleeps
	unseen := now.Sub(h.sampled)
	h.sampled = now
	seen := h.count()
	if unseen < 0 || unseen > maxUnseen {
		h.current.Known, seen.Known = false, false
	}
	h.endSteps(now.Truncate(historyStep))
	raise(&h.current, seen)
	if h.shards != nil {
		h.shards.sample(now)
	}
}

// count returns the current numbers.
func (h *lastHour) count() view.Step {
	all, err := h.totals()
	if err != nil {
		return view.Step{}
	}
	now := view.Step{Known: true}
	for _, totals := range all {
		if totals.Type == occupancy.RoomMain {
			now.Rooms += totals.Rooms
			now.People += totals.Counts.People()
		}
	}
	return now
}

// totals returns the present totals, or an error unless all domains are live.
func (h *lastHour) totals() ([]occupancy.Totals, error) {
	if h.shard == "" {
		return h.directory.LiveTotals()
	}
	shard := h.directory.Shard(h.shard)
	if shard == nil {
		return nil, occupancy.ErrNoShard
	}
	return shard.LiveTotals()
}

// endSteps ends the steps before end.
func (h *lastHour) endSteps(end time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if end.Equal(h.end) {
		return
	}
	if n := end.Sub(h.end) / historyStep; n < 0 || n > time.Duration(maxSteps) {
		h.steps, h.end, h.current = h.steps[:0], end, view.Step{} // the clock was set, or the machine slept
		return
	}
	for ; h.end.Before(end); h.end = h.end.Add(historyStep) {
		if len(h.steps) == maxSteps {
			h.steps = slices.Delete(h.steps, 0, 1)
		}
		if h.current.Known || len(h.steps) > 0 { // leave out unknown steps at the beginning
			h.steps = append(h.steps, h.current)
		}
		h.current = view.Step{}
	}
	h.current.Known = true // until a sample finds otherwise
}

// raise makes s the maxima of itself and a sample.
func raise(s *view.Step, sample view.Step) {
	s.Known = s.Known && sample.Known
	s.Rooms = max(s.Rooms, sample.Rooms)
	s.People = max(s.People, sample.People)
}

// read returns the steps, which the caller owns, and the end of the last one.
func (h *lastHour) read() (steps []view.Step, end time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.steps), h.end
}

// getStatsHistory handles "GET /api/stats/history".
func (s *Server) getStatsHistory(w *response, r *http.Request) error {
	q, err := parseQuery(r, "range", "shard")
	if err != nil {
		return err
	}
	name := q.choice("range", "1h", "24h", "7d", "30d", "1y")
	shard, err := s.shardParameter(w, q)
	switch {
	case err != nil:
		return err
	case w.grant.Limited():
		return errTotalsNotAllowed
	case name != "1h" && shard != "":
		return badParameter("shard: only the last hour has numbers of single shards: leave out range")
	case name != "1h":
		return s.writeStatsRange(w, r, name)
	}
	steps, end := s.lastHour.of(shard).read()
	doc := view.NewStatsHistory(steps, historyStep, end)
	v := newValidators(s.etags.of(view.Marshal(doc)), end)
	if v.matches(r) {
		return v.writeNotModified(w)
	}
	v.set(w)
	return writeJSON(w, http.StatusOK, doc)
}

// errTotalsNotAllowed keeps totals from keys that are limited to some rooms: totals reveal something about the other rooms.
var errTotalsNotAllowed = &problem{kind: kindRoomNotAllowed, detail: "Totals are not available to an API key that is limited to some rooms."}

// getStats handles "GET /api/stats".
func (s *Server) getStats(w *response, r *http.Request) error {
	q, err := parseQuery(r, "shard")
	if err != nil {
		return err
	}
	shard, err := s.shardParameter(w, q)
	switch {
	case err != nil:
		return err
	case w.grant.Limited():
		return errTotalsNotAllowed
	}
	surveys, err := s.cfg.Directory.Stats(occupancy.Query{Shard: shard})
	if err != nil {
		return err
	}
	doc := view.NewStats(surveys, s.cfg.Names)
	doc.Shard = view.OrNull(shard)
	if shard == "" {
		doc.Shards = s.shardTotals()
	}
	return writeJSON(w, http.StatusOK, doc)
}

// shardTotals returns the totals of each shard.
func (s *Server) shardTotals() []view.ShardTotals {
	var all []view.ShardTotals
	for _, shard := range s.cfg.Directory.Shards() {
		doc := view.ShardTotals{Shard: shard.Name(), Kind: shard.Kind()}
		for _, d := range shard.Domains() {
			if d.Type != occupancy.RoomMain {
				continue
			}
			totals, err := shard.Totals(d.JID)
			if err != nil {
				doc.Rooms, doc.ParticipantCount, doc.Visitors, doc.AsOf = nil, nil, nil, nil
				break
			}
			doc.Add(totals)
		}
		all = append(all, doc)
	}
	return all
}
