package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ppch/api/keys"
	"ppch/cmd/ppch/config"
	"ppch/component/occupancy"
)

// newKey returns "ppch key", which makes keys for clients.
func newKey(env config.Lookuper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make keys for clients",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyNew(env))
	return cmd
}

// newKeyNew returns "ppch key new".
func newKeyNew(env config.Lookuper) *cobra.Command {
	var req keys.Request
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a key for a client",
		Long: `Make a key for a client. It is printed once, with the line that goes into the
file that PPCH_API_KEYS_FILE names; that line has only the key's SHA-256.

Scopes are:
  count         how many people are in a room, without names
  participants  names as well
  events        changes as they happen
  metrics       what the service counts about itself
  all           everything

Rooms are written as people write them. A * at the end of a name stands for
whatever may follow, so acme/* is every room of the tenant acme. They are read as
the service does, which watches MUC_DOMAIN.`,
		Example: `  ppch key new --name lobby-screen --scope count --room 'acme/*' --expires 2027-12-31
  ppch key new --name dashboard --scope participants,events | tee /dev/tty | tail -n 1 >> ppch.keys`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := config.Read(cmd.Context(), env)
			if err != nil {
				return err
			}
			domains, err := s.RoomDomains()
			if err != nil {
				return err
			}
			key, line, err := keys.New(req, occupancy.NewNames(domains...))
			if err != nil {
				return fmt.Errorf("key new: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The key, for the client; it is not shown again:\n%s\n\n"+
				"The line for the file that PPCH_API_KEYS_FILE names:\n%s\n", key, line)
			return err
		},
	}
	cmd.Flags().StringVar(&req.Name, "name", "", "what the log calls the key (required)")
	cmd.Flags().StringSliceVar(&req.Scopes, "scope", nil, "what it may be used for; several with commas between them (required)")
	cmd.Flags().StringArrayVar(&req.Rooms, "room", nil, "a room that it is limited to; may be given several times")
	cmd.Flags().IntVar(&req.Streams, "streams", 0, "how many event streams, and requests that wait, it may have at a time (default its share)")
	cmd.Flags().StringVar(&req.Expires, "expires", "", "the last day it is good for, in UTC, or a moment such as 2027-12-31T18:00:00Z")
	_ = cmd.MarkFlagRequired("name") // the flags are there
	_ = cmd.MarkFlagRequired("scope")
	return cmd
}
