package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the image has no zone files

	"github.com/sethvargo/go-envconfig"
	"mellium.im/xmpp/jid"

	"ppch/api"
)

// config is what the settings mean.
type config struct {
	apiKey    secret // empty only if there is a keysFile
	keysFile  string
	rateLimit int    // requests a second; 0 is any number
	listen    string // host:port

	tlsCert, tlsKey string // files, both or none

	hosts         api.Hosts
	proxies       []netip.Prefix
	origins       []string
	metricsPublic bool

	prosody string // host:port
	domain  jid.JID
	secret  secret
	sealing secret // PPCH_CLUSTER_SECRET, or else the component's

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
	c.sealing = p.clusterSecret(s, c.secret)
	c.mucDomains = p.mucDomains("MUC_DOMAIN", s.MUCDomains, c.domain)
	c.admins = p.admins("PPCH_ADMIN_JIDS", s.AdminJIDs, append(slices.Clone(c.mucDomains), c.domain))
	c.maxStaleness = p.duration("PPCH_MAX_STALENESS", s.MaxStaleness)
	c.tlsCert, c.tlsKey = p.pair("PPCH_TLS_CERT", s.TLSCert, "PPCH_TLS_KEY", s.TLSKey)
	c.hosts = p.hosts(s)
	c.proxies = p.networks("PPCH_TRUSTED_PROXIES", s.TrustedProxies)
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

// list splits a comma-separated value.
func list(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
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
