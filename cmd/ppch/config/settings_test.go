package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/cmd/ppch/config"
)

// plain is a Config as text, secrets included, for readable differences.
type plain struct {
	APIKey, KeysFile, Listen, Prosody, Domain, Secret, ClusterSecret, MUCDomains, Admins string

	RateLimit  int
	MaxStreams int
	Debug      bool
	Origins    string
	NotCounted string
	Proxies    string
	Allowed    string // names that requests without a key may use
	Zone       string
	Pprof      string
	History    string // folder, level and days
	Webhooks   string // what they may reach, and days of the log
	Warnings   []string
}

func plainOf(c config.Config) plain {
	return plain{
		APIKey: c.APIKey.Reveal(), KeysFile: c.KeysFile, RateLimit: c.RateLimit, Listen: c.Listen, Prosody: c.Prosody, Domain: c.Domain.String(), Secret: c.Secret.Reveal(), ClusterSecret: c.ClusterSecret.Reveal(),
		MUCDomains: jids(c.MUCDomains), Admins: jids(c.Admins), MaxStreams: c.MaxStreams, Origins: strings.Join(c.Origins, " "), Allowed: allowed(c.Hosts), Proxies: strings.Trim(fmt.Sprint(c.TrustedProxies), "[]"), Pprof: c.Pprof, NotCounted: strings.Trim(fmt.Sprint(c.NotCounted), "[]"), History: fmt.Sprint(c.DataDir, " ", c.History, " ", c.HistoryDays), Webhooks: fmt.Sprint(c.WebhookReach, " ", c.WebhookLogDays), Debug: c.Debug, Zone: c.Zone.String(), Warnings: c.Warnings,
	}
}

// allowed returns the names that requests without a key may use.
func allowed(hosts []string) string {
	var all []string
	for _, name := range []string{"ppch.example.com", "rooms.example.com", "ppch.internal.example", "evil.example.com"} {
		if slices.Contains(hosts, name) {
			all = append(all, name)
		}
	}
	return strings.Join(all, " ")
}

func jids(list []jid.JID) string { return strings.Trim(fmt.Sprint(list), "[]") }

// defaults is the configuration with only a key and a secret set.
func defaults() plain {
	return plain{
		APIKey: "0123456789abcdef", RateLimit: 100, Listen: "127.0.0.1:8890", Prosody: "prosody:5347", Domain: "ppch.meet.jitsi", Secret: "s3cret-of-a-test", ClusterSecret: "s3cret-of-a-test",
		MUCDomains: "muc.meet.jitsi", MaxStreams: 10000, Zone: "UTC", History: " off 30", Webhooks: "{false []} 3",
	}
}

func TestLoad_GoodValues(t *testing.T) {
	t.Parallel()
	const asHTTP = "PROSODY_URL is an HTTP address, as in version 1: using its host with the component port, xmpp://"
	key, secret := fileOf(t, "the key from a file\r\n"), fileOf(t, "\tsecret from a file\n\n")
	keysFile := fileOf(t, aKey+"\n")
	for _, tt := range []struct {
		name string
		in   variables
		want func(*plain)
	}{
		{"only a key and a secret", nil, func(*plain) {}},
		{"empty variables count as not set, as compose files leave them", variables{
			"PPCH_API_KEY_FILE": "", "PPCH_API_KEYS_FILE": "", "PPCH_RATE_LIMIT": "", "PPCH_COMPONENT_SECRET_FILE": "", "PPCH_HOST": "", "PPCH_PORT": " ", "PROSODY_URL": "",
			"PPCH_COMPONENT_DOMAIN": "", "MUC_DOMAIN": "", "PPCH_ADMIN_JIDS": "", "DEBUG": "", "TZ": "",
		}, func(*plain) {}},
		{"white space around a value is removed", variables{"PPCH_API_KEY": " 0123456789abcdef\n", "PPCH_PORT": "\t8890 ", "TZ": " UTC"}, func(*plain) {}},
		{"white space around a secret in a file is removed", variables{
			"PPCH_API_KEY": "-", "PPCH_API_KEY_FILE": key, "PPCH_COMPONENT_SECRET": "", "PPCH_COMPONENT_SECRET_FILE": secret,
		}, func(c *plain) {
			c.APIKey, c.Secret, c.ClusterSecret = "the key from a file", "secret from a file", "secret from a file"
		}},
		{"a dollar in a secret is a dollar", variables{"PPCH_API_KEY": "$HOME-${PATH}-$$x-abc", "PPCH_COMPONENT_SECRET": `a"b'c\d,e=f;g&h|i`},
			func(c *plain) {
				c.APIKey, c.Secret, c.ClusterSecret = "$HOME-${PATH}-$$x-abc", `a"b'c\d,e=f;g&h|i`, `a"b'c\d,e=f;g&h|i`
			}},
		{"a placeholder in the middle of a secret", variables{"PPCH_COMPONENT_SECRET": "please-do-change-me"}, func(c *plain) { c.Secret, c.ClusterSecret = "please-do-change-me", "please-do-change-me" }},
		{"a short secret works, with a warning", variables{"PPCH_COMPONENT_SECRET": "hunter2"}, func(c *plain) {
			c.Secret, c.ClusterSecret = "hunter2", "hunter2"
			c.Warnings = []string{"PPCH_COMPONENT_SECRET is short enough to be guessed from a ticket or a cursor, which it seals; make one with: openssl rand -hex 32"}
		}},
		{"a short secret needs no warning with a cluster secret", variables{"PPCH_COMPONENT_SECRET": "hunter2", "PPCH_CLUSTER_SECRET": "0123456789abcdef"}, func(c *plain) {
			c.Secret, c.ClusterSecret = "hunter2", "0123456789abcdef"
		}},
		{"a cluster secret", variables{"PPCH_CLUSTER_SECRET": "0123456789abcdef"}, func(c *plain) { c.ClusterSecret = "0123456789abcdef" }},
		{"a cluster secret in a file", variables{"PPCH_CLUSTER_SECRET_FILE": secret}, func(c *plain) { c.ClusterSecret = "secret from a file" }},
		{"a short key works, with a warning", variables{"PPCH_API_KEY": "0123456789abcde"}, func(c *plain) {
			c.APIKey, c.Warnings = "0123456789abcde", []string{"PPCH_API_KEY is short enough to be guessed; " + keyFix}
		}},

		{"a file of keys is enough", variables{"PPCH_API_KEY": "-", "PPCH_API_KEYS_FILE": keysFile}, func(c *plain) {
			c.APIKey, c.KeysFile = "", keysFile
		}},
		{"a file of keys and a key", variables{"PPCH_API_KEYS_FILE": keysFile}, func(c *plain) { c.KeysFile = keysFile }},
		{"a file of keys and a file with one key", variables{"PPCH_API_KEY": "-", "PPCH_API_KEY_FILE": key, "PPCH_API_KEYS_FILE": keysFile}, func(c *plain) {
			c.APIKey, c.KeysFile = "the key from a file", keysFile
		}},
		{"no rate limit", variables{"PPCH_RATE_LIMIT": "0"}, func(c *plain) { c.RateLimit = 0 }},

		{"names in any case, with a dot at the end", variables{"PPCH_HOSTS": "PPCH.example.com., rooms.example.com,192.0.2.1"}, func(c *plain) { c.Allowed = "ppch.example.com rooms.example.com" }},
		{"a public URL", variables{"PPCH_PUBLIC_URL": "https://PPCH.example.com:8443/ppch/"}, func(c *plain) { c.Allowed = "ppch.example.com" }},
		{"a public URL without a name", variables{"PPCH_PUBLIC_URL": "http://192.0.2.1"}, func(*plain) {}},
		{"a name to listen on", variables{"PPCH_HOST": "ppch.internal.example"}, func(c *plain) {
			c.Listen, c.Allowed = "ppch.internal.example:8890", "ppch.internal.example"
		}},

		{"proxies", variables{"PPCH_TRUSTED_PROXIES": "10.0.0.5, 10.1.2.3/16,fd00::5/64,2001:db8::1"}, func(c *plain) { c.Proxies = "10.0.0.5/32 10.1.0.0/16 fd00::/64 2001:db8::1/128" }},

		{"all interfaces", variables{"PPCH_HOST": "0.0.0.0", "PPCH_PORT": "80"}, func(c *plain) { c.Listen = "0.0.0.0:80" }},
		{"IPv6, and any free port", variables{"PPCH_HOST": "::1", "PPCH_PORT": "0"}, func(c *plain) { c.Listen = "[::1]:0" }},
		{"a name, and a port with a zero before it", variables{"PPCH_HOST": "localhost", "PPCH_PORT": "08890"}, func(c *plain) { c.Listen = "localhost:8890" }},

		{"Prosody elsewhere", variables{"PROSODY_URL": "xmpp://10.0.0.2:15347"}, func(c *plain) { c.Prosody = "10.0.0.2:15347" }},
		{"Prosody without a port", variables{"PROSODY_URL": "xmpp://localhost"}, func(c *plain) { c.Prosody = "localhost:5347" }},
		{"Prosody by IPv6", variables{"PROSODY_URL": "xmpp://[fd00::2]:15347/"}, func(c *plain) { c.Prosody = "[fd00::2]:15347" }},
		{"Prosody by IPv6 without a port", variables{"PROSODY_URL": "xmpp://[::1]"}, func(c *plain) { c.Prosody = "[::1]:5347" }},
		{"the HTTP address of version 1", variables{"PROSODY_URL": "http://prosody:5280"}, func(c *plain) {
			c.Warnings = []string{asHTTP + "prosody:5347"}
		}},
		{"compose's container name, underscores and all", variables{"PROSODY_URL": "http://docker-jitsi-meet_prosody_1:5280"}, func(c *plain) {
			c.Prosody, c.Warnings = "docker-jitsi-meet_prosody_1:5347", []string{asHTTP + "docker-jitsi-meet_prosody_1:5347"}
		}},
		{"HTTPS by IPv6", variables{"PROSODY_URL": "https://[::1]:5281/path"}, func(c *plain) {
			c.Prosody, c.Warnings = "[::1]:5347", []string{asHTTP + "[::1]:5347"}
		}},
		{"a scheme in upper case", variables{"PROSODY_URL": "XMPP://prosody:5347"}, func(*plain) {}},

		{"domains are lowered", variables{"PPCH_COMPONENT_DOMAIN": "PPCH.Meet.Example", "MUC_DOMAIN": "MUC.Meet.Example"}, func(c *plain) {
			c.Domain, c.MUCDomains = "ppch.meet.example", "muc.meet.example"
		}},
		{"several MUC domains, main one first", variables{"MUC_DOMAIN": "muc.meet.jitsi, breakout.meet.jitsi,lobby.meet.jitsi,"}, func(c *plain) {
			c.MUCDomains = "muc.meet.jitsi breakout.meet.jitsi lobby.meet.jitsi"
		}},
		{"admins by JID and by domain", variables{"PPCH_ADMIN_JIDS": "Ada@Meet.Jitsi, auth.meet.jitsi"}, func(c *plain) {
			c.Admins = "ada@meet.jitsi auth.meet.jitsi"
			c.Warnings = []string{"PPCH_ADMIN_JIDS allows every account of auth.meet.jitsi, guests without a password included, " +
				"to see who is in every room; name bare JIDs instead, unless only admins can log in there"}
		}},
		{"rules for bots", variables{"PPCH_NOT_COUNTED": "bots=*@bots.example.com, , minutes@meet.jitsi"}, func(c *plain) {
			c.NotCounted = "{bots *@bots.example.com} {minutes@meet.jitsi minutes@meet.jitsi}"
		}},
		{"a rule that may hide guests", variables{"PPCH_NOT_COUNTED": "b=bot*@meet.jitsi"}, func(c *plain) {
			c.NotCounted = "{b bot*@meet.jitsi}"
			c.Warnings = []string{`PPCH_NOT_COUNTED: "b=bot*@meet.jitsi" may hide guests, whose accounts at meet.jitsi have random names; name accounts instead`}
		}},
		{"origins as browsers send them", variables{"PPCH_CORS_ORIGINS": "HTTPS://Dash.Example:443, http://localhost:80,http://[::1]:3000 https://xn--bcher-kva.example:8443"}, func(c *plain) {
			c.Origins = "https://dash.example http://localhost http://[::1]:3000 https://xn--bcher-kva.example:8443"
		}},
		{"past meetings", variables{"PPCH_DATA_DIR": "/data", "PPCH_HISTORY": "pseudonyms", "PPCH_HISTORY_DAYS": "7"}, func(c *plain) { c.History = "/data pseudonyms 7" }},
		{"webhooks to private networks and this machine", variables{"PPCH_WEBHOOK_PRIVATE": "true", "PPCH_WEBHOOK_ALLOW": "127.0.0.1, 169.254.0.0/16", "PPCH_WEBHOOK_LOG_DAYS": "7"}, func(c *plain) {
			c.Webhooks = "{true [127.0.0.1/32 169.254.0.0/16]} 7"
		}},
		{"fewer streams", variables{"PPCH_MAX_STREAMS": "50"}, func(c *plain) { c.MaxStreams = 50 }},
		{"profiles on loopback", variables{"PPCH_PPROF_ADDR": "127.0.0.1:6060"}, func(c *plain) { c.Pprof = "127.0.0.1:6060" }},
		{"profiles on IPv6's loopback", variables{"PPCH_PPROF_ADDR": "[::1]:0"}, func(c *plain) { c.Pprof = "[::1]:0" }},
		{"debug is on", variables{"DEBUG": "TRUE"}, func(c *plain) { c.Debug = true }},
		{"debug is 1", variables{"DEBUG": "1"}, func(c *plain) { c.Debug = true }},
		{"debug is no", variables{"DEBUG": "no"}, func(*plain) {}},
		{"a time zone", variables{"TZ": "Europe/Berlin"}, func(c *plain) { c.Zone = "Europe/Berlin" }},
		{"variables of others", variables{"PPCH_CONTAINER_NAME": "ppch", "HTTP_PROXY": "http://proxy:3128"}, func(*plain) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := must(config.Load(t.Context(), environment(tt.in)))(t)
			want := defaults()
			tt.want(&want)
			same(t, "the configuration differs", want, plainOf(got))
		})
	}
}

func TestSettings_URLOnTheSameMachine(t *testing.T) {
	t.Parallel()
	for listens, want := range map[string]string{
		"0.0.0.0": "http://127.0.0.1:8890", "::": "http://[::1]:8890", "127.0.0.1": "http://127.0.0.1:8890", "::1": "http://[::1]:8890",
		"10.0.0.2": "http://10.0.0.2:8890", "localhost": "http://localhost:8890",
	} {
		if got := (config.Settings{Host: listens, Port: "8890"}).URL(); got != want {
			t.Errorf("%s: got %s want %s", listens, got, want)
		}
	}
}
