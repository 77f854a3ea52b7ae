package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the image has no zone files

	"github.com/sethvargo/go-envconfig"
	"mellium.im/xmpp/jid"
)

// config is what the settings mean.
type config struct {
	apiKey secret
	listen string // host:port

	prosody string // host:port
	domain  jid.JID
	secret  secret

	mucDomains []jid.JID
	admins     []jid.JID

	debug bool
	zone  *time.Location

	// warnings are for the operator, who may go on without heeding them.
	warnings []string
}

// loadConfig reads the environment. Its error names every variable that is wrong and how to mend it.
func loadConfig(ctx context.Context, env envconfig.Lookuper) (config, error) {
	s, err := readSettings(ctx, env)
	if err != nil {
		return config{}, err
	}
	p := &parser{}
	c := config{
		apiKey: p.secret("PPCH_API_KEY", s.APIKey, s.APIKeyFile, "make one with: openssl rand -hex 16"),
		listen: net.JoinHostPort(s.Host, p.port("PPCH_PORT", s.Port)),

		prosody: p.prosody(s.ProsodyURL),
		domain:  p.domain("PPCH_COMPONENT_DOMAIN", s.ComponentDomain),
		secret: p.secret("PPCH_COMPONENT_SECRET", s.ComponentSecret, s.ComponentSecretFile,
			"it is the component_secret in Prosody's configuration"),

		mucDomains: p.mucDomains(s.MUCDomains, s.ComponentDomain),
		admins:     p.admins(s.AdminJIDs),

		debug: p.boolean("DEBUG", s.Debug),
		zone:  p.zone(s.TZ),
	}
	c.warnings = p.warnings
	if len(c.apiKey) > 0 && len(c.apiKey) < 16 {
		c.warnings = append(c.warnings, "PPCH_API_KEY is short enough to be guessed; make one with: openssl rand -hex 16")
	}
	if len(p.problems) > 0 {
		return config{}, errors.New("the configuration is wrong:\n  " + strings.Join(p.problems, "\n  "))
	}
	return c, nil
}

// parser turns settings into values and collects what is wrong with them.
type parser struct{ problems, warnings []string }

func (p *parser) problem(variable, format string, args ...any) {
	p.problems = append(p.problems, variable+": "+fmt.Sprintf(format, args...))
}

// placeholders are what examples, ours and those of others, have where a secret belongs.
var placeholders = []string{"change-me", "changeme", "your-api-key", "your-secret"}

func (p *parser) secret(variable string, value secret, file, mend string) secret {
	switch {
	case value != "" && file != "":
		p.problem(variable, "is set, and %s_FILE as well: keep one of them", variable)
		return ""
	case file != "":
		variable += "_FILE"
		b, err := os.ReadFile(file)
		if err != nil {
			p.problem(variable, "can't be read: %v", err)
			return ""
		}
		if value = secret(strings.TrimSpace(string(b))); value == "" {
			p.problem(variable, "%s is empty: %s", file, mend)
			return ""
		}
	case value == "":
		p.problem(variable, "is not set, nor is %s_FILE: %s", variable, mend)
		return ""
	}
	text := strings.ToLower(value.reveal())
	switch {
	case slices.ContainsFunc(placeholders, func(prefix string) bool { return strings.HasPrefix(text, prefix) }):
		p.problem(variable, "is still the placeholder of an example: %s", mend)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		p.problem(variable, "holds a control character or more than one line: %s", mend)
	}
	return value
}

func (p *parser) port(variable, value string) string {
	if n, err := strconv.ParseUint(value, 10, 16); err != nil {
		p.problem(variable, "%q is not a port: use a number from 0 to 65535", value)
	} else {
		value = strconv.FormatUint(n, 10)
	}
	return value
}

// componentPort is what Prosody's component_ports is unless changed.
const componentPort = "5347"

func (p *parser) prosody(value string) string {
	const variable, mend = "PROSODY_URL", "use xmpp://HOST:PORT with Prosody's component port, such as xmpp://prosody:5347"
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" || u.User != nil {
		p.problem(variable, "%q is not an address: %s", value, mend)
		return ""
	}
	port := u.Port()
	switch u.Scheme {
	case "xmpp":
		if port == "" {
			port = componentPort
		}
		p.port(variable, port)
	case "http", "https":
		port = componentPort
		p.warnings = append(p.warnings, fmt.Sprintf(
			"PROSODY_URL is an HTTP address, as earlier versions had it: using its host with the component port, xmpp://%s", net.JoinHostPort(u.Hostname(), port)))
	default:
		p.problem(variable, "%q has an unknown scheme: %s", value, mend)
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (p *parser) domain(variable, value string) jid.JID {
	j, err := jid.Parse(value)
	if err != nil || !j.Equal(j.Domain()) {
		p.problem(variable, "%q is not a domain: use letters, digits, hyphens and dots, such as muc.meet.jitsi", value)
		return jid.JID{}
	}
	return j
}

// list splits a comma-separated value.
func list(value string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }), func(s string) bool { return s == "" })
}

func (p *parser) mucDomains(value, component string) (domains []jid.JID) {
	const variable = "MUC_DOMAIN"
	for _, v := range list(value) {
		j := p.domain(variable, v)
		switch {
		case slices.ContainsFunc(domains, j.Equal):
			p.problem(variable, "names %s twice", v)
		case j.String() == component:
			p.problem(variable, "%s is PPCH_COMPONENT_DOMAIN: name the MUC domain of your Jitsi, such as muc.meet.jitsi", v)
		default:
			domains = append(domains, j)
		}
	}
	if len(domains) == 0 {
		p.problem(variable, "names no domain: name the MUC domain of your Jitsi, such as muc.meet.jitsi")
	}
	return domains
}

func (p *parser) admins(value string) (admins []jid.JID) {
	for _, v := range list(value) {
		j, err := jid.Parse(v)
		if err != nil || !j.Equal(j.Bare()) {
			p.problem("PPCH_ADMIN_JIDS", "%q is neither a bare JID nor a domain: write admin@example.com or example.com", v)
			continue
		}
		admins = append(admins, j)
	}
	return admins
}

func (p *parser) boolean(variable, value string) bool {
	switch strings.ToLower(value) {
	case "true", "1", "yes", "on", "y", "t":
		return true
	case "false", "0", "no", "off", "n", "f":
		return false
	}
	p.problem(variable, "%q is neither true nor false", value)
	return false
}

func (p *parser) zone(value string) *time.Location {
	z, err := time.LoadLocation(value)
	if err != nil {
		p.problem("TZ", "%q is not a time zone: use a name such as Europe/Berlin or UTC", value)
		return time.UTC
	}
	return z
}
