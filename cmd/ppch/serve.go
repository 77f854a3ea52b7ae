package main

import (
	"strings"

	"github.com/sethvargo/go-envconfig"
	"github.com/spf13/cobra"
)

// newServe returns "ppch serve", which runs the service until it is told to stop.
func newServe(env envconfig.Lookuper) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service (the default)",
		Long: `Run the service until SIGTERM or SIGINT, which ends open requests and the
stream to Prosody in good order and exits with status 0. Where it doesn't come
up, or nobody can be counted, "ppch doctor" says which link is broken.

Environment variables:

` + strings.TrimRight(settingsHelp(), "\n"),
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
