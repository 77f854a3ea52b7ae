package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
)

// newHealthcheck returns "ppch healthcheck", whose exit status is for containers.
func newHealthcheck(env config.Lookuper) *cobra.Command {
	var (
		ready   bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the running service whether it is well; exit status 0 if so",
		Long: `Ask the service at PPCH_HOST and PPCH_PORT whether it is alive (GET /livez),
or with --ready whether it can answer questions (GET /readyz).

The exit status is 0 if so and 1 otherwise. A container should be restarted for
the first only: when Prosody is away, a restart of PPCH does not help.`,
		Example: `  ppch healthcheck
  ppch healthcheck --ready --timeout 2s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := config.Read(cmd.Context(), env)
			if err != nil {
				return err
			}
			path := "/livez"
			if ready {
				path = "/readyz"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return checkHealth(ctx, s.URL()+path, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether questions can be answered, not only whether the service lives")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	return cmd
}

func checkHealth(ctx context.Context, url string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	// The environment's proxy, if any, is for the way out and knows nothing of this machine.
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// The certificate has the name under which others know this machine, and may have been replaced a moment ago.
		// Nothing secret is said, and nothing is believed but that something answers here.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // #nosec G402 -- see above
	}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return errors.New("healthcheck: " + resp.Status + ": " + text)
	}
	_, err = fmt.Fprintln(out, text)
	return err
}
