package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ppch/api/keys"
	"ppch/cmd/ppch/config"
)

// newKeyShare returns "ppch key share".
func newKeyShare(env config.Lookuper) *cobra.Command {
	var req keys.LinkRequest
	var all bool
	cmd := &cobra.Command{
		Use:   "share",
		Short: "Make a share link, for a person or a screen",
		Long: `Make a link to a page that shows how many people are in a room, or in several.
It is printed once, with a line for the file in PPCH_API_KEYS_FILE; that line
contains only the SHA-256 of the link's token. Delete the line to withdraw the link.
With PPCH_CONFIG_FROM_NATS=true the line goes to NATS instead; withdraw the link
with ppch key remove.

Anyone who has the link sees what it shows, and nothing else. With .svg at its end
it is a badge, with .json it is for scripts. ?view=door, wall or compact chooses
a layout, ?lang=de a language and ?theme=dark a color scheme.

Write room names as people do. A * at the end matches any suffix: acme/* is every
room of the tenant acme.`,
		Example: `  ppch key share --room planning --names --expires 2027-12-31
  ppch key share --room 'acme/*' | tee /dev/tty | tail -n 1 >> ppch.keys`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(req.Rooms) > 0) || len(args) > 0 {
				return asUsageError(fmt.Errorf("key share: use --room for each room, or --all for every room"))
			}
			s, err := config.Read(cmd.Context(), env)
			if err != nil {
				return err
			}
			names, err := s.Names()
			if err != nil {
				return err
			}
			for _, room := range req.Rooms {
				if address, err := names.Room(room); err == nil {
					if remark := names.Remark(room, address, true); remark != "" {
						fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", room, remark)
					}
				}
			}
			token, line, err := keys.NewLink(req, names)
			if err != nil {
				return asUsageError(fmt.Errorf("key share: %w", err)) // of the flags
			}
			link, err := s.ShareLink(token)
			if err != nil {
				return err
			}
			return printNew(cmd, env, s, "Share link", link, line)
		},
	}
	cmd.Flags().StringArrayVar(&req.Rooms, "room", nil, "show this room; may be repeated")
	cmd.Flags().BoolVar(&all, "all", false, "show every room with people in it")
	cmd.Flags().BoolVar(&req.Names, "names", false, "show people's names too")
	cmd.Flags().StringVar(&req.Name, "name", "", "name of the link in logs (default share- and six letters)")
	cmd.Flags().IntVar(&req.Streams, "streams", 0, "limit of pages that follow the link at a time (default a share of all)")
	cmd.Flags().StringVar(&req.Expires, "expires", "", "last valid day in UTC, or a time such as 2027-12-31T18:00:00Z")
	_ = cmd.RegisterFlagCompletionFunc("room", (&apiClient{env: env}).completeRoom)
	return cmd
}
