package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
)

// newServe returns "ppch serve", which runs the service until a signal stops it.
func newServe(env config.Lookuper) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service (the default)",
		Long: `Run the service until SIGTERM or SIGINT, which completes open requests, closes
the stream to Prosody and exits with status 0. If it does not start, or counts
are unavailable, "ppch doctor" shows why.

Environment variables:

` + variablesHelp(),
		Example: `  PPCH_API_KEY=$(openssl rand -hex 16) \
  PPCH_COMPONENT_SECRET=… \
  PROSODY_URL=xmpp://prosody:5347 \
  MUC_DOMAIN=muc.meet.jitsi ppch serve`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), env, cmd.ErrOrStderr())
		},
	}
}

// variablesHelp lists the environment variables.
func variablesHelp() string {
	var b strings.Builder
	for _, v := range config.Variables() {
		fmt.Fprintf(&b, "  %s\n      %s", v.Name, v.Help)
		if v.Default != "" {
			fmt.Fprintf(&b, " (default %s)", v.Default)
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}
