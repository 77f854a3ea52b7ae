package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ppch/api/keys"
	"ppch/cmd/ppch/config"
)

// newKey returns "ppch key".
func newKey(env config.Lookuper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make keys for clients and share links",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyNew(env), newKeyShare(env), newKeyList(env), newKeyRemove(env), newKeyImport(env))
	return cmd
}

// printNew prints a new key or link with its line, which it adds to NATS if keys are kept there.
func printNew(cmd *cobra.Command, env config.Lookuper, s config.Settings, what, text, line string) error {
	inNATS, err := addToNATS(cmd, env, s, line)
	switch {
	case err != nil:
		return err
	case inNATS:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, not shown again:\n%s\n\nIn NATS, for all nodes:\n%s\n", what, text, keys.Rights(line))
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, not shown again:\n%s\n\nLine for the file in PPCH_API_KEYS_FILE:\n%s\n", what, text, line)
	}
	return err
}

// newKeyNew returns "ppch key new".
func newKeyNew(env config.Lookuper) *cobra.Command {
	var req keys.Request
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a key for a client",
		Long: `Make a key for a client. It is printed once, with a line for the file in
PPCH_API_KEYS_FILE; that line contains only the key's SHA-256. With
PPCH_CONFIG_FROM_NATS=true the line goes to NATS instead, and the key works on all
nodes within a second.

Scopes:
  count         number of people in a room, without names
  participants  names too
  events        live changes
  metrics       metrics and diagnostics of the service
  history       past meetings; names in them also need participants
  webhooks      endpoints that receive events
  all           count, participants, events and metrics

Write room names as people do. A * at the end matches any suffix: acme/* is every
room of the tenant acme. Names belong to the domains of MUC_DOMAIN.`,
		Example: `  ppch key new --name lobby-screen --scope count --room 'acme/*' --expires 2027-12-31
  ppch key new --name dashboard --scope participants,events | tee /dev/tty | tail -n 1 >> ppch.keys`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := config.Read(cmd.Context(), env)
			if err != nil {
				return err
			}
			names, err := s.Names()
			if err != nil {
				return err
			}
			key, line, err := keys.New(req, names)
			if err != nil {
				return asUsageError(fmt.Errorf("key new: %w", err)) // of the flags
			}
			return printNew(cmd, env, s, "Key for the client", key, line)
		},
	}
	cmd.Flags().StringVar(&req.Name, "name", "", "name of the key in logs (required)")
	cmd.Flags().StringSliceVar(&req.Scopes, "scope", nil, "scopes, separated by commas (required)")
	cmd.Flags().StringArrayVar(&req.Rooms, "room", nil, "limit the key to this room; may be repeated")
	cmd.Flags().IntVar(&req.Streams, "streams", 0, "limit of concurrent event streams and waiting requests (default a share of all)")
	cmd.Flags().StringVar(&req.Expires, "expires", "", "last valid day in UTC, or a time such as 2027-12-31T18:00:00Z")
	_ = cmd.MarkFlagRequired("name") // the flags exist
	_ = cmd.MarkFlagRequired("scope")
	_ = cmd.RegisterFlagCompletionFunc("scope", completeList(keys.ScopeNames()...))
	_ = cmd.RegisterFlagCompletionFunc("room", (&apiClient{env: env}).completeRoom)
	return cmd
}
