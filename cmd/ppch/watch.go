package main

import (
	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/terminal"
)

// newWatch returns "ppch watch".
func newWatch(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	var lines bool
	cmd := &cobra.Command{
		Use:   "watch [NAME]",
		Short: "Show joins and leaves live",
		Long: `Show the people in all rooms, or in one, and joins and leaves live.
On a terminal this is a table that redraws; elsewhere, and with --lines, it is one
line per event. Ctrl-C ends it.` + apiClientHelp,
		Example: `  ppch watch
  ppch watch Planning --json | jq -c 'select(.event == "participant.joined")'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return roomName(cmd, args)
		},
		ValidArgsFunction: a.completeRoom,
		RunE: withClient(a, func(cmd *cobra.Command, c *terminal.Client, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			out := cmd.OutOrStdout()
			switch {
			case a.json:
				return c.WatchJSON(cmd.Context(), out, cmd.ErrOrStderr(), name)
			case lines || styleOf(out) == (terminal.Style{}):
				return c.WatchLines(cmd.Context(), out, name)
			}
			return c.WatchTable(cmd.Context(), out, name, func() terminal.Style { return styleOf(out) })
		}),
	}
	a.add(cmd)
	cmd.Flags().BoolVar(&lines, "lines", false, "print one line per event, even on a terminal")
	return cmd
}
