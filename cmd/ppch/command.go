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
		Short: "Tells who is in a Jitsi Meet room without joining it",
		Long: `PPCH (Prosody Participant Count Hook) tells programs and people who is in a
Jitsi Meet room without joining it. It connects to Prosody as an external
component and answers over HTTP.

Without a subcommand it serves, as "ppch serve" does.`,
		Example: `  PPCH_API_KEY_FILE=key PPCH_COMPONENT_SECRET_FILE=secret ppch
  ppch doctor          # what is wrong, and what to mend
  ppch serve --help    # every environment variable`,
		// No Args: only then does cobra refuse an unknown subcommand with a guess at what was meant.
		RunE:          serve.RunE,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serve, newVersion(), newHealthcheck(env), newDoctor(env), newRooms(env), newRoom(env), newWatch(env), newKey(env), newJitsi(env))
	return root
}

// misuse is an error of the command line, of a command that tells that apart by its exit status.
type misuse struct{ error }

// misused returns err as one of the command line.
func misused(err error) error {
	if err == nil {
		return nil
	}
	return misuse{err}
}

// exitStatus returns what the program ends with after err.
func exitStatus(err error) int {
	if errors.As(err, new(misuse)) {
		return 2
	}
	return 1
}
