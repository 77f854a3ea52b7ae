package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// sample is what was measured again and again, in the order of time.
type sample []float64

// noisy is how far what was measured may lie apart, as a share of its median, before the table says that it did.
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

// spread is the distance between the least and the most, as a share of the median.
func (s sample) spread() float64 {
	return (slices.Max(s) - slices.Min(s)) / math.Abs(s.median())
}

// pairs computes something of each pair of two samples that were taken by turns.
func pairs(a, b sample, of func(a, b float64) float64) sample {
	all := make(sample, min(len(a), len(b)))
	for i := range all {
		all[i] = of(a[i], b[i])
	}
	return all
}

// ratios says how many times the other each is, pair by pair: what slowed a machine down for a while is in both.
func ratios(a, b sample) sample { return pairs(a, b, func(a, b float64) float64 { return a / b }) }

func differences(a, b sample) sample { return pairs(a, b, func(a, b float64) float64 { return a - b }) }

// String tells the median, and between which values it lies.
func (s sample) String() string {
	switch {
	case len(s) == 0:
		return ""
	case len(s) == 1:
		return figure(s[0])
	}
	return figure(s.median()) + " (" + figure(slices.Min(s)) + " to " + figure(slices.Max(s)) + ")"
}

// figure has three significant digits, and commas between thousands.
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

// goal is what the project wants of a row. It is judged by the median.
type goal struct {
	// Of is what is judged: "value", which is PPCH's own, "ratio" to the other's,
	// or "excess", which is PPCH's own over nothing: met if that can't be told from 0, since the least of it isn't above.
	Of      string   `json:"of"`
	AtLeast *float64 `json:"at_least,omitempty"`
	AtMost  *float64 `json:"at_most,omitempty"`
}

// atLeast is of the ratio, the only one of which there is more to be wanted.
func atLeast(v float64) *goal           { return &goal{Of: "ratio", AtLeast: &v} }
func atMost(of string, v float64) *goal { return &goal{Of: of, AtMost: &v} }
func noExcess() *goal                   { return &goal{Of: "excess"} }

// judge says whether the goal is met.
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

// figureShort is a figure that somebody wrote, not one that was measured.
func figureShort(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
