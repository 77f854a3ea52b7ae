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

// benchmarks lists all benchmarks in the order in which they run.
var benchmarks = []struct {
	name    string
	measure func(*trial)
}{
	{"reads", reads},
	{"joins", joins},
	{"costs", costs},
	{"freshness", freshness},
	{"snapshot", snapshots},
	{"frozen", frozen},
	{"webhooks", webhooks},
	{"subscribers", subscribers},
	{"cluster", clusters},
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
			for _, c := range benchmarks {
				names = append(names, c.name)
			}
			if !slices.ContainsFunc(names, wanted.MatchString) {
				return fmt.Errorf("--only: no benchmark matches %q; available: %s", only, strings.Join(names, ", "))
			}
			r, err := measure(cmd.Context(), cmd.OutOrStdout(), p, wanted)
			if !write || r.Tables == nil {
				return err
			}
			if only != "" {
				earlier, readErr := readResults()
				if readErr != nil {
					return errors.Join(err, readErr)
				}
				r = r.over(earlier)
			}
			return errors.Join(err, r.write())
		},
	}
	cmd.Flags().BoolVar(&quick, "quick", false, "two minutes: fewer pairs and people")
	cmd.Flags().BoolVar(&write, "write", false, "write the table of "+readmeFile+" and "+resultsFile+"; run it in the project's folder. With --only, the other benchmarks' tables stay")
	cmd.Flags().StringVar(&only, "only", "", "only benchmarks whose names start with this regular expression")
	cmd.Flags().StringVar(&cell, "cell", "", "only the cells of the benchmark costs whose names match this regular expression, out of all combinations")
	cmd.Flags().StringArrayVar(&prosodies, "prosody", []string{""}, "a Prosody executable for the benchmark costs; may be repeated; empty selects the installed one")
	cmd.MarkFlagsMutuallyExclusive("quick", "write")
	cmd.MarkFlagsMutuallyExclusive("cell", "write")
	cmd.AddCommand(newBare(), newPost())
	return cmd
}

// measure runs the benchmarks whose names match wanted. A failed one becomes a row with the reason and an error at the end; the others still run.
// The results are empty if the run was stopped or could not start.
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
	for _, c := range benchmarks {
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
	fmt.Fprintf(out, "\n%d of %d goals met. Measured in %s.\n", all-missed, all, time.Since(began).Round(time.Second))
	if len(failed) > 0 {
		return r, fmt.Errorf("not measured: %s", strings.Join(failed, ", "))
	}
	return r, nil
}

// build builds the service with the flags of the Dockerfile.
func (s *session) build() error {
	cmd := exec.CommandContext(s.ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", s.program, "ppch/cmd/ppch") // #nosec G204 -- the path is ours
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// processor returns the name of the machine's processor.
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
