package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

func TestRow_ShowsMedianRangeRatioAndGoal(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		in   row
		want string
	}{
		"a goal that is met": {
			row{What: "reads", Unit: "per s", PPCH: sample{1000, 1200, 1100}, Peer: "other", Other: sample{100, 100, 100}, Goal: atLeast(10)},
			"| reads, per s | 1,100 (1,000 to 1,200) | other: 100 (100 to 100) | 11.0 (10.0 to 12.0) | ≥ 10: met |",
		},
		"the ratio compares pairs, so a moment that slows both does not count": {
			row{What: "reads", PPCH: sample{100, 10, 100}, Peer: "other", Other: sample{50, 5, 50}, Goal: atLeast(2)},
			"| reads | 100 (10.0 to 100) | other: 50.0 (5.00 to 50.0) | 2.00 (2.00 to 2.00) | ≥ 2: met |",
		},
		"the median of the pairs' ratios, not the ratio of the medians": {
			row{What: "reads", PPCH: sample{10, 100, 30}, Peer: "other", Other: sample{1, 20, 10}, Goal: atLeast(5)},
			"| reads | 30.0 (10.0 to 100) | other: 10.0 (1.00 to 20.0) | 5.00 (3.00 to 10.0) | ≥ 5: met; noisy: spread 140 % |",
		},
		"a peer, with the limit's ratio to it": {
			row{What: "reads", PPCH: sample{30, 33}, Peer: "peer", Other: sample{10, 11}, Goal: atLeast(1), Limit: sample{3.5, 3.7}},
			"| reads | 31.5 (30.0 to 33.0) | peer: 10.5 (10.0 to 11.0) | 3.00 (3.00 to 3.00) | ≥ 1: met; the limit is 3.60 (3.50 to 3.70) |",
		},
		"a goal that is missed": {
			row{What: "start", Unit: "ms", PPCH: sample{151, 151}, Goal: atMost("value", 150)},
			"| start, ms | 151 (151 to 151) |  |  | ≤ 150: **missed** |",
		},
		"a noisy run": {
			row{What: "start", Unit: "ms", PPCH: sample{100, 90, 120}, Goal: atMost("value", 150)},
			"| start, ms | 100 (90.0 to 120) |  |  | ≤ 150: met; noisy: spread 30 % |",
		},
		"a cost that can't be distinguished from 0": {
			row{What: "cost", PPCH: sample{-0.01, 0.02, 0.01}, Peer: "other", Other: sample{200, 220, 210}, Goal: noExcess()},
			"| cost | 0.010 (-0.010 to 0.020) | other: 210 (200 to 220) |  | none measurable: met |",
		},
		"a cost": {
			row{What: "cost", PPCH: sample{0.01, 0.02, 0.01}, Goal: noExcess()},
			"| cost | 0.010 (0.010 to 0.020) |  |  | none measurable: **missed** |",
		},
		"no ratio to 0": {
			row{What: "cost", PPCH: sample{0, 0}, Peer: "other", Other: sample{0, 0}},
			"| cost | 0 (0 to 0) | other: 0 (0 to 0) |  |  |",
		},
		"a peer that is not installed": {
			row{What: "reads", Unit: "per s", Peer: "ejabberd"}.missing(fmt.Errorf("%w\n| here", errNoEjabberd)),
			"| reads, per s | not measured | ejabberd |  | ejabberd is not installed / here |",
		},
	} {
		if got := c.in.line(); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", what, got, c.want)
		}
	}
}

func TestFigure_HasThreeDigitsAndCommas(t *testing.T) {
	t.Parallel()
	for in, want := range map[float64]string{
		1234567: "1,234,567", 15776.4: "15,776", 999.6: "1,000", 12.345: "12.3", 1.2345: "1.23", 0.01234: "0.012", 0.0001: "0", -1234: "-1,234", 0: "0",
	} {
		if got := figure(in); got != want {
			t.Errorf("%v: got %s want %s", in, got, want)
		}
	}
}

func TestTrial_NamesMissingToolsInTheTable(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var out bytes.Buffer
	s := &session{ctx: t.Context(), out: &out, plan: planFor(true), dir: t.TempDir(), versions: map[string]string{}}
	if err := s.run(reads); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "| all reads | not measured |  |  | wrk is not installed |") {
		t.Errorf("got\n%s", out.String())
	}
	if err := s.run(func(t *trial) { _, err := t.ejabberd(1, 1); t.check(err) }); !errors.Is(err, errNoEjabberd) {
		t.Errorf("got %v want %v", err, errNoEjabberd)
	}
}

func TestTrial_FailureRunsCleanups(t *testing.T) {
	t.Parallel()
	var undone []int
	s := &session{ctx: t.Context(), out: t.Output()}
	err := s.run(func(t *trial) {
		t.cleanup(func() { undone = append(undone, 1) })
		t.cleanup(func() { undone = append(undone, 2) })
		t.check(os.ErrDeadlineExceeded)
		undone = nil
	})
	if !errors.Is(err, os.ErrDeadlineExceeded) || !slices.Equal(undone, []int{2, 1}) {
		t.Errorf("got %v and %v undone", err, undone)
	}
}

func TestTrial_ComparisonsAlternate(t *testing.T) {
	t.Parallel()
	order := ""
	s := &session{ctx: t.Context()}
	err := s.run(func(t *trial) {
		a, b := t.alternate(3, func() []float64 { order += "A"; return []float64{1, 2} }, func() []float64 { order += "B"; return []float64{3, 4} })
		if len(a) != 2 || len(b[1]) != 3 || b[1][2] != 4 {
			order += "?"
		}
	})
	if order != "ABABAB" || err != nil {
		t.Errorf("got %s, %v", order, err)
	}
}

// The shortest benchmark runs as in make bench: it builds the service and starts it with a real Prosody.
func TestCommand_MeasuresStartsWithARealProsody(t *testing.T) {
	t.Parallel()
	prosodytest.New(t, prosodytest.Options{}) // skips or fails without a Prosody
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs([]string{"--quick", "--only", "start"})
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	componenttest.Has(t, out.String(), "| from its start until it is ready", "≤ 150", "| its size", "of 1 goals met")
}

func TestCommand_RefusesUnknownBenchmarks(t *testing.T) {
	t.Parallel()
	cmd := newCommand()
	cmd.SetArgs([]string{"--quick", "--only", "raeds"})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), `no benchmark matches "raeds"; available: reads, joins, `) {
		t.Errorf("got %v want a list of the benchmarks", err)
	}
}
