package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

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
	a.addURL(cmd)
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per line")
}

// addURL adds the flag for the address alone.
func (a *apiClient) addURL(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.url, "url", "", "URL of the service (default PPCH_HOST and PPCH_PORT)")
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
	c := &terminal.Client{URL: u, Key: key.Reveal(), Notes: cmd.ErrOrStderr()}
	if a.url == "" {
		c.HTTP = terminal.Near(trusting(s.TLSCert)) // its certificate has a public name
	}
	return c, nil
}

// withClient returns a RunE that calls run with a client for the service.
func withClient(a *apiClient, run func(cmd *cobra.Command, c *terminal.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		return run(cmd, c, args)
	}
}

// address returns the URL of the service.
func (a *apiClient) address(s config.Settings) (*url.URL, error) {
	u, err := url.Parse(cmp.Or(a.url, s.URL()))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, asUsageError(errors.New("--url: use http:// or https:// and a host, such as http://127.0.0.1:8890"))
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

// roomName returns the only argument. An empty one is more likely an unset variable than a wish for all rooms.
func roomName(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return fmt.Errorf("the room's name is missing: %s NAME", cmd.CommandPath())
	case len(args) > 1:
		return fmt.Errorf("one room's name is expected, got %d: quote a name with blanks, such as %q", len(args), strings.Join(args, " "))
	case args[0] == "":
		return errors.New("the room's name is empty")
	}
	return nil
}

// oneOf returns an error unless a flag has one of these values.
func oneOf(flag, value string, values []string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return fmt.Errorf("--%s: %q is unknown: use %s", flag, value, strings.Join(values, ", "))
}

// notNegative returns an error if a flag is negative.
func notNegative(flag string, value int) error {
	if value >= 0 {
		return nil
	}
	return fmt.Errorf("--%s: %d is negative: use a number from 0", flag, value)
}
