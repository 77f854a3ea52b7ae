package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"
)

// variables is an environment.
type variables map[string]string

// sound returns an environment that lacks nothing, with changes; "-" takes a variable away.
func sound(changes variables) envconfig.Lookuper {
	env := variables{"PPCH_API_KEY": "0123456789abcdef", "PPCH_COMPONENT_SECRET": "s3cret-of-a-test"}
	for name, value := range changes {
		env[name] = value
		if value == "-" {
			delete(env, name)
		}
	}
	return envconfig.MapLookuper(env)
}

// fileOf returns the path of a new file with text in it.
func fileOf(t *testing.T, text string) string {
	t.Helper()
	return written(t, "secret", text)
}

const (
	howToNameTheSite  = "write one such as https://ppch.example.com"
	isNoNetwork       = "is neither an IP address nor a network: write 10.0.0.5, 10.0.0.0/24 or fd00::/64"
	isNoName          = "is not a DNS name: write it without scheme, port and *, in ASCII, such as ppch.example.com"
	howToMakeAKey     = "make one with: openssl rand -hex 16"
	whereTheSecretIs  = "it is the component_secret in Prosody's configuration"
	howToNameProsody  = "use xmpp://HOST:PORT with Prosody's component port, such as xmpp://prosody:5347"
	howToNameADomain  = "use letters, digits, hyphens and dots, such as muc.meet.jitsi"
	howToNameTheMUC   = "name the MUC domain of your Jitsi, such as muc.meet.jitsi"
	howToNameAnAdmin  = "write admin@example.com or example.com"
	howToNameTheHost  = "use 127.0.0.1, or 0.0.0.0 for all; the port is PPCH_PORT"
	isThePlaceholder  = "is still the placeholder of an example: "
	isMoreThanOrigin  = "is more than an origin, which has no path: write "
	isNoOrigin        = "is not an origin: write one such as https://dashboard.example.com"
	holdsControlChars = "holds a control character or more than one line: "

	isNotOfThisMachine = "is no IP address of loopback with a port: use one such as 127.0.0.1:6060"

	howToNameAnAccount = "name an account of a VirtualHost, such as admin@auth.meet.jitsi"
)

func TestEachBadSettingIsToldInWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   variables
		want string
	}{
		{"no key", variables{"PPCH_API_KEY": "-"}, "PPCH_API_KEY: is not set, nor is PPCH_API_KEY_FILE: " + howToMakeAKey},
		{"an empty key", variables{"PPCH_API_KEY": ""}, "PPCH_API_KEY: is not set, nor is PPCH_API_KEY_FILE: " + howToMakeAKey},
		{"a key of white space", variables{"PPCH_API_KEY": " \t"}, "PPCH_API_KEY: is not set, nor is PPCH_API_KEY_FILE: " + howToMakeAKey},
		{"no secret", variables{"PPCH_COMPONENT_SECRET": "-"}, "PPCH_COMPONENT_SECRET: is not set, nor is PPCH_COMPONENT_SECRET_FILE: " + whereTheSecretIs},
		{"a key in both forms", variables{"PPCH_API_KEY_FILE": "/run/secrets/key"}, "PPCH_API_KEY: is set, and PPCH_API_KEY_FILE as well: keep one of them"},
		{"a secret in both forms", variables{"PPCH_COMPONENT_SECRET_FILE": "/run/secrets/secret"}, "PPCH_COMPONENT_SECRET: is set, and PPCH_COMPONENT_SECRET_FILE as well: keep one of them"},
		{"a placeholder beside a file of keys", variables{"PPCH_API_KEY": "change-me", "PPCH_API_KEYS_FILE": "/etc/ppch/keys"}, "PPCH_API_KEY: " + isThePlaceholder + howToMakeAKey},
		{"a rate that is a word", variables{"PPCH_RATE_LIMIT": "fast"}, `PPCH_RATE_LIMIT: "fast" is not a number from 0 to 1048575; 0 is without bound`},
		{"a rate that is no whole number", variables{"PPCH_RATE_LIMIT": "0.5"}, `PPCH_RATE_LIMIT: "0.5" is not a number from 0 to 1048575; 0 is without bound`},
		{"a negative rate", variables{"PPCH_RATE_LIMIT": "-1"}, `PPCH_RATE_LIMIT: "-1" is not a number from 0 to 1048575; 0 is without bound`},
		{"a key with a NUL", variables{"PPCH_API_KEY": "0123456789\x00abcdef"}, "PPCH_API_KEY: " + holdsControlChars + howToMakeAKey},
		{"a key of two lines", variables{"PPCH_API_KEY": "0123456789\nabcdef"}, "PPCH_API_KEY: " + holdsControlChars + howToMakeAKey},
		{"a secret with a DEL", variables{"PPCH_COMPONENT_SECRET": "s3\x7fcret"}, "PPCH_COMPONENT_SECRET: " + holdsControlChars + whereTheSecretIs},

		{"no streams", variables{"PPCH_MAX_STREAMS": "0"}, `PPCH_MAX_STREAMS: "0" is not a number from 1 to 1000000`},
		{"streams in words", variables{"PPCH_MAX_STREAMS": "many"}, `PPCH_MAX_STREAMS: "many" is not a number from 1 to 1000000`},

		{"profiles for everybody", variables{"PPCH_PPROF_ADDR": "0.0.0.0:6060"}, `PPCH_PPROF_ADDR: "0.0.0.0:6060" ` + isNotOfThisMachine},
		{"profiles for a network", variables{"PPCH_PPROF_ADDR": "10.0.0.2:6060"}, `PPCH_PPROF_ADDR: "10.0.0.2:6060" ` + isNotOfThisMachine},
		{"profiles on all addresses", variables{"PPCH_PPROF_ADDR": ":6060"}, `PPCH_PPROF_ADDR: ":6060" ` + isNotOfThisMachine},
		{"profiles at a name, which may be anybody's", variables{"PPCH_PPROF_ADDR": "localhost:6060"}, `PPCH_PPROF_ADDR: "localhost:6060" ` + isNotOfThisMachine},
		{"profiles without a port", variables{"PPCH_PPROF_ADDR": "127.0.0.1"}, `PPCH_PPROF_ADDR: "127.0.0.1" ` + isNotOfThisMachine},

		{"a port that is a word", variables{"PPCH_PORT": "http"}, `PPCH_PORT: "http" is not a port: use a number from 0 to 65535`},
		{"a port beyond the last", variables{"PPCH_PORT": "65536"}, `PPCH_PORT: "65536" is not a port: use a number from 0 to 65535`},
		{"a negative port", variables{"PPCH_PORT": "-1"}, `PPCH_PORT: "-1" is not a port: use a number from 0 to 65535`},
		{"two ports", variables{"PPCH_PORT": "8890 8891"}, `PPCH_PORT: "8890 8891" is not a port: use a number from 0 to 65535`},
		{"a host with a port", variables{"PPCH_HOST": "0.0.0.0:8890"}, `PPCH_HOST: "0.0.0.0:8890" is neither an IP address nor a host name: ` + howToNameTheHost},
		{"a host in brackets", variables{"PPCH_HOST": "[::1]"}, `PPCH_HOST: "[::1]" is neither an IP address nor a host name: ` + howToNameTheHost},
		{"a host that is a URL", variables{"PPCH_HOST": "http://x"}, `PPCH_HOST: "http://x" is neither an IP address nor a host name: ` + howToNameTheHost},

		{"Prosody without a scheme", variables{"PROSODY_URL": "prosody"}, `PROSODY_URL: "prosody" is not an address: ` + howToNameProsody},
		{"host and port alone", variables{"PROSODY_URL": "prosody:5347"}, `PROSODY_URL: "prosody:5347" is not an address: ` + howToNameProsody},
		{"an IP address and port alone", variables{"PROSODY_URL": "10.0.0.2:5347"}, `PROSODY_URL: "10.0.0.2:5347" is not an address: ` + howToNameProsody},
		{"a port without a host", variables{"PROSODY_URL": "xmpp://:5347"}, `PROSODY_URL: "xmpp://:5347" is not an address: ` + howToNameProsody},
		{"no slashes", variables{"PROSODY_URL": "xmpp:prosody"}, `PROSODY_URL: "xmpp:prosody" is not an address: ` + howToNameProsody},
		{"a blank in the host", variables{"PROSODY_URL": "xmpp://pro sody"}, `PROSODY_URL: "xmpp://pro sody" is not an address: ` + howToNameProsody},
		{"two ports of Prosody", variables{"PROSODY_URL": "xmpp://prosody:5347:5280"}, `PROSODY_URL: "xmpp://prosody:5347:5280" is not an address: ` + howToNameProsody},
		{"IPv6 without brackets", variables{"PROSODY_URL": "xmpp://fd00::2:5347"}, `PROSODY_URL: "xmpp://fd00::2:5347" is not an address: ` + howToNameProsody},
		{"a port of Prosody that is a word", variables{"PROSODY_URL": "xmpp://prosody:xmpp"}, `PROSODY_URL: "xmpp://prosody:xmpp" is not an address: ` + howToNameProsody},
		{"a port of Prosody beyond the last", variables{"PROSODY_URL": "xmpp://prosody:65536"}, `PROSODY_URL: "65536" is not a port: use a number from 1 to 65535`},
		{"nobody listens at port 0", variables{"PROSODY_URL": "xmpp://prosody:0"}, `PROSODY_URL: "0" is not a port: use a number from 1 to 65535`},
		{"an unknown scheme", variables{"PROSODY_URL": "tcp://prosody:5347"}, `PROSODY_URL: "tcp://prosody:5347" has an unknown scheme: ` + howToNameProsody},
		{"a password, which isn't shown", variables{"PROSODY_URL": "http://admin:hunter2@prosody:5280"}, "PROSODY_URL: holds a user name, and maybe a password that is not shown here: " + howToNameProsody},
		{"a password in what is no URL", variables{"PROSODY_URL": "http://admin:hunter%2@prosody:x"}, "PROSODY_URL: holds a user name, and maybe a password that is not shown here: " + howToNameProsody},

		{"a component with an underscore", variables{"PPCH_COMPONENT_DOMAIN": "ppch_1.meet.jitsi"}, `PPCH_COMPONENT_DOMAIN: "ppch_1.meet.jitsi" is not a domain: ` + howToNameADomain},
		{"a component that is a user", variables{"PPCH_COMPONENT_DOMAIN": "ppch@meet.jitsi"}, `PPCH_COMPONENT_DOMAIN: "ppch@meet.jitsi" is not a domain: ` + howToNameADomain},
		{"a component with a port", variables{"PPCH_COMPONENT_DOMAIN": "ppch.meet.jitsi:5347"}, `PPCH_COMPONENT_DOMAIN: "ppch.meet.jitsi:5347" is not a domain: ` + howToNameADomain},
		{"a component with a resource", variables{"PPCH_COMPONENT_DOMAIN": "ppch.meet.jitsi/1"}, `PPCH_COMPONENT_DOMAIN: "ppch.meet.jitsi/1" is not a domain: ` + howToNameADomain},

		{"a MUC domain with an underscore", variables{"MUC_DOMAIN": "muc.my_jitsi"}, `MUC_DOMAIN: "muc.my_jitsi" is not a domain: ` + howToNameADomain},
		{"two that are none aren't the same one twice", variables{"MUC_DOMAIN": "a_b,c_d"},
			`MUC_DOMAIN: "a_b" is not a domain: ` + howToNameADomain + "\n  " + `MUC_DOMAIN: "c_d" is not a domain: ` + howToNameADomain},
		{"a room instead of a MUC domain", variables{"MUC_DOMAIN": "planning@muc.meet.jitsi"}, `MUC_DOMAIN: "planning@muc.meet.jitsi" is not a domain: ` + howToNameADomain},
		{"a MUC domain twice", variables{"MUC_DOMAIN": "muc.meet.jitsi, MUC.meet.jitsi"}, "MUC_DOMAIN: names MUC.meet.jitsi twice"},
		{"commas alone", variables{"MUC_DOMAIN": ", ,"}, "MUC_DOMAIN: names no domain: " + howToNameTheMUC},
		{"the component as MUC domain", variables{"MUC_DOMAIN": "ppch.meet.jitsi"}, "MUC_DOMAIN: ppch.meet.jitsi is PPCH_COMPONENT_DOMAIN: " + howToNameTheMUC},
		{"the component as MUC domain in other letters", variables{"PPCH_COMPONENT_DOMAIN": "PPCH.example", "MUC_DOMAIN": "muc.example,ppch.example"}, "MUC_DOMAIN: ppch.example is PPCH_COMPONENT_DOMAIN: " + howToNameTheMUC},

		{"a short secret to seal with", variables{"PPCH_CLUSTER_SECRET": "0123456789abcde"}, "PPCH_CLUSTER_SECRET: has 15 characters, and needs 16: make one with: openssl rand -hex 32"},
		{"two secrets to seal with", variables{"PPCH_CLUSTER_SECRET": "0123456789abcdef", "PPCH_CLUSTER_SECRET_FILE": "/x"}, "PPCH_CLUSTER_SECRET: is set, and PPCH_CLUSTER_SECRET_FILE as well: keep one of them"},
		{"an admin with a resource", variables{"PPCH_ADMIN_JIDS": "admin@meet.jitsi/desk"}, `PPCH_ADMIN_JIDS: "admin@meet.jitsi/desk" is neither a bare JID nor a domain: ` + howToNameAnAdmin},
		{"an admin without a name", variables{"PPCH_ADMIN_JIDS": "admin@meet.jitsi,@meet.jitsi"}, `PPCH_ADMIN_JIDS: "@meet.jitsi" is neither a bare JID nor a domain: ` + howToNameAnAdmin},
		{"an admin on our own component", variables{"PPCH_ADMIN_JIDS": "boss@ppch.meet.jitsi"}, "PPCH_ADMIN_JIDS: boss@ppch.meet.jitsi is on a component, where nobody logs in: " + howToNameAnAccount},
		{"an admin on a MUC domain", variables{"PPCH_ADMIN_JIDS": "muc.meet.jitsi"}, "PPCH_ADMIN_JIDS: muc.meet.jitsi is on a component, where nobody logs in: " + howToNameAnAccount},
		{"an origin with a path", variables{"PPCH_CORS_ORIGINS": "https://dash.example/app"}, `PPCH_CORS_ORIGINS: "https://dash.example/app" ` + isMoreThanOrigin + "https://dash.example"},
		{"an origin with a slash", variables{"PPCH_CORS_ORIGINS": "https://dash.example:8443/"}, `PPCH_CORS_ORIGINS: "https://dash.example:8443/" ` + isMoreThanOrigin + "https://dash.example:8443"},
		{"an origin with a query", variables{"PPCH_CORS_ORIGINS": "https://dash.example?x"}, `PPCH_CORS_ORIGINS: "https://dash.example?x" ` + isMoreThanOrigin + "https://dash.example"},
		{"an origin without a scheme", variables{"PPCH_CORS_ORIGINS": "dash.example:8443"}, `PPCH_CORS_ORIGINS: "dash.example:8443" has no scheme: write https://dash.example:8443`},
		{"an origin of another scheme", variables{"PPCH_CORS_ORIGINS": "file:///home"}, `PPCH_CORS_ORIGINS: "file:///home" has a scheme that no page is served by: use https:// or http://`},
		{"an origin without a host", variables{"PPCH_CORS_ORIGINS": "https://"}, `PPCH_CORS_ORIGINS: "https://" ` + isNoOrigin},
		{"an origin with a port that is none", variables{"PPCH_CORS_ORIGINS": "https://dash.example:x"}, `PPCH_CORS_ORIGINS: "https://dash.example:x" ` + isNoOrigin},
		{"an origin that browsers send otherwise", variables{"PPCH_CORS_ORIGINS": "https://bücher.example"}, `PPCH_CORS_ORIGINS: "https://bücher.example" has a host that browsers send in ASCII: write it as xn--…`},
		{"every origin", variables{"PPCH_CORS_ORIGINS": "*"}, `PPCH_CORS_ORIGINS: "*" would let pages of strangers in: name each origin, such as https://dashboard.example.com`},
		{"every origin of a domain", variables{"PPCH_CORS_ORIGINS": "https://*.example"}, `PPCH_CORS_ORIGINS: "https://*.example" would let pages of strangers in: name each origin, such as https://dashboard.example.com`},
		{"an origin with a password, which isn't shown", variables{"PPCH_CORS_ORIGINS": "https://me:hunter2@dash.example"}, "PPCH_CORS_ORIGINS: holds a user name, and maybe a password that is not shown here: an origin is like https://dashboard.example.com"},
		{"a host with a scheme", variables{"PPCH_HOSTS": "https://ppch.example.com"}, `PPCH_HOSTS: "https://ppch.example.com" ` + isNoName},
		{"a host with another's port", variables{"PPCH_HOSTS": "ppch.example.com:8890"}, `PPCH_HOSTS: "ppch.example.com:8890" ` + isNoName},
		{"every host of a domain", variables{"PPCH_HOSTS": "*.example.com"}, `PPCH_HOSTS: "*.example.com" ` + isNoName},
		{"a host that browsers send otherwise", variables{"PPCH_HOSTS": "bücher.example"}, `PPCH_HOSTS: "bücher.example" ` + isNoName},
		{"a public URL that is a name", variables{"PPCH_PUBLIC_URL": "ppch.example.com"}, `PPCH_PUBLIC_URL: "ppch.example.com" is not an address of a web site: ` + howToNameTheSite},
		{"a public URL of another kind", variables{"PPCH_PUBLIC_URL": "xmpp://ppch.example.com"}, `PPCH_PUBLIC_URL: "xmpp://ppch.example.com" is not an address of a web site: ` + howToNameTheSite},
		{"a public URL with a query", variables{"PPCH_PUBLIC_URL": "https://ppch.example.com/?x"}, `PPCH_PUBLIC_URL: "https://ppch.example.com/?x" is not an address of a web site: ` + howToNameTheSite},
		{"a public URL without a host", variables{"PPCH_PUBLIC_URL": "https:///ppch"}, `PPCH_PUBLIC_URL: "https:///ppch" has no host, or one that is not a DNS name in ASCII: ` + howToNameTheSite},
		{"a public URL with a password", variables{"PPCH_PUBLIC_URL": "https://me:hunter2@ppch.example.com"}, "PPCH_PUBLIC_URL: holds a user name, and maybe a password that is not shown here: " + howToNameTheSite},
		{"a proxy by name", variables{"PPCH_TRUSTED_PROXIES": "nginx"}, `PPCH_TRUSTED_PROXIES: "nginx" ` + isNoNetwork},
		{"a proxy with a port", variables{"PPCH_TRUSTED_PROXIES": "10.0.0.5:443"}, `PPCH_TRUSTED_PROXIES: "10.0.0.5:443" ` + isNoNetwork},
		{"a network that is too small", variables{"PPCH_TRUSTED_PROXIES": "10.0.0.0/33"}, `PPCH_TRUSTED_PROXIES: "10.0.0.0/33" ` + isNoNetwork},
		{"a network of IPv4 as IPv6", variables{"PPCH_TRUSTED_PROXIES": "::ffff:10.0.0.0/104"}, `PPCH_TRUSTED_PROXIES: "::ffff:10.0.0.0/104" ` + isNoNetwork},
		{"every proxy", variables{"PPCH_TRUSTED_PROXIES": "10.0.0.1,*"}, `PPCH_TRUSTED_PROXIES: "*" ` + isNoNetwork},
		{"metrics neither public nor not", variables{"PPCH_METRICS_PUBLIC": "all"}, `PPCH_METRICS_PUBLIC: "all" is neither true nor false`},
		{"neither true nor false", variables{"DEBUG": "maybe"}, `DEBUG: "maybe" is neither true nor false`},
		{"a time zone of no place", variables{"TZ": "Mars/Olympus"}, `TZ: "Mars/Olympus" is not a time zone: use a name such as Europe/Berlin or UTC`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadConfig(t.Context(), sound(tt.in))
			wantProblems(t, err, tt.want)
		})
	}
}

// wantProblems fails the test unless err is that of a configuration with these problems.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error want %q", want)
	}
	if diff := cmp.Diff("the configuration is wrong:\n  "+strings.Join(want, "\n  "), err.Error()); diff != "" {
		t.Errorf("the error differs (-want +got):\n%s", diff)
	}
}

func TestAPlaceholderOfAnExampleIsNoSecret(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"change-me", "change-me-to-something-long", "CHANGE-ME", "changeme", "ChangeMe123456789",
		"your-api-key", "your-api-key-here", "Your-API-Key", "your-secret", "your-secret-api-key-change-this", "YOUR-SECRET",
	} {
		t.Run(in, func(t *testing.T) {
			_, err := loadConfig(t.Context(), sound(variables{"PPCH_API_KEY": in}))
			wantProblems(t, err, "PPCH_API_KEY: "+isThePlaceholder+howToMakeAKey)
			_, err = loadConfig(t.Context(), sound(variables{"PPCH_COMPONENT_SECRET": in}))
			wantProblems(t, err, "PPCH_COMPONENT_SECRET: "+isThePlaceholder+whereTheSecretIs)
			_, err = loadConfig(t.Context(), sound(variables{"PPCH_API_KEY": "-", "PPCH_API_KEY_FILE": fileOf(t, in+"\n")}))
			wantProblems(t, err, "PPCH_API_KEY_FILE: "+isThePlaceholder+howToMakeAKey)
		})
	}
}

func TestAFileThatHoldsNoSecretIsNamed(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "nothing")
	empty, two := fileOf(t, " \n"), fileOf(t, "one\ntwo\n")
	for name, tt := range map[string]struct{ in, want string }{
		"there is no file":    {missing, "can't be read: open " + missing + ": no such file or directory"},
		"a folder is there":   {filepath.Dir(missing), "can't be read: read " + filepath.Dir(missing) + ": is a directory"},
		"the file is empty":   {empty, empty + " is empty: "},
		"it has several rows": {two, holdsControlChars},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, mend := range map[string]string{"PPCH_API_KEY": howToMakeAKey, "PPCH_COMPONENT_SECRET": whereTheSecretIs} {
				want := tt.want
				if strings.HasSuffix(want, ": ") {
					want += mend
				}
				_, err := loadConfig(t.Context(), sound(variables{variable: "-", variable + "_FILE": tt.in}))
				wantProblems(t, err, variable+"_FILE: "+want)
			}
		})
	}
}

func TestEverythingThatIsWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := loadConfig(context.Background(), envconfig.MapLookuper(variables{
		"PPCH_API_KEY": "change-me", "PPCH_HOST": "localhost:8890", "PPCH_PORT": "none", "PROSODY_URL": "prosody",
		"PPCH_COMPONENT_DOMAIN": "a_b", "MUC_DOMAIN": "c_d", "PPCH_ADMIN_JIDS": "@", "DEBUG": "maybe", "TZ": "nowhere",
	}))
	wantProblems(t, err,
		`PPCH_API_KEY: `+isThePlaceholder+howToMakeAKey,
		`PPCH_HOST: "localhost:8890" is neither an IP address nor a host name: `+howToNameTheHost,
		`PPCH_PORT: "none" is not a port: use a number from 0 to 65535`,
		`PROSODY_URL: "prosody" is not an address: `+howToNameProsody,
		`PPCH_COMPONENT_DOMAIN: "a_b" is not a domain: `+howToNameADomain,
		`PPCH_COMPONENT_SECRET: is not set, nor is PPCH_COMPONENT_SECRET_FILE: `+whereTheSecretIs,
		`MUC_DOMAIN: "c_d" is not a domain: `+howToNameADomain,
		`PPCH_ADMIN_JIDS: "@" is neither a bare JID nor a domain: `+howToNameAnAdmin,
		`DEBUG: "maybe" is neither true nor false`,
		`TZ: "nowhere" is not a time zone: use a name such as Europe/Berlin or UTC`,
	)
}
