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

// newHealthcheck returns "ppch healthcheck", for containers.
func newHealthcheck(env config.Lookuper) *cobra.Command {
	var (
		ready   bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Check the health of the running service",
		Long: `Check whether the service at PPCH_HOST and PPCH_PORT is alive (GET /livez) or,
with --ready, whether it can answer requests (GET /readyz).

The exit status is 0 if so and 1 otherwise. Restart a container only if it is not
alive: while Prosody is down, a restart of PPCH does not help.`,
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
	cmd.Flags().BoolVar(&ready, "ready", false, "check whether it can answer requests, not only whether it is alive")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "time limit for the response")
	return cmd
}

func checkHealth(ctx context.Context, url string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	// Without the environment's proxy, which can't reach this machine's loopback.
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// The certificate has a public name and may just have been replaced. The request contains no secret,
		// and the response only matters as a sign of life.
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
