package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ppch/cmd/ppch/config"
	"ppch/cmd/ppch/mqtt"
)

// mqttFlags are the flags of "ppch mqtt".
type mqttFlags struct {
	broker, user, passwordFile, caFile, topic, discovery string
}

// newMQTT returns "ppch mqtt".
func newMQTT(env config.Lookuper) *cobra.Command {
	a := &apiClient{env: env}
	var f mqttFlags
	cmd := &cobra.Command{
		Use:   "mqtt NAME...",
		Short: "Publish rooms to an MQTT broker, such as Home Assistant's",
		Long: `Publish the number of people in each room to an MQTT 5 broker until Ctrl-C, with
a sensor for Home Assistant (MQTT discovery). For a room called planning:

  ppch/planning/people        the number of people, such as 3
  ppch/planning/availability  online while that number is current, else offline
  ppch/status                 online while this command is connected, else offline

A number counts only while both say online. All are retained, so that a new
subscriber has them at once; the broker drops people and online after 90 s unless
this command renews them, and publishes offline if the command vanishes.

The API key needs the scopes count and events. The password is the first line of
--password-file. Use mqtts:// outside of your own machine.` + apiClientHelp,
		Example: `  ppch mqtt planning 'acme/Stand up' --broker mqtt://127.0.0.1
  ppch mqtt planning --broker mqtts://broker.example.com --user ppch --password-file /etc/ppch/mqtt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("name at least one room, as in %s planning", cmd.CommandPath())
			}
			for _, name := range args {
				if strings.TrimSpace(name) == "" {
					return errors.New("a room's name is empty")
				}
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return a.completeRoom(cmd, nil, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := f.config(args)
			if err != nil {
				return asUsageError(err)
			}
			if cfg.Client, err = a.client(cmd); err != nil {
				return err
			}
			defer cfg.Client.Close()
			cfg.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if err := mqtt.New(cfg).Run(cmd.Context()); err != nil {
				return fmt.Errorf("mqtt: %w", err)
			}
			return nil
		},
	}
	a.addURL(cmd)
	cmd.Flags().StringVar(&f.broker, "broker", "mqtt://127.0.0.1:1883", "the broker, mqtt://HOST[:1883] or mqtts://HOST[:8883]")
	cmd.Flags().StringVar(&f.user, "user", "", "user for the broker")
	cmd.Flags().StringVar(&f.passwordFile, "password-file", "", "file with that user's password")
	cmd.Flags().StringVar(&f.caFile, "ca-file", "", "PEM file with the broker's own certificate authority, for mqtts")
	cmd.Flags().StringVar(&f.topic, "topic", "ppch", "beginning of the topics; a second ppch mqtt on the same broker needs its own")
	cmd.Flags().StringVar(&f.discovery, "discovery", "homeassistant", "Home Assistant's discovery prefix; empty publishes no sensors")
	return cmd
}

// config returns the bridge's configuration, without a client and a log.
func (f mqttFlags) config(names []string) (mqtt.Config, error) {
	cfg := mqtt.Config{User: f.user, Topic: f.topic, Discovery: f.discovery, Version: version}
	var err error
	if cfg.Broker, err = brokerURL(f.broker); err != nil {
		return cfg, err
	}
	for flag, topic := range map[string]string{"topic": f.topic, "discovery": f.discovery} {
		if strings.ContainsAny(topic, "#+\x00") || strings.HasPrefix(topic, "$") || strings.HasPrefix(topic, "/") || strings.HasSuffix(topic, "/") {
			return cfg, fmt.Errorf("--%s: %q can't begin topics: use a word such as ppch, or words with / between them", flag, topic)
		}
	}
	switch {
	case f.topic == "":
		return cfg, errors.New("--topic: is empty: use a word such as ppch")
	case f.passwordFile != "" && f.user == "":
		return cfg, errors.New("--password-file: needs --user")
	}
	if f.passwordFile != "" {
		text, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return cfg, fmt.Errorf("--password-file: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if cfg.Password = strings.TrimRight(line, "\r"); cfg.Password == "" {
			return cfg, fmt.Errorf("--password-file: the first line of %s is empty: write the password there", f.passwordFile)
		}
	}
	if cfg.TLS, err = brokerTLS(cfg.Broker, f.caFile); err != nil {
		return cfg, err
	}
	cfg.Rooms, err = mqtt.NewRooms(names...)
	return cfg, err
}

// brokerURL returns the broker's URL, with a port.
func brokerURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	ports := map[string]string{"mqtt": "1883", "mqtts": "8883"}
	switch {
	case err != nil || u.Hostname() == "" || ports[u.Scheme] == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return nil, errors.New("--broker: use mqtt:// or mqtts:// and a host, such as mqtt://127.0.0.1:1883")
	case u.User != nil:
		return nil, errors.New("--broker: contains a user, and perhaps a password, hidden here: use --user and --password-file")
	}
	u.Host = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), ports[u.Scheme]))
	return u, nil
}

// brokerTLS returns the settings for mqtts, nil for mqtt.
func brokerTLS(broker *url.URL, caFile string) (*tls.Config, error) {
	if broker.Scheme != "mqtts" {
		if caFile != "" {
			return nil, errors.New("--ca-file: has no effect with mqtt://: use mqtts://")
		}
		return nil, nil
	}
	c := &tls.Config{ServerName: broker.Hostname(), MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c, nil
	}
	text, err := os.ReadFile(caFile) // #nosec G304 -- the user names it
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ca-file: %s has no certificate in PEM format", caFile)
	}
	return c, nil
}
