package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// sample holds repeated measurements in order of time.
type sample []float64

// noisy is the spread, as a share of the median, above which the table calls a row noisy.
const noisy = 0.25

func (s sample) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// spread is the distance between minimum and maximum, as a share of the median.
func (s sample) spread() float64 {
	return (slices.Max(s) - slices.Min(s)) / math.Abs(s.median())
}

// pairs applies of to each pair of two samples that were measured alternately.
func pairs(a, b sample, of func(a, b float64) float64) sample {
	all := make(sample, min(len(a), len(b)))
	for i := range all {
		all[i] = of(a[i], b[i])
	}
	return all
}

// ratios divides a by b, pair by pair: a machine that is slow for a moment slows both sides.
func ratios(a, b sample) sample { return pairs(a, b, func(a, b float64) float64 { return a / b }) }

func differences(a, b sample) sample { return pairs(a, b, func(a, b float64) float64 { return a - b }) }

// String returns the median with minimum and maximum.
func (s sample) String() string {
	switch {
	case len(s) == 0:
		return ""
	case len(s) == 1:
		return figure(s[0])
	}
	return figure(s.median()) + " (" + figure(slices.Min(s)) + " to " + figure(slices.Max(s)) + ")"
}

// figure formats v with three significant digits and commas between thousands.
func figure(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "?"
	}
	digits := 0
	if v != 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	}
	text := strconv.FormatFloat(v, 'f', min(digits, 3), 64)
	whole, fraction, dot := strings.Cut(text, ".")
	sign := ""
	if rest, ok := strings.CutPrefix(whole, "-"); ok {
		sign, whole = "-", rest
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		whole += "." + fraction
	}
	if strings.Trim(whole, "0.,") == "" {
		return "0" // never -0.000
	}
	return sign + whole
}

// goal is the target for a row, judged by the median.
type goal struct {
	// Of is the judged quantity: "value" is PPCH's own figure, "ratio" its ratio to the peer's,
	// and "excess" its cost above idle, which meets the goal if its minimum is not above 0: it then can't be distinguished from 0.
	Of      string   `json:"of"`
	AtLeast *float64 `json:"at_least,omitempty"`
	AtMost  *float64 `json:"at_most,omitempty"`
}

// atLeast applies to the ratio: a value or an excess has no lower target.
func atLeast(v float64) *goal           { return &goal{Of: "ratio", AtLeast: &v} }
func atMost(of string, v float64) *goal { return &goal{Of: of, AtMost: &v} }
func noExcess() *goal                   { return &goal{Of: "excess"} }

// judge reports whether r meets the goal.
func (g *goal) judge(r row) bool {
	v := r.PPCH.median()
	switch g.Of {
	case "ratio":
		v = r.ratios().median()
	case "excess":
		return slices.Min(r.PPCH) <= 0
	}
	if g.AtLeast != nil {
		return v >= *g.AtLeast
	}
	return v <= *g.AtMost
}

func (g *goal) String() string {
	switch {
	case g.Of == "excess":
		return "none measurable"
	case g.AtLeast != nil:
		return "≥ " + figureShort(*g.AtLeast)
	default:
		return "≤ " + figureShort(*g.AtMost)
	}
}

// figureShort formats a figure from the source code, such as a goal, with all its digits.
func figureShort(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
