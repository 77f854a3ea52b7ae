package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// settings are the environment variables as they are set; config.go makes sense of them.
// No other file names one, and a test holds README's table and .env.example against this list.
type settings struct {
	APIKey     secret `env:"PPCH_API_KEY" help:"key that clients send as X-API-Key or as a Bearer token; required"`
	APIKeyFile string `env:"PPCH_API_KEY_FILE" help:"file that holds the key, instead of PPCH_API_KEY"`
	KeysFile   string `env:"PPCH_API_KEYS_FILE" help:"file of keys that may do less, with or instead of PPCH_API_KEY; ppch key new makes its lines"`
	RateLimit  string `env:"PPCH_RATE_LIMIT, default=100" help:"requests a second with one key, and twice as many at once; 0 for any number"`

	Host string `env:"PPCH_HOST, default=127.0.0.1" help:"address to listen on; 0.0.0.0 for all"`
	Port string `env:"PPCH_PORT, default=8890" help:"TCP port to listen on; 0 for any free one"`

	TLSCert string `env:"PPCH_TLS_CERT" help:"file that holds the certificate with its chain, PEM: the API speaks HTTPS then"`
	TLSKey  string `env:"PPCH_TLS_KEY" help:"file that holds the certificate's key, PEM"`

	PublicURL      string `env:"PPCH_PUBLIC_URL" help:"where clients reach the service, such as https://ppch.example.com"`
	Hosts          string `env:"PPCH_HOSTS" help:"further DNS names by which it may be asked without a key, separated by commas"`
	TrustedProxies string `env:"PPCH_TRUSTED_PROXIES" help:"addresses and networks of reverse proxies on other machines, separated by commas, for which the bound on connections of one address doesn't hold"`

	CORSOrigins   string `env:"PPCH_CORS_ORIGINS" help:"origins of web pages that may read answers, separated by commas"`
	MetricsPublic string `env:"PPCH_METRICS_PUBLIC, default=false" help:"true lets anybody read /metrics, without a key"`

	ProsodyURL string `env:"PROSODY_URL, default=xmpp://prosody:5347" help:"Prosody's component port; of an http:// address only the host is used"`

	ComponentDomain     string `env:"PPCH_COMPONENT_DOMAIN, default=ppch.meet.jitsi" help:"the component's name in Prosody's configuration"`
	ComponentSecret     secret `env:"PPCH_COMPONENT_SECRET" help:"its component_secret; required"`
	ComponentSecretFile string `env:"PPCH_COMPONENT_SECRET_FILE" help:"file that holds the secret, instead of PPCH_COMPONENT_SECRET"`

	ClusterSecret     secret `env:"PPCH_CLUSTER_SECRET" help:"secret that seals tickets and cursors, the same for all nodes behind one address; PPCH_COMPONENT_SECRET unless set"`
	ClusterSecretFile string `env:"PPCH_CLUSTER_SECRET_FILE" help:"file that holds it, instead of PPCH_CLUSTER_SECRET"`

	MUCDomains string `env:"MUC_DOMAIN, default=muc.meet.jitsi" help:"MUC domains to watch, separated by commas, main one first"`
	AdminJIDs  string `env:"PPCH_ADMIN_JIDS" help:"bare JIDs or domains of admins who may inspect rooms by XMPP, separated by commas"`

	MaxStaleness string `env:"PPCH_MAX_STALENESS, default=30s" help:"how old what the Lua module told may be and still be an answer; 15s at least"`

	MaxStreams string `env:"PPCH_MAX_STREAMS, default=10000" help:"how many event streams there may be at a time"`

	PprofAddr string `env:"PPCH_PPROF_ADDR" help:"loopback address and port on which to serve profiles for go tool pprof, such as 127.0.0.1:6060"`

	Debug string `env:"DEBUG, default=false" help:"true logs every request and room name"`
	TZ    string `env:"TZ, default=UTC" help:"time zone of the log"`
}

// readSettings reads the environment. A variable that is set to nothing counts as not set, as compose files leave it.
func readSettings(ctx context.Context, env envconfig.Lookuper) (settings, error) {
	var s settings
	if err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &s, Lookuper: nonEmpty{env}}); err != nil {
		return settings{}, fmt.Errorf("environment: %w", err)
	}
	return s, nil
}

// nonEmpty is a Lookuper that knows no empty variables, and no white space around values.
type nonEmpty struct{ envconfig.Lookuper }

func (l nonEmpty) Lookup(key string) (string, bool) {
	v, ok := l.Lookuper.Lookup(key)
	v = strings.TrimSpace(v)
	return v, ok && v != ""
}

// settingsHelp lists the variables for --help.
func settingsHelp() string {
	var b strings.Builder
	for f := range reflect.TypeFor[settings]().Fields() {
		name, def, _ := strings.Cut(f.Tag.Get("env"), ", default=")
		fmt.Fprintf(&b, "  %s\n      %s", name, f.Tag.Get("help"))
		if def != "" {
			fmt.Fprintf(&b, " (default %s)", def)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
