package api

import (
	"net/http"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// statsRange is a time of which "GET /api/stats/history" has the peaks.
type statsRange struct {
	name string
	span time.Duration
	step time.Duration // one of those that the store keeps that long
}

var statsRanges = []statsRange{
	{"24h", 24 * time.Hour, 5 * time.Minute},
	{"7d", 7 * 24 * time.Hour, time.Hour},
	{"30d", 30 * 24 * time.Hour, time.Hour},
	{"1y", 365 * 24 * time.Hour, 24 * time.Hour},
}

// writeStatsRange answers with the peaks of a range, as the store has them.
func (s *Server) writeStatsRange(w *response, r *http.Request, name string) error {
	var asked statsRange
	for _, known := range statsRanges {
		if known.name == name {
			asked = known
		}
	}
	now := time.Now()
	from := now.Add(-asked.span).Truncate(asked.step).Add(asked.step)
	peaks, exact, missing, err := s.cfg.Archive.Peaks(r.Context(), caller(w.grant), occupancy.RoomMain, asked.step, from)
	if err != nil {
		return err
	}
	steps := make([]view.Step, int(now.Sub(from)/asked.step)+1)
	for _, p := range peaks {
		i := int(p.At.Sub(from) / asked.step)
		if i < 0 || i >= len(steps) {
			continue
		}
		passed := max(time.Second, min(asked.step, now.Sub(p.At))) // the last step isn't over
		steps[i] = view.Step{Known: true, Rooms: p.Rooms, People: p.Participants, Watched: min(1, float64(p.Watched)/float64(passed))}
	}
	doc := view.NewStatsRange(steps, asked.step, from.Add(asked.step*time.Duration(len(steps))))
	doc.Exact, doc.Unanswered = &exact, view.NewUnanswered(missing)
	v := newValidators(s.etags.of(view.Marshal(doc)), now)
	if v.matches(r) {
		return v.writeNotModified(w)
	}
	v.set(w)
	return writeJSON(w, http.StatusOK, doc)
}
