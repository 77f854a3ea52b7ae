package view

import (
	"math"
	"time"
)

// StepPeaks is one number for each step, nil (null) for unknown ones.
type StepPeaks []*int

// StatsHistory is the number of meetings and of people in them in each step of the last hour or of a longer range: "GET /api/stats/history".
type StatsHistory struct {
	StepSeconds      int       `json:"step_seconds"`
	Rooms            StepPeaks `json:"rooms"`
	ParticipantCount StepPeaks `json:"participant_count"`
	From             string    `json:"from"`
	AsOf             string    `json:"as_of"`

	// Watched is the watched part of each step, from 0 to 1; nil (null) for the last hour, whose steps are known as a whole or not at all.
	Watched []float64 `json:"watched"`

	// Exact is whether the numbers are peaks of all shards together; otherwise they are sums of the peaks of each shard within the step,
	// which may be higher. It is nil (left out) for the last hour, which is always exact.
	Exact *bool `json:"exact,omitempty"`

	Unanswered []Unanswered `json:"unanswered,omitempty"`
}

// Step is the peak of each number within one step. The zero Step is unknown.
type Step struct {
	Known         bool
	Rooms, People int
	Watched       float64 // the known part; for NewStatsRange only
}

// NewStatsHistory returns the document for steps of this length; the last one ended at end.
func NewStatsHistory(steps []Step, length time.Duration, end time.Time) StatsHistory {
	return StatsHistory{
		StepSeconds:      int(length / time.Second),
		Rooms:            perStep(steps, func(s Step) int { return s.Rooms }),
		ParticipantCount: perStep(steps, func(s Step) int { return s.People }),
		From:             FormatTime(end.Add(-time.Duration(len(steps)) * length)),
		AsOf:             FormatTime(end),
	}
}

// perStep returns one number of each step.
func perStep(steps []Step, number func(Step) int) StepPeaks {
	all := make(StepPeaks, len(steps))
	for i, s := range steps {
		if s.Known {
			all[i] = new(number(s))
		}
	}
	return all
}

// NewStatsRange is NewStatsHistory for steps that may be known in part.
func NewStatsRange(steps []Step, length time.Duration, end time.Time) StatsHistory {
	doc := NewStatsHistory(steps, length, end)
	doc.Watched = make([]float64, len(steps))
	for i, s := range steps {
		doc.Watched[i] = math.Round(s.Watched*1000) / 1000
	}
	return doc
}
