package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	root.AddCommand(serve, newVersion(), newHealthcheck(env), newDoctor(env), newRooms(env), newRoom(env), newWatch(env), newMeetings(env), newAttendance(env), newStore(env), newShard(env), newKey(env), newWebhook(env), newMQTT(env), newJitsi(env))
	addMan(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if wrong := new(pflag.InvalidValueError); errors.As(err, &wrong) && wrong.GetFlag().Value.Type() == "int" {
			err = fmt.Errorf("--%s: %q is not a whole number", wrong.GetFlag().Name, wrong.GetValue())
		}
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	root.SetHelpCommand(&cobra.Command{
		Use:               "help [COMMAND]",
		Short:             "Show the help of a command",
		ValidArgsFunction: completeCommand,
		RunE: func(_ *cobra.Command, args []string) error {
			of, err := find(root, args)
			if err != nil {
				return err
			}
			of.InitDefaultHelpFlag()
			of.InitDefaultVersionFlag()
			return of.Help()
		},
	})
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // refuses unknown shells
	}
	markRuns(root)
	return root
}

// takes returns the check of a command that takes one argument, or several if most is greater.
func takes(most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if n := len(args); n < 1 || n > most {
			return fmt.Errorf("got %d arguments: use %s %s", n, cmd.Parent().CommandPath(), cmd.Use)
		}
		return nil
	}
}

// failure is an error of a command that ran. All others are usage errors: cobra reports them before a command runs.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// usageError is an invalid command line that a command finds only when it runs.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// asUsageError marks err as a usageError.
func asUsageError(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// markRuns marks the errors of cmd and its subcommands as failures when they run.
func markRuns(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := run(cmd, args); err != nil {
				return failure{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markRuns(sub)
	}
}

// exitStatus returns the exit status for err: 2 for an invalid command line, else 1.
func exitStatus(err error) int {
	if errors.As(err, new(failure)) && !errors.As(err, new(usageError)) {
		return 1
	}
	return 2
}

// find returns the command that args name.
func find(root *cobra.Command, args []string) (*cobra.Command, error) {
	cmd, rest, err := root.Find(args)
	if err != nil || len(rest) > 0 {
		return nil, asUsageError(fmt.Errorf("there is no command %q; see ppch --help", strings.Join(args, " ")))
	}
	return cmd, nil
}
