package config_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"ppch/cmd/ppch/config"
	"ppch/component/componenttest"
)

// variables is an environment.
type variables map[string]string

// environment returns a valid environment with changes; "-" removes a variable.
func environment(changes variables) envconfig.Lookuper {
	env := variables{"PPCH_API_KEY": "0123456789abcdef", "PPCH_COMPONENT_SECRET": "s3cret-of-a-test"}
	for name, value := range changes {
		env[name] = value
		if value == "-" {
			delete(env, name)
		}
	}
	return envconfig.MapLookuper(env)
}

// fileOf returns the path of a new file that contains text.
func fileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// aKey is a line of a file of keys.
const aKey = "name=counter sha256=2e453a1c19730cc2e3bec31a4743b20eb07f464af75b3233cb73d4ea8d24756c scope=count"

const (
	exampleSite       = "write one such as https://ppch.example.com"
	notANetwork       = "is neither an IP address nor a network: write 10.0.0.5, 10.0.0.0/24 or fd00::/64"
	notADNSName       = "is not a DNS name in ASCII: write it without scheme, port and *, such as ppch.example.com"
	keyFix            = "make one with: openssl rand -hex 16"
	secretFix         = "it is the component_secret in Prosody's configuration"
	prosodyFix        = "use xmpp://HOST:PORT with Prosody's component port, such as xmpp://prosody:5347"
	domainFix         = "use letters, digits, hyphens and dots, such as muc.meet.jitsi"
	mucFix            = "name the MUC domain of your Jitsi, such as muc.meet.jitsi"
	adminFix          = "write admin@example.com or example.com"
	meetFix           = "write the URL at which people open Jitsi Meet, such as https://meet.example.com, and domain=url for another MUC domain"
	hostFix           = "use 127.0.0.1, or 0.0.0.0 for all interfaces; set the port with PPCH_PORT"
	isPlaceholder     = "is still an example's placeholder: "
	moreThanOrigin    = "has more than scheme, host and port: write "
	notAnOrigin       = "is not an origin: write one such as https://dashboard.example.com, and separate origins with commas"
	controlCharacters = "contains a control character or several lines: "

	notLoopback = "is not a loopback IP address with a port: use one such as 127.0.0.1:6060"

	accountFix = "name an account of a VirtualHost, such as admin@auth.meet.jitsi"
)

func TestLoad_BadValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   variables
		want string
	}{
		{"no key", variables{"PPCH_API_KEY": "-"}, "PPCH_API_KEY: is not set, nor is PPCH_API_KEY_FILE: " + keyFix},
		{"an empty key", variables{"PPCH_API_KEY": ""}, "PPCH_API_KEY: is not set, nor is PPCH_API_KEY_FILE: " + keyFix},
		{"a key of white space", variables{"PPCH_API_KEY": " \t"}, "PPCH_API_KEY: is not set, nor is PPCH_API_KEY_FILE: " + keyFix},
		{"no secret", variables{"PPCH_COMPONENT_SECRET": "-"}, "PPCH_COMPONENT_SECRET: is not set, nor is PPCH_COMPONENT_SECRET_FILE: " + secretFix},
		{"a key in both forms", variables{"PPCH_API_KEY_FILE": "/run/secrets/key"}, "PPCH_API_KEY: is set, and PPCH_API_KEY_FILE too: keep one of them"},
		{"a secret in both forms", variables{"PPCH_COMPONENT_SECRET_FILE": "/run/secrets/secret"}, "PPCH_COMPONENT_SECRET: is set, and PPCH_COMPONENT_SECRET_FILE too: keep one of them"},
		{"a placeholder and a file of keys", variables{"PPCH_API_KEY": "change-me", "PPCH_API_KEYS_FILE": fileOf(t, aKey)}, "PPCH_API_KEY: " + isPlaceholder + keyFix},
		{"a rate that is a word", variables{"PPCH_RATE_LIMIT": "fast"}, `PPCH_RATE_LIMIT: "fast" is not a number from 0 to 1048575; 0 disables the limit`},
		{"a fractional rate", variables{"PPCH_RATE_LIMIT": "0.5"}, `PPCH_RATE_LIMIT: "0.5" is not a number from 0 to 1048575; 0 disables the limit`},
		{"a negative rate", variables{"PPCH_RATE_LIMIT": "-1"}, `PPCH_RATE_LIMIT: "-1" is not a number from 0 to 1048575; 0 disables the limit`},
		{"a key with a NUL", variables{"PPCH_API_KEY": "0123456789\x00abcdef"}, "PPCH_API_KEY: " + controlCharacters + keyFix},
		{"a key of two lines", variables{"PPCH_API_KEY": "0123456789\nabcdef"}, "PPCH_API_KEY: " + controlCharacters + keyFix},
		{"a secret with a DEL", variables{"PPCH_COMPONENT_SECRET": "s3\x7fcret"}, "PPCH_COMPONENT_SECRET: " + controlCharacters + secretFix},

		{"no streams", variables{"PPCH_MAX_STREAMS": "0"}, `PPCH_MAX_STREAMS: "0" is not a number from 1 to 1000000`},
		{"an unknown level of history", variables{"PPCH_HISTORY": "on", "PPCH_DATA_DIR": "/data"}, `PPCH_HISTORY: "on" is not a level: use off, numbers, pseudonyms or names`},
		{"a history without a folder", variables{"PPCH_HISTORY": "names"}, `PPCH_HISTORY: names needs a folder: set PPCH_DATA_DIR`},
		{"no days of history", variables{"PPCH_HISTORY_DAYS": "0"}, `PPCH_HISTORY_DAYS: "0" is not a number from 1 to 3660`},
		{"webhooks to a host name", variables{"PPCH_WEBHOOK_ALLOW": "localhost"}, `PPCH_WEBHOOK_ALLOW: "localhost" is neither an IP address nor a network: write 10.0.0.5, 10.0.0.0/24 or fd00::/64`},
		{"webhooks perhaps to private networks", variables{"PPCH_WEBHOOK_PRIVATE": "maybe"}, `PPCH_WEBHOOK_PRIVATE: "maybe" is neither true nor false`},
		{"a log of no days", variables{"PPCH_WEBHOOK_LOG_DAYS": "0"}, `PPCH_WEBHOOK_LOG_DAYS: "0" is not a number from 1 to 30`},
		{"streams in words", variables{"PPCH_MAX_STREAMS": "many"}, `PPCH_MAX_STREAMS: "many" is not a number from 1 to 1000000`},

		{"profiles for all addresses", variables{"PPCH_PPROF_ADDR": "0.0.0.0:6060"}, `PPCH_PPROF_ADDR: "0.0.0.0:6060" ` + notLoopback},
		{"profiles for a network", variables{"PPCH_PPROF_ADDR": "10.0.0.2:6060"}, `PPCH_PPROF_ADDR: "10.0.0.2:6060" ` + notLoopback},
		{"profiles without an address", variables{"PPCH_PPROF_ADDR": ":6060"}, `PPCH_PPROF_ADDR: ":6060" ` + notLoopback},
		{"profiles at a name", variables{"PPCH_PPROF_ADDR": "localhost:6060"}, `PPCH_PPROF_ADDR: "localhost:6060" ` + notLoopback},
		{"profiles without a port", variables{"PPCH_PPROF_ADDR": "127.0.0.1"}, `PPCH_PPROF_ADDR: "127.0.0.1" ` + notLoopback},

		{"a port that is a word", variables{"PPCH_PORT": "http"}, `PPCH_PORT: "http" is not a port: use a number from 0 to 65535`},
		{"a port beyond the last", variables{"PPCH_PORT": "65536"}, `PPCH_PORT: "65536" is not a port: use a number from 0 to 65535`},
		{"a negative port", variables{"PPCH_PORT": "-1"}, `PPCH_PORT: "-1" is not a port: use a number from 0 to 65535`},
		{"two ports", variables{"PPCH_PORT": "8890 8891"}, `PPCH_PORT: "8890 8891" is not a port: use a number from 0 to 65535`},
		{"a host with a port", variables{"PPCH_HOST": "0.0.0.0:8890"}, `PPCH_HOST: "0.0.0.0:8890" is neither an IP address nor a host name: ` + hostFix},
		{"a host in brackets", variables{"PPCH_HOST": "[::1]"}, `PPCH_HOST: "[::1]" is neither an IP address nor a host name: ` + hostFix},
		{"a host that is a URL", variables{"PPCH_HOST": "http://x"}, `PPCH_HOST: "http://x" is neither an IP address nor a host name: ` + hostFix},

		{"Prosody without a scheme", variables{"PROSODY_URL": "prosody"}, `PROSODY_URL: "prosody" is not an address: ` + prosodyFix},
		{"only host and port", variables{"PROSODY_URL": "prosody:5347"}, `PROSODY_URL: "prosody:5347" is not an address: ` + prosodyFix},
		{"only IP address and port", variables{"PROSODY_URL": "10.0.0.2:5347"}, `PROSODY_URL: "10.0.0.2:5347" is not an address: ` + prosodyFix},
		{"a port without a host", variables{"PROSODY_URL": "xmpp://:5347"}, `PROSODY_URL: "xmpp://:5347" is not an address: ` + prosodyFix},
		{"no slashes", variables{"PROSODY_URL": "xmpp:prosody"}, `PROSODY_URL: "xmpp:prosody" is not an address: ` + prosodyFix},
		{"a blank in the host", variables{"PROSODY_URL": "xmpp://pro sody"}, `PROSODY_URL: "xmpp://pro sody" is not an address: ` + prosodyFix},
		{"two ports of Prosody", variables{"PROSODY_URL": "xmpp://prosody:5347:5280"}, `PROSODY_URL: "xmpp://prosody:5347:5280" is not an address: ` + prosodyFix},
		{"IPv6 without brackets", variables{"PROSODY_URL": "xmpp://fd00::2:5347"}, `PROSODY_URL: "xmpp://fd00::2:5347" is not an address: ` + prosodyFix},
		{"a port of Prosody that is a word", variables{"PROSODY_URL": "xmpp://prosody:xmpp"}, `PROSODY_URL: "xmpp://prosody:xmpp" is not an address: ` + prosodyFix},
		{"a port of Prosody beyond the last", variables{"PROSODY_URL": "xmpp://prosody:65536"}, `PROSODY_URL: "65536" is not a port: use a number from 1 to 65535`},
		{"port 0 of Prosody", variables{"PROSODY_URL": "xmpp://prosody:0"}, `PROSODY_URL: "0" is not a port: use a number from 1 to 65535`},
		{"an unknown scheme", variables{"PROSODY_URL": "tcp://prosody:5347"}, `PROSODY_URL: "tcp://prosody:5347" has an unknown scheme: ` + prosodyFix},
		{"a password, which is hidden", variables{"PROSODY_URL": "http://admin:hunter2@prosody:5280"}, "PROSODY_URL: contains a user name, and perhaps a password, hidden here: " + prosodyFix},
		{"a password in an invalid URL", variables{"PROSODY_URL": "http://admin:hunter%2@prosody:x"}, "PROSODY_URL: contains a user name, and perhaps a password, hidden here: " + prosodyFix},

		{"a component with an underscore", variables{"PPCH_COMPONENT_DOMAIN": "ppch_1.meet.jitsi"}, `PPCH_COMPONENT_DOMAIN: "ppch_1.meet.jitsi" is not a domain: ` + domainFix},
		{"a component that is a user", variables{"PPCH_COMPONENT_DOMAIN": "ppch@meet.jitsi"}, `PPCH_COMPONENT_DOMAIN: "ppch@meet.jitsi" is not a domain: ` + domainFix},
		{"a component with a port", variables{"PPCH_COMPONENT_DOMAIN": "ppch.meet.jitsi:5347"}, `PPCH_COMPONENT_DOMAIN: "ppch.meet.jitsi:5347" is not a domain: ` + domainFix},
		{"a component with a resource", variables{"PPCH_COMPONENT_DOMAIN": "ppch.meet.jitsi/1"}, `PPCH_COMPONENT_DOMAIN: "ppch.meet.jitsi/1" is not a domain: ` + domainFix},

		{"a MUC domain with an underscore", variables{"MUC_DOMAIN": "muc.my_jitsi"}, `MUC_DOMAIN: "muc.my_jitsi" is not a domain: ` + domainFix},
		{"two invalid MUC domains", variables{"MUC_DOMAIN": "a_b,c_d"},
			`MUC_DOMAIN: "a_b" is not a domain: ` + domainFix + "\n  " + `MUC_DOMAIN: "c_d" is not a domain: ` + domainFix},
		{"a room instead of a MUC domain", variables{"MUC_DOMAIN": "planning@muc.meet.jitsi"}, `MUC_DOMAIN: "planning@muc.meet.jitsi" is not a domain: ` + domainFix},
		{"a MUC domain twice", variables{"MUC_DOMAIN": "muc.meet.jitsi, MUC.meet.jitsi"}, "MUC_DOMAIN: names MUC.meet.jitsi twice"},
		{"MUC domains without commas", variables{"MUC_DOMAIN": "muc.meet.jitsi breakout.meet.jitsi,lobby.meet.jitsi"},
			`MUC_DOMAIN: "muc.meet.jitsi breakout.meet.jitsi" has a blank in it: separate domains with commas, as in muc.meet.jitsi,breakout.meet.jitsi`},
		{"a missing file of keys", variables{"PPCH_API_KEYS_FILE": "/nowhere/keys"}, "PPCH_API_KEYS_FILE: file: stat /nowhere/keys: no such file or directory"},
		{"the port of a Kubernetes Service", variables{"PPCH_PORT": "tcp://10.96.0.7:8890"},
			`PPCH_PORT: "tcp://10.96.0.7:8890" is what Kubernetes sets for a Service named ppch: set enableServiceLinks: false in the pod, or set PPCH_PORT to a number`},
		{"only commas", variables{"MUC_DOMAIN": ", ,"}, "MUC_DOMAIN: is empty: " + mucFix},
		{"the component as MUC domain", variables{"MUC_DOMAIN": "ppch.meet.jitsi"}, "MUC_DOMAIN: ppch.meet.jitsi is PPCH_COMPONENT_DOMAIN: " + mucFix},
		{"the component as MUC domain in another case", variables{"PPCH_COMPONENT_DOMAIN": "PPCH.example", "MUC_DOMAIN": "muc.example,ppch.example"}, "MUC_DOMAIN: ppch.example is PPCH_COMPONENT_DOMAIN: " + mucFix},

		{"a short secret to seal with", variables{"PPCH_CLUSTER_SECRET": "0123456789abcde"}, "PPCH_CLUSTER_SECRET: has 15 characters, needs at least 16: make one with: openssl rand -hex 32"},
		{"two secrets to seal with", variables{"PPCH_CLUSTER_SECRET": "0123456789abcdef", "PPCH_CLUSTER_SECRET_FILE": "/x"}, "PPCH_CLUSTER_SECRET: is set, and PPCH_CLUSTER_SECRET_FILE too: keep one of them"},
		{"a rule without an account", variables{"PPCH_NOT_COUNTED": "bots"}, `PPCH_NOT_COUNTED: "bots": "bots" is not a pattern of real JIDs: write bot@bots.example.com, *-bot@example.com or *@bots.example.com`},
		{"two rules of one name", variables{"PPCH_NOT_COUNTED": "a=x@y.example,a=z@y.example"}, "PPCH_NOT_COUNTED: names a twice"},
		{"a rule that hides all guests", variables{"PPCH_NOT_COUNTED": "all=*@meet.jitsi"}, `PPCH_NOT_COUNTED: "all=*@meet.jitsi" would hide everyone at meet.jitsi: name accounts, such as recording-bot@meet.jitsi`},
		{"a rule that hides the guest domain", variables{"PPCH_NOT_COUNTED": "**@Guest.meet.jitsi"}, `PPCH_NOT_COUNTED: "**@Guest.meet.jitsi" would hide everyone at guest.meet.jitsi: name accounts, such as recording-bot@guest.meet.jitsi`},
		{"an admin with a resource", variables{"PPCH_ADMIN_JIDS": "admin@meet.jitsi/desk"}, `PPCH_ADMIN_JIDS: "admin@meet.jitsi/desk" is neither a bare JID nor a domain: ` + adminFix},
		{"an admin without a name", variables{"PPCH_ADMIN_JIDS": "admin@meet.jitsi,@meet.jitsi"}, `PPCH_ADMIN_JIDS: "@meet.jitsi" is neither a bare JID nor a domain: ` + adminFix},
		{"an admin on our own component", variables{"PPCH_ADMIN_JIDS": "boss@ppch.meet.jitsi"}, "PPCH_ADMIN_JIDS: boss@ppch.meet.jitsi is on a component, where users can't log in: " + accountFix},
		{"an admin on a MUC domain", variables{"PPCH_ADMIN_JIDS": "muc.meet.jitsi"}, "PPCH_ADMIN_JIDS: muc.meet.jitsi is on a component, where users can't log in: " + accountFix},
		{"a meeting URL without a scheme", variables{"PPCH_MEET_URL": "meet.example.com"}, `PPCH_MEET_URL: "meet.example.com" is not an http:// or https:// URL: ` + meetFix},
		{"a meeting URL with a query", variables{"PPCH_MEET_URL": "https://meet.example.com/?x"}, `PPCH_MEET_URL: "https://meet.example.com/?x" is not an http:// or https:// URL: ` + meetFix},
		{"a meeting URL with a password", variables{"PPCH_MEET_URL": "https://me:secret@meet.example.com"}, `PPCH_MEET_URL: contains a user name, and perhaps a password, hidden here: ` + meetFix},
		{"a meeting URL of another domain", variables{"PPCH_MEET_URL": "muc.b.example=https://b.example"}, `PPCH_MEET_URL: muc.b.example is not in MUC_DOMAIN: ` + meetFix},
		{"two meeting URLs", variables{"PPCH_MEET_URL": "https://a.example,https://b.example"}, `PPCH_MEET_URL: has two URLs for muc.meet.jitsi: ` + meetFix},
		{"an origin with a path", variables{"PPCH_CORS_ORIGINS": "https://dash.example/app"}, `PPCH_CORS_ORIGINS: "https://dash.example/app" ` + moreThanOrigin + "https://dash.example"},
		{"an origin with a slash", variables{"PPCH_CORS_ORIGINS": "https://dash.example:8443/"}, `PPCH_CORS_ORIGINS: "https://dash.example:8443/" ` + moreThanOrigin + "https://dash.example:8443"},
		{"an origin with a query", variables{"PPCH_CORS_ORIGINS": "https://dash.example?x"}, `PPCH_CORS_ORIGINS: "https://dash.example?x" ` + moreThanOrigin + "https://dash.example"},
		{"an origin without a scheme", variables{"PPCH_CORS_ORIGINS": "dash.example:8443"}, `PPCH_CORS_ORIGINS: "dash.example:8443" has no scheme: write https://dash.example:8443`},
		{"an origin of another scheme", variables{"PPCH_CORS_ORIGINS": "file:///home"}, `PPCH_CORS_ORIGINS: "file:///home" has a scheme that browsers don't load pages from: use https:// or http://`},
		{"an origin without a host", variables{"PPCH_CORS_ORIGINS": "https://"}, `PPCH_CORS_ORIGINS: "https://" ` + notAnOrigin},
		{"an origin with an invalid port", variables{"PPCH_CORS_ORIGINS": "https://dash.example:x"}, `PPCH_CORS_ORIGINS: "https://dash.example:x" ` + notAnOrigin},
		{"an origin outside ASCII", variables{"PPCH_CORS_ORIGINS": "https://bücher.example"}, `PPCH_CORS_ORIGINS: "https://bücher.example" has a host outside ASCII: write it as browsers send it, xn--…`},
		{"every origin", variables{"PPCH_CORS_ORIGINS": "*"}, `PPCH_CORS_ORIGINS: "*" would allow pages of strangers: name each origin, such as https://dashboard.example.com`},
		{"every origin of a domain", variables{"PPCH_CORS_ORIGINS": "https://*.example"}, `PPCH_CORS_ORIGINS: "https://*.example" would allow pages of strangers: name each origin, such as https://dashboard.example.com`},
		{"an origin with a password, which is hidden", variables{"PPCH_CORS_ORIGINS": "https://me:hunter2@dash.example"}, "PPCH_CORS_ORIGINS: contains a user name, and perhaps a password, hidden here: write an origin such as https://dashboard.example.com"},
		{"a host with a scheme", variables{"PPCH_HOSTS": "https://ppch.example.com"}, `PPCH_HOSTS: "https://ppch.example.com" ` + notADNSName},
		{"a host with another's port", variables{"PPCH_HOSTS": "ppch.example.com:8890"}, `PPCH_HOSTS: "ppch.example.com:8890" ` + notADNSName},
		{"every host of a domain", variables{"PPCH_HOSTS": "*.example.com"}, `PPCH_HOSTS: "*.example.com" ` + notADNSName},
		{"a host outside ASCII", variables{"PPCH_HOSTS": "bücher.example"}, `PPCH_HOSTS: "bücher.example" ` + notADNSName},
		{"a public URL that is a name", variables{"PPCH_PUBLIC_URL": "ppch.example.com"}, `PPCH_PUBLIC_URL: "ppch.example.com" is not an http:// or https:// URL: ` + exampleSite},
		{"a public URL of another kind", variables{"PPCH_PUBLIC_URL": "xmpp://ppch.example.com"}, `PPCH_PUBLIC_URL: "xmpp://ppch.example.com" is not an http:// or https:// URL: ` + exampleSite},
		{"a public URL with a query", variables{"PPCH_PUBLIC_URL": "https://ppch.example.com/?x"}, `PPCH_PUBLIC_URL: "https://ppch.example.com/?x" is not an http:// or https:// URL: ` + exampleSite},
		{"a public URL without a host", variables{"PPCH_PUBLIC_URL": "https:///ppch"}, `PPCH_PUBLIC_URL: "https:///ppch" has no host, or one that is not a DNS name in ASCII: ` + exampleSite},
		{"a public URL with a password", variables{"PPCH_PUBLIC_URL": "https://me:hunter2@ppch.example.com"}, "PPCH_PUBLIC_URL: contains a user name, and perhaps a password, hidden here: " + exampleSite},
		{"a proxy by name", variables{"PPCH_TRUSTED_PROXIES": "nginx"}, `PPCH_TRUSTED_PROXIES: "nginx" ` + notANetwork},
		{"a proxy with a port", variables{"PPCH_TRUSTED_PROXIES": "10.0.0.5:443"}, `PPCH_TRUSTED_PROXIES: "10.0.0.5:443" ` + notANetwork},
		{"a network that is too small", variables{"PPCH_TRUSTED_PROXIES": "10.0.0.0/33"}, `PPCH_TRUSTED_PROXIES: "10.0.0.0/33" ` + notANetwork},
		{"a network of IPv4 as IPv6", variables{"PPCH_TRUSTED_PROXIES": "::ffff:10.0.0.0/104"}, `PPCH_TRUSTED_PROXIES: "::ffff:10.0.0.0/104" ` + notANetwork},
		{"every proxy", variables{"PPCH_TRUSTED_PROXIES": "10.0.0.1,*"}, `PPCH_TRUSTED_PROXIES: "*" ` + notANetwork},
		{"a bad boolean for metrics", variables{"PPCH_METRICS_PUBLIC": "all"}, `PPCH_METRICS_PUBLIC: "all" is neither true nor false`},
		{"neither true nor false", variables{"DEBUG": "maybe"}, `DEBUG: "maybe" is neither true nor false`},
		{"an unknown time zone", variables{"TZ": "Mars/Olympus"}, `TZ: "Mars/Olympus" is not a time zone: use a name such as Europe/Berlin or UTC`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Load(t.Context(), environment(tt.in))
			wantProblems(t, err, tt.want)
		})
	}
}

// wantProblems fails the test unless err reports exactly these problems.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error want %q", want)
	}
	same(t, "the error differs", "the configuration is wrong:\n  "+strings.Join(want, "\n  "), err.Error())
}

func TestLoad_MeetURLs(t *testing.T) {
	t.Parallel()
	c, err := config.Load(t.Context(), environment(variables{
		"MUC_DOMAIN": "muc.meet.jitsi,conference.b.example", "PPCH_MEET_URL": "https://Meet.example.com/, conference.b.example=http://b.example:8443/meet/",
	}))
	want := map[string]string{"muc.meet.jitsi": "https://meet.example.com", "conference.b.example": "http://b.example:8443/meet"}
	if diff := cmp.Diff(want, c.MeetURLs); err != nil || diff != "" {
		t.Errorf("got %v, - want + got:\n%s", err, diff)
	}
	room, err := c.Names().Room("https://meet.example.com/acme/Stand up")
	if err != nil || room.String() != "[acme]stand%20up@muc.meet.jitsi" {
		t.Errorf("got %s, %v", room, err)
	}
}

func TestLoad_RejectsPlaceholders(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"change-me", "change-me-to-something-long", "CHANGE-ME", "changeme", "ChangeMe123456789",
		"your-api-key", "your-api-key-here", "Your-API-Key", "your-secret", "your-secret-api-key-change-this", "YOUR-SECRET",
	} {
		t.Run(in, func(t *testing.T) {
			_, err := config.Load(t.Context(), environment(variables{"PPCH_API_KEY": in}))
			wantProblems(t, err, "PPCH_API_KEY: "+isPlaceholder+keyFix)
			_, err = config.Load(t.Context(), environment(variables{"PPCH_COMPONENT_SECRET": in}))
			wantProblems(t, err, "PPCH_COMPONENT_SECRET: "+isPlaceholder+secretFix)
			_, err = config.Load(t.Context(), environment(variables{"PPCH_API_KEY": "-", "PPCH_API_KEY_FILE": fileOf(t, in+"\n")}))
			wantProblems(t, err, "PPCH_API_KEY_FILE: "+isPlaceholder+keyFix)
		})
	}
}

func TestLoad_BadSecretFiles(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "nothing")
	empty, two := fileOf(t, " \n"), fileOf(t, "one\ntwo\n")
	for name, tt := range map[string]struct{ in, want string }{
		"a missing file":      {missing, "can't be read: open " + missing + ": no such file or directory"},
		"a folder":            {filepath.Dir(missing), "can't be read: read " + filepath.Dir(missing) + ": is a directory"},
		"an empty file":       {empty, empty + " is empty: "},
		"a file of two lines": {two, controlCharacters},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, fix := range map[string]string{"PPCH_API_KEY": keyFix, "PPCH_COMPONENT_SECRET": secretFix} {
				want := tt.want
				if strings.HasSuffix(want, ": ") {
					want += fix
				}
				_, err := config.Load(t.Context(), environment(variables{variable: "-", variable + "_FILE": tt.in}))
				wantProblems(t, err, variable+"_FILE: "+want)
			}
		})
	}
}

func TestLoad_ReportsAllErrorsAtOnce(t *testing.T) {
	t.Parallel()
	keys := fileOf(t, aKey+"\n"+aKey+"\n")
	_, err := config.Load(context.Background(), envconfig.MapLookuper(variables{
		"PPCH_API_KEYS_FILE": keys, "PPCH_API_KEY": "change-me", "PPCH_HOST": "localhost:8890", "PPCH_PORT": "none", "PROSODY_URL": "prosody",
		"PPCH_COMPONENT_DOMAIN": "a_b", "MUC_DOMAIN": "c_d,muc.meet.jitsi", "PPCH_ADMIN_JIDS": "@", "DEBUG": "maybe", "TZ": "nowhere",
	}))
	wantProblems(t, err,
		`PPCH_API_KEY: `+isPlaceholder+keyFix,
		`PPCH_HOST: "localhost:8890" is neither an IP address nor a host name: `+hostFix,
		`PPCH_PORT: "none" is not a port: use a number from 0 to 65535`,
		`PROSODY_URL: "prosody" is not an address: `+prosodyFix,
		`PPCH_COMPONENT_DOMAIN: "a_b" is not a domain: `+domainFix,
		`PPCH_COMPONENT_SECRET: is not set, nor is PPCH_COMPONENT_SECRET_FILE: `+secretFix,
		`MUC_DOMAIN: "c_d" is not a domain: `+domainFix,
		`PPCH_ADMIN_JIDS: "@" is neither a bare JID nor a domain: `+adminFix,
		`DEBUG: "maybe" is neither true nor false`,
		`TZ: "nowhere" is not a time zone: use a name such as Europe/Berlin or UTC`,
		`PPCH_API_KEYS_FILE: file `+keys+":",
		"  line 2: name: already used in line 1",
	)
}

// must returns v, and ends the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// check ends the test if there is an error.
var check = componenttest.Check

// same reports how got differs from want.
var same = componenttest.Same
