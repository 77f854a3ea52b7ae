package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// Set by the linker: -ldflags "-X main.version=… -X main.commit=… -X main.date=…".
// The image needs all three; otherwise the Go command records the last two.
var (
	version = "2.0.0-dev"
	commit  string // the full hash
	date    string // of the commit, RFC 3339
)

// newVersion returns "ppch version".
func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and commit and date if known",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from := ""
			if commit, built := builtFrom(); commit != "" {
				from = " (" + short(commit)
				if !built.IsZero() {
					from += ", " + built.Format(time.RFC3339)
				}
				from += ")"
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ppch %s%s %s %s/%s\n", version, from, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// short returns the abbreviated hash of a commit.
func short(commit string) string { return commit[:min(12, len(commit))] }

// builtFrom returns the commit that the program was built from and its date in UTC, or zero values if unknown.
// It is not the time of the build, so that builds are reproducible.
func builtFrom() (hash string, built time.Time) {
	recorded := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			recorded[s.Key] = s.Value
		}
	}
	hash = cmp.Or(commit, recorded["vcs.revision"])
	built, err := time.Parse(time.RFC3339, cmp.Or(date, recorded["vcs.time"]))
	if err != nil {
		return hash, time.Time{}
	}
	return hash, built.UTC()
}
