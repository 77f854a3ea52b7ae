package config

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// Settings are the environment variables as they are set. A test compares README's table and .env.example with this list.
type Settings struct {
	APIKey     Secret `env:"PPCH_API_KEY" help:"key that clients send as X-API-Key or as a Bearer token; required"`
	APIKeyFile string `env:"PPCH_API_KEY_FILE" help:"file that holds the key, instead of PPCH_API_KEY"`
	KeysFile   string `env:"PPCH_API_KEYS_FILE" help:"file of restricted keys, with or instead of PPCH_API_KEY; ppch key new prints its lines"`
	RateLimit  string `env:"PPCH_RATE_LIMIT, default=100" help:"requests a second with one key, with bursts of twice as many; 0 disables the limit"`

	Host string `env:"PPCH_HOST, default=127.0.0.1" help:"address to listen on; 0.0.0.0 for all"`
	Port string `env:"PPCH_PORT, default=8890" help:"TCP port to listen on; 0 for any free one"`

	TLSCert string `env:"PPCH_TLS_CERT" help:"PEM file with the certificate and its chain; enables HTTPS"`
	TLSKey  string `env:"PPCH_TLS_KEY" help:"PEM file with the certificate's key"`

	PublicURL      string `env:"PPCH_PUBLIC_URL" help:"URL by which clients reach the service, such as https://ppch.example.com"`
	Hosts          string `env:"PPCH_HOSTS" help:"further DNS names that requests without a key may use, separated by commas"`
	TrustedProxies string `env:"PPCH_TRUSTED_PROXIES" help:"addresses and networks of reverse proxies on other machines, separated by commas; exempt from the limit on connections per address"`

	MeetURL  string `env:"PPCH_MEET_URL" help:"URL of Jitsi Meet, such as https://meet.example.com, for links to meetings; domain=url for further MUC domains, separated by commas"`
	SiteName string `env:"PPCH_SITE_NAME" help:"name of this site, shown on its pages"`

	CORSOrigins   string `env:"PPCH_CORS_ORIGINS" help:"origins of web pages that may read responses, separated by commas"`
	EmbedOrigins  string `env:"PPCH_EMBED_ORIGINS" help:"origins of web pages that may show share links in a frame, separated by commas"`
	MetricsPublic string `env:"PPCH_METRICS_PUBLIC, default=false" help:"true serves /metrics without a key"`

	ProsodyURL string `env:"PROSODY_URL, default=xmpp://prosody:5347" help:"Prosody's component port; for an http:// address, only its host is used"`

	ComponentDomain     string `env:"PPCH_COMPONENT_DOMAIN, default=ppch.meet.jitsi" help:"the component's name in Prosody's configuration"`
	ComponentSecret     Secret `env:"PPCH_COMPONENT_SECRET" help:"component_secret of the component in Prosody's configuration; required"`
	ComponentSecretFile string `env:"PPCH_COMPONENT_SECRET_FILE" help:"file that holds the secret, instead of PPCH_COMPONENT_SECRET"`

	ClusterSecret     Secret `env:"PPCH_CLUSTER_SECRET" help:"secret that seals tickets and cursors, the same for all nodes behind one address; PPCH_COMPONENT_SECRET unless set"`
	ClusterSecretFile string `env:"PPCH_CLUSTER_SECRET_FILE" help:"file that holds the secret, instead of PPCH_CLUSTER_SECRET"`

	ShardsFile string `env:"PPCH_SHARDS_FILE" help:"file with the Prosodys to watch if there are several, one a line, instead of PROSODY_URL, PPCH_COMPONENT_DOMAIN and MUC_DOMAIN"`

	NATSURL          string `env:"PPCH_NATS_URL" help:"servers of NATS that carry shards between services, such as nats://nats:4222, separated by commas"`
	NATSPrefix       string `env:"PPCH_NATS_PREFIX, default=ppch" help:"what all subjects begin with"`
	NATSCreds        string `env:"PPCH_NATS_CREDS" help:"file with the credentials of a user of NATS"`
	NATSUser         string `env:"PPCH_NATS_USER" help:"name of a user of NATS, instead of PPCH_NATS_CREDS"`
	NATSPassword     Secret `env:"PPCH_NATS_PASSWORD" help:"the user's password"`
	NATSPasswordFile string `env:"PPCH_NATS_PASSWORD_FILE" help:"file that holds the password, instead of PPCH_NATS_PASSWORD"`
	NATSCA           string `env:"PPCH_NATS_CA" help:"PEM file with the authorities of the servers' certificates, instead of the system's"`
	NATSCert         string `env:"PPCH_NATS_CERT" help:"PEM file with a client certificate for NATS"`
	NATSKey          string `env:"PPCH_NATS_KEY" help:"PEM file with the client certificate's key"`

	ConfigFromNATS string `env:"PPCH_CONFIG_FROM_NATS, default=false" help:"true keeps API keys, share links and webhooks in NATS, so that all nodes have them; needs JetStream, and excludes PPCH_API_KEYS_FILE"`

	WebhookDeliverer string `env:"PPCH_WEBHOOK_DELIVERER" help:"component of the PPCH that delivers webhooks, of two that watch this Prosody; the other one takes over after 60 s of silence"`

	MUCDomains string `env:"MUC_DOMAIN, default=muc.meet.jitsi" help:"MUC domains to watch, separated by commas, main one first"`
	NotCounted string `env:"PPCH_NOT_COUNTED" help:"patterns of real JIDs of occupants that don't count, such as bots=*@bots.example.com, separated by commas"`
	AdminJIDs  string `env:"PPCH_ADMIN_JIDS" help:"bare JIDs or domains of admins who may inspect rooms by XMPP, separated by commas"`

	MaxStaleness string `env:"PPCH_MAX_STALENESS, default=30s" help:"maximum age of data from the Lua module; older data is a 503; at least 15s"`

	MaxStreams string `env:"PPCH_MAX_STREAMS, default=10000" help:"maximum number of concurrent event streams"`

	DataDir     string `env:"PPCH_DATA_DIR" help:"folder on a local disk for past meetings and webhooks, which need it; nothing is stored unless set"`
	History     string `env:"PPCH_HISTORY, default=off" help:"what is recorded of meetings: off, numbers, pseudonyms or names; needs PPCH_DATA_DIR"`
	HistoryDays string `env:"PPCH_HISTORY_DAYS, default=30" help:"days after which a stay is deleted, counted from its end; 1 to 3660"`

	WebhookPrivate string `env:"PPCH_WEBHOOK_PRIVATE, default=false" help:"true lets webhooks reach private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7)"`
	WebhookAllow   string `env:"PPCH_WEBHOOK_ALLOW" help:"further addresses and networks that webhooks may reach, such as 127.0.0.1, separated by commas"`

	WebhookLogDays string `env:"PPCH_WEBHOOK_LOG_DAYS, default=3" help:"days for which deliveries of webhooks and their bodies are kept; 1 to 30"`

	LegacyRoutes string `env:"PPCH_LEGACY_ROUTES, default=false" help:"true adds the routes /room-size, /room and /room-census of Jitsi's mod_muc_size and mod_muc_census"`

	PprofAddr string `env:"PPCH_PPROF_ADDR" help:"loopback address and port for go tool pprof, such as 127.0.0.1:6060"`

	Debug string `env:"DEBUG, default=false" help:"true logs every request and room name"`
	TZ    string `env:"TZ, default=UTC" help:"time zone of the log"`

	unknown []string // warnings of variables that don't exist
}

// Read reads the environment. An empty variable counts as not set: compose files pass unset variables like that.
func Read(ctx context.Context, env Lookuper) (Settings, error) {
	var s Settings
	if err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &s, Lookuper: nonEmpty{env}}); err != nil {
		return Settings{}, fmt.Errorf("environment: %w", err)
	}
	if named, ok := env.(interface{ Names() []string }); ok {
		s.unknown = Unknown(named.Names(), nonEmpty{env}.Lookup)
	}
	return s, nil
}

// nonEmpty is a Lookuper without empty variables and without white space around values.
type nonEmpty struct{ Lookuper }

func (l nonEmpty) Lookup(key string) (string, bool) {
	v, ok := l.Lookuper.Lookup(key)
	v = strings.TrimSpace(v)
	return v, ok && v != ""
}

// Variable documents an environment variable.
type Variable struct{ Name, Default, Help string }

// Variables returns all variables in the order of Settings.
func Variables() (all []Variable) {
	for f := range reflect.TypeFor[Settings]().Fields() {
		if !f.IsExported() {
			continue
		}
		name, def, _ := strings.Cut(f.Tag.Get("env"), ", default=")
		all = append(all, Variable{name, def, f.Tag.Get("help")})
	}
	return all
}

// URL returns where commands on the same machine reach the service.
func (s Settings) URL() string { return LocalURL(s.Host, s.Port, s.TLSCert != "") }

// LocalURL returns the URL of a service on the same machine that listens on host and port.
func LocalURL(host, port string, https bool) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	scheme := "http://"
	if https {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}
