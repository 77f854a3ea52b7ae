package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// chapters are what can be measured, in this order.
var chapters = []struct {
	name    string
	measure func(*trial)
}{
	{"reads", reads},
	{"joins", joins},
	{"costs", costs},
	{"freshness", freshness},
	{"snapshot", snapshots},
	{"frozen", frozen},
	{"subscribers", subscribers},
	{"start", starts},
}

func newCommand() *cobra.Command {
	var quick, write bool
	var only, cell string
	var prosodies []string
	cmd := &cobra.Command{
		Use:   "ppch-bench",
		Short: "Compare PPCH with its peers on this machine",
		Example: `  ppch-bench --quick
  ppch-bench --only 'reads|start'
  ppch-bench --only costs --cell 'rooms, 200 a second, .* cache 10000, 1 subscriber'
  ppch-bench --write`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, err := regexp.Compile("^(" + only + ")")
			if err != nil {
				return fmt.Errorf("--only: %w", err)
			}
			cells, err := regexp.Compile(cell)
			if err != nil {
				return fmt.Errorf("--cell: %w", err)
			}
			p := planFor(quick)
			p.prosodies = prosodies
			if cell != "" {
				p.cells = cells
			}
			var names []string
			for _, c := range chapters {
				names = append(names, c.name)
			}
			if !slices.ContainsFunc(names, wanted.MatchString) {
				return fmt.Errorf("--only: no chapter begins like %q: there are %s", only, strings.Join(names, ", "))
			}
			r, err := measure(cmd.Context(), cmd.OutOrStdout(), p, wanted)
			if write && r.Tables != nil {
				err = errors.Join(err, r.write())
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&quick, "quick", false, "two minutes: fewer pairs, less people")
	cmd.Flags().BoolVar(&write, "write", false, "write "+readmeFile+"'s table and "+resultsFile+", from the project's folder")
	cmd.Flags().StringVar(&only, "only", "", "only the chapters whose names begin like this, a regular expression")
	cmd.Flags().StringVar(&cell, "cell", "", "only the cells of the chapter costs whose names match this regular expression, of all there are")
	cmd.Flags().StringArrayVar(&prosodies, "prosody", []string{""}, "a Prosody's executable that the chapter costs measures, may be repeated; empty is the one that is installed")
	cmd.MarkFlagsMutuallyExclusive("quick", "write")
	cmd.MarkFlagsMutuallyExclusive("only", "write")
	cmd.AddCommand(newBare())
	return cmd
}

// measure runs the chapters. One that fails is a row that says why, and an error in the end, and the others are measured all the same.
// Without results the run was stopped, or could not begin.
func measure(ctx context.Context, out io.Writer, p plan, wanted *regexp.Regexp) (results, error) {
	dir, err := os.MkdirTemp("", "ppch-bench-")
	if err != nil {
		return results{}, err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	s := &session{ctx: ctx, out: out, plan: p, dir: dir, program: filepath.Join(dir, "ppch"), versions: map[string]string{}}
	if err := s.build(); err != nil {
		return results{}, err
	}
	var failed []string
	for _, c := range chapters {
		if !wanted.MatchString(c.name) {
			continue
		}
		if err := s.run(c.measure); err != nil {
			if ctx.Err() != nil {
				return results{}, ctx.Err()
			}
			(&trial{session: s}).row(row{What: c.name}.missing(err))
			failed = append(failed, c.name)
		}
	}
	r := results{
		Date: began.Format(time.DateOnly), Cores: runtime.NumCPU(), Processor: processor(), Versions: s.measured(), Tables: s.tables,
	}
	missed, all := r.missed()
	fmt.Fprintf(out, "\n%d of %d goals are met. Measured in %s.\n", all-missed, all, time.Since(began).Round(time.Second))
	if len(failed) > 0 {
		return r, fmt.Errorf("not measured: %s", strings.Join(failed, ", "))
	}
	return r, nil
}

// build builds the service as the image has it (Dockerfile).
func (s *session) build() error {
	cmd := exec.CommandContext(s.ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", s.program, "ppch/cmd/ppch") // #nosec G204 -- the path is one of ours
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// processor is what the machine calls its processor.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
