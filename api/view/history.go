package view

import "time"

// PerStep is one number for each step, nil (null) for unknown ones.
type PerStep []*int

// StatsHistory is the number of meetings and of people in them in each step of the last hour: "GET /api/stats/history".
type StatsHistory struct {
	StepSeconds      int     `json:"step_seconds"`
	Rooms            PerStep `json:"rooms"`
	ParticipantCount PerStep `json:"participant_count"`
	From             string  `json:"from"`
	AsOf             string  `json:"as_of"`
}

// Step is the peak of each number within one step. The zero Step is unknown.
type Step struct {
	Known         bool
	Rooms, People int
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
func perStep(steps []Step, number func(Step) int) PerStep {
	all := make(PerStep, len(steps))
	for i, s := range steps {
		if s.Known {
			all[i] = new(number(s))
		}
	}
	return all
}
