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

// apiClient has the flags of commands that call a running service.
type apiClient struct {
	env  config.Lookuper
	url  string
	json bool
}

// add adds the flags to cmd.
func (a *apiClient) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.url, "url", "", "URL of the service (default PPCH_HOST and PPCH_PORT)")
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per line")
}

// apiClientHelp explains key and address.
const apiClientHelp = `

The API key comes from PPCH_API_KEY or PPCH_API_KEY_FILE. The service is the one
at PPCH_HOST and PPCH_PORT unless --url selects another.`

// client returns a client for the service.
func (a *apiClient) client(cmd *cobra.Command) (*terminal.Client, error) {
	s, err := config.Read(cmd.Context(), a.env)
	if err != nil {
		return nil, err
	}
	key, err := s.ClientKey()
	if err != nil {
		return nil, err
	}
	u, err := a.address(s)
	if err != nil {
		return nil, err
	}
	c := &terminal.Client{URL: u, Key: key.Reveal()}
	if a.url == "" {
		c.HTTP = terminal.Near(trusting(s.TLSCert)) // its certificate has a public name
	}
	return c, nil
}

// address returns the URL of the service.
func (a *apiClient) address(s config.Settings) (*url.URL, error) {
	u, err := url.Parse(cmp.Or(a.url, s.URL()))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("--url: use http:// or https:// and a host, such as http://127.0.0.1:8890")
	}
	return u, nil
}

// styleOf returns the style of tables on w, plain unless w is a terminal.
func styleOf(w io.Writer) terminal.Style {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return terminal.Style{}
	}
	// Cut nothing on a terminal of unknown size.
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width, height = 0, 0
	}
	return terminal.Style{Color: true, Width: width, Height: height}
}

// checkName rejects an empty name: more likely an unset variable than a wish for all rooms.
func checkName(_ *cobra.Command, args []string) error {
	if len(args) > 0 && args[0] == "" {
		return errors.New("the room's name is empty")
	}
	return nil
}

// newRooms returns "ppch rooms".
func newRooms(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	var (
		typ, tenant, search, sort, order string
		minimum                          int
	)
	cmd := &cobra.Command{
		Use:   "rooms",
		Short: "List the open rooms",
		Long:  "List the open rooms, with GET /api/rooms of the running service." + apiClientHelp,
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
				query.Set("min_participants", strconv.Itoa(minimum))
			}
			if a.json {
				return c.RoomsJSON(cmd.Context(), cmd.OutOrStdout(), query)
			}
			return c.Rooms(cmd.Context(), cmd.OutOrStdout(), query, styleOf(cmd.OutOrStdout()))
		},
	}
	a.add(cmd)
	cmd.Flags().StringVar(&typ, "type", "", "main, breakout, lobby or all (default main)")
	cmd.Flags().StringVar(&tenant, "tenant", "", `only rooms of this tenant, "" for rooms without one`)
	cmd.Flags().StringVarP(&search, "search", "q", "", "only rooms with this text in their name")
	cmd.Flags().IntVar(&minimum, "min", 0, "only rooms with at least this many people")
	cmd.Flags().StringVar(&sort, "sort", "", "name, participants or created (default name)")
	cmd.Flags().StringVar(&order, "order", "", "asc or desc")
	return cmd
}

// newRoom returns "ppch room".
func newRoom(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	cmd := &cobra.Command{
		Use:   "room NAME",
		Short: "Show the people in a room",
		Long:  "Show the people in a room, with GET /api/rooms/{room_name} of the running service." + apiClientHelp,
		Example: `  ppch room Planning
  ppch room acme/Standup --json | jq .participant_count`,
		Args: cobra.MatchAll(cobra.ExactArgs(1), checkName),
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
		Args: cobra.MatchAll(cobra.MaximumNArgs(1), checkName),
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
	cmd.Flags().BoolVar(&lines, "lines", false, "print one line per event, even on a terminal")
	return cmd
}
