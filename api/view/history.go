package view

import (
	"slices"
	"time"

	"ppch/component/occupancy"
)

// PerStep is one number for each step, nil (null) for unknown ones.
type PerStep []*int

// StatsHistory is the statistics of each step of the last hour: "GET /api/stats/history".
type StatsHistory struct {
	StepSeconds      int                        `json:"step_seconds"`
	Rooms            PerStep                    `json:"rooms"`
	ParticipantCount PerStep                    `json:"participant_count"`
	Counts           map[occupancy.Kind]PerStep `json:"counts"`
	Breakout         *TotalHistory              `json:"breakout"`
	Lobby            *TotalHistory              `json:"lobby"`
	From             string                     `json:"from"`
	AsOf             string                     `json:"as_of"`
}

// TotalHistory is the totals of each step.
type TotalHistory struct {
	Rooms            PerStep `json:"rooms"`
	ParticipantCount PerStep `json:"participant_count"`
}

// Step is the maxima within one step. The zero Step is unknown.
type Step struct {
	Known                 bool
	Main, Breakout, Lobby Maxima
}

// Maxima are the maxima in all rooms of one type, each number for itself.
type Maxima struct {
	Rooms, People int
	Counts        occupancy.Counts
}

// NewStatsHistory returns the document for steps of some length, of which the last ended at the time end.
func NewStatsHistory(steps []Step, length time.Duration, end time.Time, domains []occupancy.Domain) StatsHistory {
	doc := StatsHistory{
		StepSeconds:      int(length / time.Second),
		Rooms:            perStep(steps, func(s Step) int { return s.Main.Rooms }),
		ParticipantCount: perStep(steps, func(s Step) int { return s.Main.People }),
		Counts:           map[occupancy.Kind]PerStep{},
		From:             FormatTime(end.Add(-time.Duration(len(steps)) * length)),
		AsOf:             FormatTime(end),
	}
	for _, kind := range occupancy.Kinds() {
		if slices.ContainsFunc(steps, func(s Step) bool { return s.Known && s.Main.Counts.Of(kind) > 0 }) {
			doc.Counts[kind] = perStep(steps, func(s Step) int { return s.Main.Counts.Of(kind) })
		}
	}
	for _, domain := range domains {
		switch domain.Type {
		case occupancy.RoomBreakout:
			doc.Breakout = new(newTotalHistory(steps, func(s Step) Maxima { return s.Breakout }))
		case occupancy.RoomLobby:
			doc.Lobby = new(newTotalHistory(steps, func(s Step) Maxima { return s.Lobby }))
		}
	}
	return doc
}

func newTotalHistory(steps []Step, of func(Step) Maxima) TotalHistory {
	return TotalHistory{
		Rooms:            perStep(steps, func(s Step) int { return of(s).Rooms }),
		ParticipantCount: perStep(steps, func(s Step) int { return of(s).People }),
	}
}

// perStep returns one number of each step.
func perStep(steps []Step, number func(Step) int) PerStep {
	all := make(PerStep, len(steps))
	for i, s := range steps {
		if s.Known {
			all[i] = new(number(s))
		}
	}
	return all
}
