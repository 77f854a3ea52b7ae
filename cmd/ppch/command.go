package main

import (
	"errors"

	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
)

// newCommand returns the program: "ppch" alone is "ppch serve".
func newCommand(env config.Lookuper) *cobra.Command {
	serve := newServe(env)
	root := &cobra.Command{
		Use:   "ppch",
		Short: "Show who is in a Jitsi Meet room without joining it",
		Long: `PPCH (Prosody Participant Count Hook) shows programs and people who is in a
Jitsi Meet room without joining it. It connects to Prosody as an external
component and serves an HTTP API.

Without a subcommand it runs "ppch serve".`,
		Example: `  PPCH_API_KEY_FILE=key PPCH_COMPONENT_SECRET_FILE=secret ppch
  ppch doctor          # what is wrong, and how to fix it
  ppch serve --help    # every environment variable`,
		// Without Args, cobra suggests a subcommand for an unknown one.
		RunE:          serve.RunE,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serve, newVersion(), newHealthcheck(env), newDoctor(env), newRooms(env), newRoom(env), newWatch(env), newKey(env), newJitsi(env))
	return root
}

// usageError is an invalid command line, for commands that exit with 2 for it.
type usageError struct{ error }

// asUsageError marks err as a usageError.
func asUsageError(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// exitStatus returns the exit status for err.
func exitStatus(err error) int {
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}
