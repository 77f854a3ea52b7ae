package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
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
	apiKey    secret // empty only if there is a keysFile
	keysFile  string
	rateLimit int    // requests a second; 0 is any number
	listen    string // host:port

	tlsCert, tlsKey string // files, both or none

	origins       []string
	metricsPublic bool

	prosody string // host:port
	domain  jid.JID
	secret  secret

	mucDomains []jid.JID
	admins     []jid.JID

	maxStaleness time.Duration
	maxStreams   int

	pprof string // host:port; empty for none

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
		apiKey:    p.apiKey(s),
		keysFile:  s.KeysFile,
		rateLimit: p.count("PPCH_RATE_LIMIT", s.RateLimit),
		listen:    net.JoinHostPort(p.host("PPCH_HOST", s.Host), p.port("PPCH_PORT", s.Port, 0)),

		prosody: p.prosody("PROSODY_URL", s.ProsodyURL),
		domain:  p.domain("PPCH_COMPONENT_DOMAIN", s.ComponentDomain),
		secret: p.secret("PPCH_COMPONENT_SECRET", s.ComponentSecret, s.ComponentSecretFile,
			"it is the component_secret in Prosody's configuration"),
	}
	c.mucDomains = p.mucDomains("MUC_DOMAIN", s.MUCDomains, c.domain)
	c.admins = p.admins("PPCH_ADMIN_JIDS", s.AdminJIDs, append(slices.Clone(c.mucDomains), c.domain))
	c.maxStaleness = p.duration("PPCH_MAX_STALENESS", s.MaxStaleness)
	c.tlsCert, c.tlsKey = p.pair("PPCH_TLS_CERT", s.TLSCert, "PPCH_TLS_KEY", s.TLSKey)
	c.origins = p.origins("PPCH_CORS_ORIGINS", s.CORSOrigins)
	c.metricsPublic = p.boolean("PPCH_METRICS_PUBLIC", s.MetricsPublic)
	c.maxStreams = p.number("PPCH_MAX_STREAMS", s.MaxStreams, 1, 1_000_000)
	c.pprof = p.loopback("PPCH_PPROF_ADDR", s.PprofAddr)
	c.debug = p.boolean("DEBUG", s.Debug)
	c.zone = p.zone("TZ", s.TZ)
	c.warnings = p.warnings
	if len(p.problems) > 0 {
		return config{}, configFaults(p.problems)
	}
	return c, nil
}

// configFaults are all that is wrong with the settings.
type configFaults []string

func (f configFaults) Error() string {
	return "the configuration is wrong:\n  " + strings.Join(f, "\n  ")
}

// parser turns settings into values and collects what is wrong with them.
type parser struct{ problems, warnings []string }

func (p *parser) problem(variable, format string, args ...any) {
	p.problems = append(p.problems, variable+": "+fmt.Sprintf(format, args...))
}

// placeholders are what examples, ours and those of others, have where a secret belongs.
var placeholders = []string{"change-me", "changeme", "your-api-key", "your-secret", "the secret"}

func (p *parser) secret(variable string, value secret, file, mend string) secret {
	text := value.reveal()
	switch {
	case text != "" && file != "":
		p.problem(variable, "is set, and %s_FILE as well: keep one of them", variable)
		return secret{}
	case file != "":
		variable += "_FILE"
		b, err := os.ReadFile(file)
		if err != nil {
			p.problem(variable, "can't be read: %v", err)
			return secret{}
		}
		if text = strings.TrimSpace(string(b)); text == "" {
			p.problem(variable, "%s is empty: %s", file, mend)
			return secret{}
		}
	case text == "":
		p.problem(variable, "is not set, nor is %s_FILE: %s", variable, mend)
		return secret{}
	}
	lower := strings.ToLower(text)
	switch {
	case slices.ContainsFunc(placeholders, func(prefix string) bool { return strings.HasPrefix(lower, prefix) }):
		p.problem(variable, "is still the placeholder of an example: %s", mend)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		p.problem(variable, "holds a control character or more than one line: %s", mend)
	}
	return newSecret(text)
}

// apiKey returns no secret where a file of keys makes one unnecessary.
func (p *parser) apiKey(s settings) secret {
	if s.KeysFile != "" && s.APIKey.reveal() == "" && s.APIKeyFile == "" {
		return secret{}
	}
	const mend = "make one with: openssl rand -hex 16"
	key := p.secret("PPCH_API_KEY", s.APIKey, s.APIKeyFile, mend)
	if len(key.reveal()) < 16 {
		p.warnings = append(p.warnings, "PPCH_API_KEY is short enough to be guessed; "+mend)
	}
	return key
}

func (p *parser) host(variable, value string) string {
	if _, err := netip.ParseAddr(value); err != nil && strings.ContainsAny(value, ":/[] ") {
		p.problem(variable, "%q is neither an IP address nor a host name: use 127.0.0.1, or 0.0.0.0 for all; the port is PPCH_PORT", value)
	}
	return value
}

func (p *parser) port(variable, value string, lowest uint64) string {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil || n < lowest {
		p.problem(variable, "%q is not a port: use a number from %d to 65535", value, lowest)
	}
	return strconv.FormatUint(n, 10)
}

// componentPort is what Prosody's component_ports is unless changed.
const componentPort = "5347"

func (p *parser) prosody(variable, value string) string {
	const mend = "use xmpp://HOST:PORT with Prosody's component port, such as xmpp://prosody:5347"
	if strings.Contains(value, "@") {
		p.problem(variable, "holds a user name, and maybe a password that is not shown here: %s", mend)
		return ""
	}
	u, err := url.Parse(value)
	// What package url takes for the host may still hold a colon: prosody:5347:5280.
	if err != nil || u.Hostname() == "" || strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "[") {
		p.problem(variable, "%q is not an address: %s", value, mend)
		return ""
	}
	port := componentPort
	switch u.Scheme {
	case "xmpp":
		if u.Port() != "" {
			port = p.port(variable, u.Port(), 1)
		}
	case "http", "https":
		p.warnings = append(p.warnings, variable+
			" is an HTTP address, as earlier versions had it: using its host with the component port, xmpp://"+net.JoinHostPort(u.Hostname(), port))
	default:
		p.problem(variable, "%q has an unknown scheme: %s", value, mend)
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// domain returns the zero JID for what is none.
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
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func (p *parser) mucDomains(variable, value string, component jid.JID) (domains []jid.JID) {
	const mend = "name the MUC domain of your Jitsi, such as muc.meet.jitsi"
	names := list(value)
	if len(names) == 0 {
		p.problem(variable, "names no domain: %s", mend)
	}
	for _, v := range names {
		switch j := p.domain(variable, v); {
		case j.Equal(jid.JID{}):
		case j.Equal(component):
			p.problem(variable, "%s is PPCH_COMPONENT_DOMAIN: %s", v, mend)
		case slices.ContainsFunc(domains, j.Equal):
			p.problem(variable, "names %s twice", v)
		default:
			domains = append(domains, j)
		}
	}
	return domains
}

// admins reads who may inspect rooms by XMPP. Nobody logs in at a component, so none of these can be an admin's domain.
func (p *parser) admins(variable, value string, components []jid.JID) (admins []jid.JID) {
	for _, v := range list(value) {
		j, err := jid.Parse(v)
		switch {
		case err != nil || !j.Equal(j.Bare()):
			p.problem(variable, "%q is neither a bare JID nor a domain: write admin@example.com or example.com", v)
			continue
		case slices.ContainsFunc(components, j.Domain().Equal):
			p.problem(variable, "%s is on a component, where nobody logs in: name an account of a VirtualHost, such as admin@auth.meet.jitsi", v)
			continue
		case j.Localpart() == "":
			p.warnings = append(p.warnings, fmt.Sprintf("%s names all of %s: whoever can log in there, be it as a guest without a password, "+
				"sees who is in every room; unless only admins can, name their JIDs instead", variable, j))
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

func (p *parser) count(variable, value string) int {
	n, err := strconv.ParseUint(value, 10, 20)
	if err != nil {
		p.problem(variable, "%q is not a number from 0 to 1048575; 0 is without bound", value)
	}
	return int(n)
}

// minStaleness is longer than the pause between two heartbeats of the Lua module can be.
const minStaleness = 15 * time.Second

func (p *parser) duration(variable, value string) time.Duration {
	d, err := time.ParseDuration(value)
	if err != nil || d < minStaleness {
		p.problem(variable, "%q is not a time of at least %s: use one such as 30s or 2m", value, minStaleness)
	}
	return d
}

func (p *parser) number(variable, value string, lowest, highest int) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < lowest || n > highest {
		p.problem(variable, "%q is not a number from %d to %d", value, lowest, highest)
	}
	return n
}

func (p *parser) zone(variable, value string) *time.Location {
	z, err := time.LoadLocation(value)
	if err != nil {
		p.problem(variable, "%q is not a time zone: use a name such as Europe/Berlin or UTC", value)
		return time.UTC
	}
	return z
}
