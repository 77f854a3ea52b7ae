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

	"ppch/api"
	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/doctor"
	"ppch/component/occupancy"
)

// newDoctor returns "ppch doctor", which finds the broken link between a question and Prosody's rooms.
func newDoctor(env config.Lookuper) *cobra.Command {
	a := &asking{env: env}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check every link of the chain to Prosody, and say what to mend",
		Long: `Check every link of the chain to Prosody's rooms, one line each:

  ✓ well
  ! works, but not as well as it could
  ✗ broken; the lines below it say what to mend
  – not checked, because it depends on another link

The service at PPCH_HOST and PPCH_PORT is asked how it sees its chain. Where
none runs there, the doctor connects to Prosody itself for a few seconds, as the
component that PPCH_COMPONENT_DOMAIN names; run it where the service runs, with
the same environment. --url asks a service elsewhere, with the key of
PPCH_API_KEY, and connects to nothing else.

It takes less than 15 seconds. The exit status is 0 if all is well, 1 if
something is broken, and 2 if the command line can't be understood.`,
		Example: `  docker compose exec ppch /ppch doctor
  ppch doctor --json | jq -r '.checks[] | select(.status == "error") | .mend'
  ppch doctor --url https://ppch.example.com`,
		Args: func(cmd *cobra.Command, args []string) error { return misused(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			patient, err := a.patient(cmd.Context())
			if err != nil {
				return misused(err)
			}
			return examine(cmd, patient, a.json)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misused(err) })
	cmd.Flags().StringVar(&a.url, "url", "", "where the service is, if it isn't that of this environment")
	cmd.Flags().BoolVar(&a.json, "json", false, "write all checks as one JSON object, at the end")
	return cmd
}

// examine writes what the doctor finds. Its error is that something is broken, or that it was interrupted.
func examine(cmd *cobra.Command, patient doctor.Config, json bool) error {
	out := cmd.OutOrStdout()
	style := styleOf(out)
	var checks []doctor.Check
	var failed error
	err := doctor.Examine(cmd.Context(), patient, func(c doctor.Check) {
		checks = append(checks, c)
		if !json && failed == nil {
			failed = doctor.Print(out, c, style)
		}
	})
	if json && err == nil {
		failed = doctor.PrintJSON(out, checks)
	}
	switch broken := doctor.Broken(checks); {
	case err != nil:
		return errors.New("doctor: interrupted")
	case failed != nil:
		return failed
	case broken > 0:
		return fmt.Errorf("doctor: %d of %d checks found something wrong", broken, len(checks))
	}
	return nil
}

// patient returns what the doctor is told. Its error is one of the command line.
func (a *asking) patient(ctx context.Context) (doctor.Config, error) {
	s, err := config.Read(ctx, a.env)
	if err != nil {
		return doctor.Config{}, err
	}
	u, err := url.Parse(cmp.Or(a.url, s.URL()))
	if a.url != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		return doctor.Config{}, errors.New("--url is http:// or https:// and a host, such as http://127.0.0.1:8890")
	}
	if a.url != "" {
		c := doctor.Config{API: u, Elsewhere: true, Version: version}
		key, err := s.ClientKey()
		if err != nil {
			c.Faults = []string{err.Error()}
		}
		c.Key = key.Reveal()
		return c, nil
	}
	c, err := s.Config()
	var faults config.Errors
	if errors.As(err, &faults) {
		return doctor.Config{Faults: faults}, nil
	}
	if err != nil {
		return doctor.Config{}, err
	}
	patient := doctor.Config{
		Warnings: c.Warnings,
		API:      u,
		Also:     sibling(u, s.Host),
		Key:      c.APIKey.Reveal(),
		TLS:      trusting(c.TLSCert),

		Address:    c.Prosody,
		HTTP:       webServer(s.ProsodyURL),
		Domain:     c.Domain,
		Secret:     c.Secret.Reveal(),
		MUCDomains: c.MUCDomains,
		Admins:     c.Admins,
		Version:    version,
	}
	if _, err := api.NewKeyring(api.KeyringConfig{Key: patient.Key, File: c.KeysFile, Names: occupancy.NewNames(c.MUCDomains...)}); err != nil {
		patient.Faults = []string{fmt.Sprintf("PPCH_API_KEYS_FILE: %v", err)}
	}
	return patient, nil
}

// sibling returns where the service is in Docker if this is a second container beside it ("docker compose run"), whose name
// is that of docker-compose.yml. Only in containers does it listen on all interfaces, unless somebody wishes so.
func sibling(own *url.URL, host string) *url.URL {
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsUnspecified() {
		return nil
	}
	u := *own
	u.Host = net.JoinHostPort("ppch", own.Port())
	return &u
}

// webServer returns host:port of Prosody's web server: earlier versions had that in PROSODY_URL.
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

// trusting returns how to speak to the service on this machine: it has to show the certificate of the file,
// whose name is that by which others know it. Without a file it is nil.
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
