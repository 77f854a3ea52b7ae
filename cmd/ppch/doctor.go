package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/doctor"
	"ppch/component/occupancy"
)

// newDoctor returns "ppch doctor", which diagnoses the connection to Prosody.
func newDoctor(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the connection to Prosody and show how to fix it",
		Long: `Check everything from the configuration to Prosody's rooms, one line each:

  ✓ fine
  ! works, but could be better
  ✗ broken; the lines below show how to fix it
  – not checked, because something else must be fixed first

The doctor asks the service at PPCH_HOST and PPCH_PORT for its diagnostics. If
none runs there, the doctor connects to Prosody itself for a few seconds, as the
component PPCH_COMPONENT_DOMAIN; run it where the service runs, with the same
environment. With --url it asks a service elsewhere, with the key of
PPCH_API_KEY, and connects to nothing else.

It takes less than 15 seconds. The exit status is 0 if nothing is broken, 1 if
something is, and 2 for an invalid command line.`,
		Example: `  docker compose exec ppch /ppch doctor
  ppch doctor --json | jq -r '.checks[] | select(.status == "error") | .remedy'
  ppch doctor --url https://ppch.example.com`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.doctorConfig(cmd.Context())
			if err != nil {
				return asUsageError(err)
			}
			return examine(cmd, cfg, a.json)
		},
	}
	cmd.Flags().StringVar(&a.url, "url", "", "URL of the service (default from the environment)")
	cmd.Flags().BoolVar(&a.json, "json", false, "print all checks as one JSON object, at the end")
	return cmd
}

// examine prints all checks. It returns an error if one fails.
func examine(cmd *cobra.Command, cfg doctor.Config, json bool) error {
	out := cmd.OutOrStdout()
	printer := doctor.NewPrinter(out, styleOf(out))
	var checks []doctor.Check
	var failed error
	err := doctor.Examine(cmd.Context(), cfg, func(c doctor.Check) {
		checks = append(checks, c)
		if !json && failed == nil {
			failed = printer.Print(c)
		}
	})
	switch {
	case json && err == nil:
		failed = doctor.PrintJSON(out, checks)
	case !json && failed == nil:
		failed = printer.Close()
	}
	switch broken := doctor.Broken(checks); {
	case err != nil:
		return errors.New("doctor: interrupted")
	case failed != nil:
		return failed
	case broken > 0:
		return fmt.Errorf("doctor: %d of %d checks failed", broken, len(checks))
	}
	return nil
}

// doctorConfig returns what to check. Its error is a usage error.
func (a *apiClient) doctorConfig(ctx context.Context) (doctor.Config, error) {
	s, err := config.Read(ctx, a.env)
	if err != nil {
		return doctor.Config{}, err
	}
	u, err := a.address(s)
	if a.url != "" {
		if err != nil {
			return doctor.Config{}, err
		}
		c := doctor.Config{API: u, Remote: true, Version: version}
		key, err := s.ClientKey()
		if err != nil {
			c.Errors = []string{err.Error()}
		}
		c.Key = key.Reveal()
		return c, nil
	}
	c, err := s.Config()
	var problems config.Errors
	if errors.As(err, &problems) {
		return doctor.Config{Errors: problems, Installation: installation(s.Host)}, nil
	}
	if err != nil {
		return doctor.Config{}, err
	}
	var first config.Shard // that the doctor may connect to
	names := map[string]occupancy.Settings{}
	for _, shard := range c.Shards {
		names[shard.Name] = shard.Settings
		if first.Name == "" && shard.Via == config.ViaXMPP && shard.Retired.IsZero() {
			first = shard
		}
	}
	if first.Name == "" { // all arrive over NATS
		first.MUCDomains = c.MUCDomains
	}
	cfg := doctor.Config{
		Warnings: c.Warnings,
		API:      u,
		Fallback: sibling(u, s.Host),
		Key:      c.APIKey.Reveal(),
		TLS:      trusting(c.TLSCert),

		Address:    first.Prosody,
		HTTP:       webServer(s.ProsodyURL),
		Domain:     first.Domain,
		Secret:     first.Secret.Reveal(),
		Shard:      first.Name,
		Names:      names,
		MUCDomains: first.MUCDomains,
		Admins:     c.Admins,
		NotCounted: c.NotCounted,
		Version:    version,

		Installation: installation(s.Host),
	}
	return cfg, nil
}

// installation returns how Jitsi is installed, as seen from here: in PPCH's container, or on a machine with Jitsi's Debian packages.
func installation(host string) doctor.Installation {
	folder := func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	}
	switch {
	case isUnspecified(host) && inContainer():
		return doctor.Containers
	case folder("/etc/jitsi") && folder("/etc/prosody"):
		return doctor.Packages
	}
	return doctor.UnknownInstallation
}

func isUnspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}

// sibling returns the URL of the service of docker-compose.yml, for a doctor in a second container ("docker compose run").
// A container is recognized by PPCH_HOST: only there the service usually listens on all interfaces.
func sibling(own *url.URL, host string) *url.URL {
	if !isUnspecified(host) {
		return nil
	}
	u := *own
	u.Host = net.JoinHostPort("ppch", own.Port())
	return &u
}

// webServer returns host:port of Prosody's web server. In version 1, PROSODY_URL was its URL.
func webServer(prosodyURL string) string {
	u, err := url.Parse(prosodyURL)
	if err != nil {
		return ""
	}
	port := "5280"
	if u.Scheme == "http" {
		port = cmp.Or(u.Port(), port)
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// trusting returns a TLS configuration for the service on this machine, or nil without a file. The service must present
// the certificate of the file, whose names are public ones.
func trusting(certFile string) *tls.Config {
	chain, err := os.ReadFile(certFile) // #nosec G304 -- the operator names it
	block, _ := pem.Decode(chain)
	if err != nil || block == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool()}
	trust.RootCAs.AddCert(leaf)
	switch {
	case len(leaf.DNSNames) > 0:
		trust.ServerName = strings.Replace(leaf.DNSNames[0], "*", "ppch", 1)
	case len(leaf.IPAddresses) > 0:
		trust.ServerName = leaf.IPAddresses[0].String()
	}
	return trust
}
