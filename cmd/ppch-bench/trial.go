package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"ppch/prosody/prosodytest"
)

// plan sets how much to measure.
type plan struct {
	pairs       int
	peers       int           // pairs in comparisons with peers
	turns       int           // turns for each figure of joins
	joined      int           // people who join in each of those turns, ten to a room
	turn        time.Duration // length of a turn with continuous load; whole seconds, for wrk
	rest        time.Duration // pause for garbage collection
	connections []int
	occupants   []int // on each server, ten to a room
	rates       []int // joins per second
	joins       int   // joins for each figure of freshness
	streams     []int
	frozen      time.Duration
	prosodies   []string       // executables for the benchmark costs
	cells       *regexp.Regexp // selects cells of costs; nil selects the default ones
	operations  int            // maximum for each figure of costs
	shard       int            // occupants of each shard of the benchmark cluster
}

func planFor(quick bool) plan {
	if quick {
		return plan{
			pairs: 2, peers: 1, turns: 2, joined: 200, turn: time.Second, rest: time.Second, connections: []int{16}, occupants: []int{1000, 10_000},
			rates: []int{200}, joins: 100, streams: []int{500}, frozen: time.Second,
			operations: 100, shard: 5000,
		}
	}
	return plan{
		pairs: 5, peers: 5, turns: 4, joined: 1000, turn: 3 * time.Second, rest: 5 * time.Second, connections: []int{16, 256}, occupants: []int{1000, 10_000, 100_000},
		rates: []int{50, 200}, joins: 300, streams: []int{1000, 5000}, frozen: 10 * time.Second,
		operations: 1000, shard: 50_000,
	}
}

// session is one run of the program.
type session struct {
	ctx      context.Context
	out      io.Writer
	plan     plan
	dir      string
	program  string            // the service's executable
	versions map[string]string // by name of the measured program
	tables   []table
}

// measured lists the measured programs with their versions.
func (s *session) measured() string {
	all := []string{strings.Replace(runtime.Version(), "go", "Go ", 1)}
	for _, name := range slices.Sorted(maps.Keys(s.versions)) {
		all = append(all, name+" "+s.versions[name])
	}
	return strings.Join(all, ", ")
}

// trial is one run of a benchmark. As in a test, a failure ends it and runs its cleanups.
// Only the goroutine of the benchmark may call its methods.
type trial struct {
	*session
	undo []func()
}

// failure is the panic value that ends a trial.
type failure struct{ error }

// run runs one benchmark.
func (s *session) run(measure func(*trial)) error {
	t := &trial{session: s}
	defer func() {
		for _, undo := range slices.Backward(t.undo) {
			undo()
		}
	}()
	if err := t.try(func() { measure(t) }); err != nil {
		return err
	}
	return s.ctx.Err()
}

// try calls do and returns its failure instead of ending the trial.
func (t *trial) try(do func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = f.error
		}
	}()
	do()
	return nil
}

func (t *trial) cleanup(undo func()) { t.undo = append(t.undo, undo) }

// check ends the trial if there is an error.
func (t *trial) check(err error) {
	if err == nil {
		err = t.ctx.Err()
	}
	if err != nil {
		panic(failure{err})
	}
}

// must returns v and ends the trial if there is an error.
func must[T any](v T, err error) func(*trial) T {
	return func(t *trial) T {
		t.check(err)
		return v
	}
}

// title begins a table.
func (t *trial) title(title string) {
	t.tables = append(t.tables, table{Title: title})
	fmt.Fprintf(t.out, "\n%s\n", t.tables[len(t.tables)-1].head())
}

// row adds a row to the table and prints it.
func (t *trial) row(r row) {
	last := &t.tables[len(t.tables)-1]
	last.Rows = append(last.Rows, r)
	fmt.Fprintln(t.out, r.line())
}

// alternate calls a and b in turn, A B A B, the given number of times. Each call returns one or more figures; the results have a sample for each figure.
func (t *trial) alternate(times int, a, b func() []float64) (ours, others []sample) {
	add := func(to []sample, figures []float64) []sample {
		if to == nil {
			to = make([]sample, len(figures))
		}
		for i, v := range figures {
			to[i] = append(to[i], v)
		}
		return to
	}
	for range times {
		ours = add(ours, a())
		others = add(others, b())
		t.check(nil)
	}
	return ours, others
}

// sleep waits, unless the run is stopped.
func (t *trial) sleep(d time.Duration) {
	select {
	case <-t.ctx.Done():
		t.check(t.ctx.Err())
	case <-time.After(d):
	}
}

// prosody starts a Prosody that runs until the end of the benchmark.
func (t *trial) prosody(o prosodytest.Options) *prosodytest.Server {
	srv := must(prosodytest.Start(t.ctx, o))(t)
	t.cleanup(func() { _ = srv.Close() })
	t.versions["Prosody"] = srv.Version()
	return srv
}

// fullProsody starts a Prosody with rooms of each people.
func (t *trial) fullProsody(rooms, each int, o prosodytest.Options) *prosodytest.Server {
	srv := t.prosody(o)
	ctx, cancel := context.WithTimeout(t.ctx, 2*time.Minute)
	defer cancel()
	t.check(srv.Populate(ctx, rooms, each))
	return srv
}

// churn prepares people who join and leave rooms on a server.
func (t *trial) churn(srv *prosodytest.Server, cast *prosodytest.Cast, rooms, people int) *prosodytest.Churn {
	c := must(srv.Churn(t.ctx, cast, rooms, people))(t)
	t.cleanup(func() { _ = c.Close() })
	return c
}

// megabytes returns the size of a file.
func (t *trial) megabytes(file string) float64 {
	return float64(must(os.Stat(file))(t).Size()) / 1e6
}
