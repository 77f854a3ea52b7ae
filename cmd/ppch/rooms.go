package main

import (
	"cmp"
	"errors"
	"io"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/terminal"
)

// asking is the flags that commands which ask a running service have in common.
type asking struct {
	env  config.Lookuper
	url  string
	json bool
}

// add gives cmd the flags.
func (a *asking) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.url, "url", "", "where the service is (default PPCH_HOST and PPCH_PORT)")
	cmd.Flags().BoolVar(&a.json, "json", false, "write JSON, an object in each line")
}

// askingHelp says where the key is from.
const askingHelp = `

The API key is that of PPCH_API_KEY or PPCH_API_KEY_FILE, and the service is
the one at PPCH_HOST and PPCH_PORT unless --url names another.`

// client returns a client for the service.
func (a *asking) client(cmd *cobra.Command) (*terminal.Client, error) {
	s, err := config.Read(cmd.Context(), a.env)
	if err != nil {
		return nil, err
	}
	key, err := s.ClientKey()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(cmp.Or(a.url, s.URL()))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("--url: use http:// or https:// and a host, such as http://127.0.0.1:8890")
	}
	c := &terminal.Client{URL: u, Key: key.Reveal()}
	if a.url == "" {
		c.HTTP = terminal.Near(trusting(s.TLSCert)) // its certificate has the name by which others know it
	}
	return c, nil
}

// styleOf returns how tables look on w: as on a terminal only if it is one.
func styleOf(w io.Writer) terminal.Style {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return terminal.Style{}
	}
	// Of a terminal that doesn't tell its size nothing is cut.
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width, height = 0, 0
	}
	return terminal.Style{Color: true, Width: width, Height: height}
}

// named refuses an empty name, which is a variable that isn't set more often than it is meant to be all rooms.
func named(_ *cobra.Command, args []string) error {
	if len(args) > 0 && args[0] == "" {
		return errors.New("the room's name is empty")
	}
	return nil
}

// newRooms returns "ppch rooms", which lists the rooms that are open.
func newRooms(env config.Lookuper) *cobra.Command {
	a := &asking{env: env}
	var (
		typ, tenant, search, sort, order string
		least                            int
	)
	cmd := &cobra.Command{
		Use:   "rooms",
		Short: "List the rooms that are open",
		Long:  "List the rooms that are open, as GET /api/rooms of the running service does." + askingHelp,
		Example: `  ppch rooms --sort participants
  ppch rooms --tenant acme --min 2 --json | jq -r .room_name`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			query := url.Values{"limit": {"1000"}}
			for name, value := range map[string]string{"type": typ, "q": search, "sort": sort, "order": order} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if cmd.Flags().Changed("tenant") {
				query.Set("tenant", tenant)
			}
			if cmd.Flags().Changed("min") {
				query.Set("min_participants", strconv.Itoa(least))
			}
			if a.json {
				return c.RoomsJSON(cmd.Context(), cmd.OutOrStdout(), query)
			}
			return c.Rooms(cmd.Context(), cmd.OutOrStdout(), query, styleOf(cmd.OutOrStdout()))
		},
	}
	a.add(cmd)
	cmd.Flags().StringVar(&typ, "type", "", "main, breakout, lobby or all (default main)")
	cmd.Flags().StringVar(&tenant, "tenant", "", `only rooms of this tenant, "" for those of none`)
	cmd.Flags().StringVarP(&search, "search", "q", "", "only rooms with this in their name")
	cmd.Flags().IntVar(&least, "min", 0, "only rooms with at least so many people")
	cmd.Flags().StringVar(&sort, "sort", "", "name, participants or created (default name)")
	cmd.Flags().StringVar(&order, "order", "", "asc or desc")
	return cmd
}

// newRoom returns "ppch room", which tells who is in a room.
func newRoom(env config.Lookuper) *cobra.Command {
	a := &asking{env: env}
	cmd := &cobra.Command{
		Use:   "room NAME",
		Short: "Tell who is in a room",
		Long:  "Tell who is in a room, as GET /api/rooms/{room_name} of the running service does." + askingHelp,
		Example: `  ppch room Planning
  ppch room acme/Standup --json | jq .participant_count`,
		Args: cobra.MatchAll(cobra.ExactArgs(1), named),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if a.json {
				return c.RoomJSON(cmd.Context(), cmd.OutOrStdout(), args[0])
			}
			return c.Room(cmd.Context(), cmd.OutOrStdout(), args[0], styleOf(cmd.OutOrStdout()))
		},
	}
	a.add(cmd)
	return cmd
}

// newWatch returns "ppch watch", which shows joins and leaves as they happen.
func newWatch(env config.Lookuper) *cobra.Command {
	a := &asking{env: env}
	var lines bool
	cmd := &cobra.Command{
		Use:   "watch [NAME]",
		Short: "Show who comes and goes, as it happens",
		Long: `Show who is in all rooms, or in one, and who comes and goes, as it happens.
On a terminal that is a table which is drawn anew; elsewhere, and with --lines,
it is a line for each event. Ctrl-C ends it.` + askingHelp,
		Example: `  ppch watch
  ppch watch Planning --json | jq -c 'select(.event == "participant.joined")'`,
		Args: cobra.MatchAll(cobra.MaximumNArgs(1), named),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
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
		},
	}
	a.add(cmd)
	cmd.Flags().BoolVar(&lines, "lines", false, "write a line for each event, also on a terminal")
	return cmd
}
