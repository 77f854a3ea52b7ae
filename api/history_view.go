package api

import (
	"hash/maphash"
	"net/http"
	"slices"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// perStep is one number for each step, null where that isn't known.
type perStep []*int

// historyView has the statistics of each step of the last hour.
type historyView struct {
	StepSeconds      int                        `json:"step_seconds"`
	Rooms            perStep                    `json:"rooms"`
	ParticipantCount perStep                    `json:"participant_count"`
	Counts           map[occupancy.Kind]perStep `json:"counts"`
	Breakout         *totalHistoryView          `json:"breakout"`
	Lobby            *totalHistoryView          `json:"lobby"`
	From             string                     `json:"from"`
	AsOf             string                     `json:"as_of"`
}

// totalHistoryView has the totals of each step.
type totalHistoryView struct {
	Rooms            perStep `json:"rooms"`
	ParticipantCount perStep `json:"participant_count"`
}

// getStatsHistory handles "GET /api/stats/history".
func (s *Server) getStatsHistory(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	if exchangeOf(w).grant.Limited() {
		return errTotalsNotAllowed
	}
	steps, over, turns := s.history.told()
	v := newValidators(etag(maphash.Comparable(etagSeed, turns)), over)
	if v.hold(r) {
		return v.writeUnchanged(w)
	}
	v.set(w)
	return writeJSON(w, http.StatusOK, newHistoryView(steps, over, s.directory.Domains()))
}

func newHistoryView(steps []step, over time.Time, domains []occupancy.Domain) historyView {
	doc := historyView{
		StepSeconds:      int(historyStep / time.Second),
		Rooms:            perStepOf(steps, func(s step) int { return s.main.rooms }),
		ParticipantCount: perStepOf(steps, func(s step) int { return s.main.people }),
		Counts:           map[occupancy.Kind]perStep{},
		From:             over.Add(-time.Duration(len(steps)) * historyStep).UTC().Format(view.Timestamp),
		AsOf:             over.UTC().Format(view.Timestamp),
	}
	for _, kind := range occupancy.Kinds() {
		if slices.ContainsFunc(steps, func(s step) bool { return s.known && s.main.counts.Of(kind) > 0 }) {
			doc.Counts[kind] = perStepOf(steps, func(s step) int { return s.main.counts.Of(kind) })
		}
	}
	for _, domain := range domains {
		switch domain.Type {
		case occupancy.RoomBreakout:
			doc.Breakout = new(newTotalHistoryView(steps, func(s step) most { return s.breakout }))
		case occupancy.RoomLobby:
			doc.Lobby = new(newTotalHistoryView(steps, func(s step) most { return s.lobby }))
		}
	}
	return doc
}

func newTotalHistoryView(steps []step, of func(step) most) totalHistoryView {
	return totalHistoryView{
		Rooms:            perStepOf(steps, func(s step) int { return of(s).rooms }),
		ParticipantCount: perStepOf(steps, func(s step) int { return of(s).people }),
	}
}

// perStepOf returns one number of each step.
func perStepOf(steps []step, number func(step) int) perStep {
	all := make(perStep, len(steps))
	for i, s := range steps {
		if s.known {
			all[i] = new(number(s))
		}
	}
	return all
}
