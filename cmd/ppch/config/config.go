// Package config turns the environment into a Config. Only this package knows the names of environment variables.
package config

import (
	"context"
	"errors"
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

	"ppch/api/keys"
	"ppch/api/webhook"
	"ppch/component/cluster"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// Config is the validated configuration of the service.
type Config struct {
	APIKey    Secret // empty only if there is a KeysFile, or ConfigFromNATS
	KeysFile  string
	RateLimit int    // requests a second with one key; 0 is unlimited
	Listen    string // host:port

	TLSCert, TLSKey string // files, both or none

	PublicURL      string // empty if it is not set
	Hosts          []string
	TrustedProxies []netip.Prefix
	Origins        []string
	SiteName       string
	MeetURLs       map[string]string // by MUC domain, see [occupancy.NameResolver.WithMeetURLs]
	EmbedOrigins   []string
	MetricsPublic  bool
	LegacyRoutes   bool

	Prosody       string // host:port
	Domain        jid.JID
	Secret        Secret
	ClusterSecret Secret // PPCH_CLUSTER_SECRET, or else Secret

	// Shards are the Prosodys to watch, retired ones included. Prosody, Domain and Secret above are those of the first one via XMPP,
	// and zero if there is none. ShardsFile is the file they are from, empty for none.
	Shards     []Shard
	ShardsFile string
	LoadShards func() ([]Shard, error) // reads the file again; nil without one

	NATS         cluster.Config // without secrets, and without URLs if there is no NATS
	NATSPassword Secret

	ConfigFromNATS bool // keys are in NATS

	MUCDomains []jid.JID // of all shards in service
	Admins     []jid.JID
	NotCounted []occupancy.Rule

	MaxStaleness time.Duration
	MaxStreams   int

	DataDir     string // empty for none
	History     history.Level
	HistoryDays int

	WebhookReach   webhook.Reach
	WebhookLogDays int

	Pprof string // host:port; empty for none

	Debug bool
	Zone  *time.Location

	Warnings []string // the service runs despite them
}

// Lookuper is an environment. One that also has a method Names() []string is searched for unknown variables.
type Lookuper = envconfig.Lookuper

// OS returns the environment of this process.
func OS() Lookuper { return osEnvironment{envconfig.OsLookuper()} }

// Load reads the configuration of the service. Wrong values are an error of type Errors.
func Load(ctx context.Context, env Lookuper) (Config, error) {
	s, err := Read(ctx, env)
	if err != nil {
		return Config{}, err
	}
	return s.Config()
}

// Config validates the settings. Its error, of type Errors, names every variable that is wrong and how to fix it.
func (s Settings) Config() (Config, error) {
	p := &parser{}
	c := Config{
		APIKey:    p.apiKey(s),
		KeysFile:  s.KeysFile,
		RateLimit: p.count("PPCH_RATE_LIMIT", s.RateLimit),
		Listen:    net.JoinHostPort(p.host("PPCH_HOST", s.Host), p.port("PPCH_PORT", s.Port, 0)),

		Shards: p.shards(s), ShardsFile: s.ShardsFile,
	}
	if s.ShardsFile != "" {
		c.LoadShards = s.LoadShards
	}
	components := c.setFirst()
	c.ClusterSecret = p.clusterSecret(s, c.Secret)
	c.NATS, c.NATSPassword = p.nats(s, c.ClusterSecret)
	c.ConfigFromNATS = p.configFromNATS(s)
	for _, shard := range c.Shards {
		if shard.Via == ViaNATS && s.NATSURL == "" && shard.Retired.IsZero() {
			p.problem("PPCH_NATS_URL", "is not set, but the shard %s is via=nats: set it to the servers, such as nats://nats:4222", shard.Name)
		}
	}
	p.deliverers(c.Shards, s)
	c.MUCDomains = mucDomainsOf(c.Shards)
	c.Admins = p.admins("PPCH_ADMIN_JIDS", s.AdminJIDs, append(components, c.MUCDomains...))
	c.NotCounted = p.notCounted("PPCH_NOT_COUNTED", s.NotCounted, c.MUCDomains)
	c.MaxStaleness = p.duration("PPCH_MAX_STALENESS", s.MaxStaleness)
	c.TLSCert, c.TLSKey = p.pair("PPCH_TLS_CERT", s.TLSCert, "PPCH_TLS_KEY", s.TLSKey)
	c.PublicURL = s.PublicURL
	c.Hosts = p.hosts(s)
	c.TrustedProxies = p.networks("PPCH_TRUSTED_PROXIES", s.TrustedProxies)
	c.Origins = p.origins("PPCH_CORS_ORIGINS", s.CORSOrigins)
	c.SiteName = s.SiteName
	c.MeetURLs = p.meetURLs("PPCH_MEET_URL", s.MeetURL, c.MUCDomains)
	c.EmbedOrigins = p.origins("PPCH_EMBED_ORIGINS", s.EmbedOrigins)
	c.MetricsPublic = p.boolean("PPCH_METRICS_PUBLIC", s.MetricsPublic)
	c.MaxStreams = p.number("PPCH_MAX_STREAMS", s.MaxStreams, 1, 1_000_000)
	c.DataDir, c.History = p.dataDir(s, c.Shards), p.history(s)
	c.HistoryDays = p.number("PPCH_HISTORY_DAYS", s.HistoryDays, 1, 3660)
	c.WebhookReach = webhook.Reach{Private: p.boolean("PPCH_WEBHOOK_PRIVATE", s.WebhookPrivate), Allow: p.networks("PPCH_WEBHOOK_ALLOW", s.WebhookAllow)}
	c.WebhookLogDays = p.number("PPCH_WEBHOOK_LOG_DAYS", s.WebhookLogDays, 1, 30)
	c.LegacyRoutes = p.boolean("PPCH_LEGACY_ROUTES", s.LegacyRoutes)
	c.Pprof = p.loopback("PPCH_PPROF_ADDR", s.PprofAddr)
	c.Debug = p.boolean("DEBUG", s.Debug)
	c.Zone = p.zone("TZ", s.TZ)
	p.keysFile("PPCH_API_KEYS_FILE", c)
	p.warnings = append(p.warnings, s.unknown...)
	c.Warnings = p.warnings
	if len(p.problems) > 0 {
		return Config{}, append(p.problems, s.unknown...) // a misspelled variable can be the cause
	}
	return c, nil
}

// setFirst sets the Prosody of the first shard via XMPP, and returns the components of all.
func (c *Config) setFirst() (components []jid.JID) {
	for _, s := range c.Shards {
		if s.Via != ViaXMPP || !s.Retired.IsZero() {
			continue
		}
		if c.Prosody == "" {
			c.Prosody, c.Domain, c.Secret = s.Prosody, s.Domain, s.Secret
		}
		components = append(components, s.Domain)
	}
	return components
}

// Names returns how room names are read with this configuration.
func (c Config) Names() *occupancy.NameResolver {
	return occupancy.NewNameResolver(c.MUCDomains...).WithMeetURLs(c.MeetURLs)
}

// Names returns how room names are read, for commands that need no other settings.
func (s Settings) Names() (*occupancy.NameResolver, error) {
	p := &parser{}
	c := Config{}
	if s.ShardsFile == "" {
		c.MUCDomains = p.mucDomains("MUC_DOMAIN", s.MUCDomains, p.domain("PPCH_COMPONENT_DOMAIN", s.ComponentDomain))
	} else {
		shards, err := s.ShardsOfFile()
		if err != nil {
			p.problem("PPCH_SHARDS_FILE", "%v", err)
		}
		c.MUCDomains = mucDomainsOf(shards)
	}
	c.MeetURLs = p.meetURLs("PPCH_MEET_URL", s.MeetURL, c.MUCDomains)
	if len(p.problems) > 0 {
		return nil, errors.New(strings.Join(p.problems, "\n  "))
	}
	return c.Names(), nil
}

// ShareLink returns the share link with a token: a URL, or a path if PPCH_PUBLIC_URL is not set.
func (s Settings) ShareLink(token string) (string, error) {
	p := &parser{}
	if p.publicURL("PPCH_PUBLIC_URL", s.PublicURL); len(p.problems) > 0 {
		return "", p.problems
	}
	return strings.TrimRight(s.PublicURL, "/") + "/s/" + token, nil
}

// ClientKey returns the API key with which commands call a running service.
func (s Settings) ClientKey() (Secret, error) {
	p := &parser{}
	key := p.secret("PPCH_API_KEY", s.APIKey, s.APIKeyFile, "it is one of the service's keys")
	if len(p.problems) > 0 {
		return Secret{}, errors.New(p.problems[0])
	}
	return key, nil
}

// Errors are all problems of a configuration, each with the variable first.
type Errors []string

func (e Errors) Error() string {
	return "the configuration is wrong:\n  " + strings.Join(e, "\n  ")
}

// parser turns settings into values and collects their problems.
type parser struct {
	problems Errors
	warnings []string
}

func (p *parser) problem(variable, format string, args ...any) {
	p.problems = append(p.problems, variable+": "+fmt.Sprintf(format, args...))
}

// list splits a value at commas and white space.
func list(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// keysFile checks the file of API keys. Its patterns of rooms need the MUC domains.
func (p *parser) keysFile(variable string, c Config) {
	if c.KeysFile == "" || len(c.MUCDomains) == 0 {
		return
	}
	_, err := keys.NewKeyring(keys.KeyringConfig{Key: c.APIKey.Reveal(), File: c.KeysFile, Names: c.Names()})
	if err != nil {
		p.problem(variable, "%s", strings.ReplaceAll(strings.TrimPrefix(err.Error(), "keys: "), "\n", "\n  "))
	}
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
		p.problem(variable, "%q is not a number from 0 to 1048575; 0 disables the limit", value)
	}
	return int(n)
}

// dataDir warns of a folder that stays unused.
func (p *parser) dataDir(s Settings, shards []Shard) string {
	if s.DataDir != "" && !slices.ContainsFunc(shards, func(one Shard) bool { return one.Via == ViaXMPP }) {
		p.warnings = append(p.warnings, "PPCH_DATA_DIR has no use here, because all shards are via=nats: their collectors record meetings and deliver webhooks; set it for them instead")
	}
	return s.DataDir
}

func (p *parser) history(s Settings) history.Level {
	level, err := history.ParseLevel(s.History)
	switch {
	case err != nil:
		p.problem("PPCH_HISTORY", "%q is not a level: use off, numbers, pseudonyms or names", s.History)
	case level > history.LevelOff && s.DataDir == "":
		p.problem("PPCH_HISTORY", "%s needs a folder: set PPCH_DATA_DIR", s.History)
	}
	return level
}

// minStaleness is longer than the longest pause between two heartbeats of the Lua module.
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
