package jitsi

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ppch/cmd/ppch/config"
)

// settings are what Prosody and PPCH must agree on.
type settings struct {
	component, secret string
	port              int
	listen            string
}

// setting is one of PPCH's variables with its value.
type setting struct{ key, value string }

// domainName matches valid host names; Prosody 13 refuses others.
var domainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// isSecret reports whether the service accepts value as a secret.
func isSecret(value string) bool { return value != "" && !config.IsPlaceholder(value) }

// randomHex returns a new secret of n random bytes.
func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

const defaultPort = 5347

// resolveSettings sets p.settings: the operator's choice, else what an earlier installation has, else a default.
func (p *Plan) resolveSettings(o Options, s *site, there *conf, env map[string]string) error {
	p.settings = settings{component: cmp.Or(o.Component, there.component, env["PPCH_COMPONENT_DOMAIN"], "ppch."+s.domain), port: o.Port, listen: o.Interface}
	if name := p.settings.component; !domainName.MatchString(name) {
		return fmt.Errorf("--component-domain: %q is not a domain: use lower-case letters, digits, hyphens and dots, such as ppch.%s", name, s.domain)
	} else if !s.isFree(name) {
		return fmt.Errorf("--component-domain: Jitsi uses %s: choose another name, such as ppch.%s", name, s.domain)
	}
	if p.settings.port == 0 {
		if p.settings.port = there.port; p.settings.port == 0 {
			p.settings.port = defaultPort
		}
	}
	if p.settings.port < 1 || p.settings.port > 65535 {
		return fmt.Errorf("--component-port: %d is not a port: use a number from 1 to 65535", p.settings.port)
	}
	if p.settings.listen == "" {
		if p.settings.listen = there.listen; p.settings.listen == "" {
			p.settings.listen = s.listen
		}
	}

	p.settings.secret = env["PPCH_COMPONENT_SECRET"]
	if path := env["PPCH_COMPONENT_SECRET_FILE"]; path != "" {
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(s.envFile), path)
		}
		data, err := p.scope.readAsOwner(path)
		if err != nil {
			return fmt.Errorf("PPCH_COMPONENT_SECRET_FILE in %s: %w", s.envFile, err)
		}
		p.settings.secret = strings.TrimSpace(string(data))
	}
	switch {
	case !isSecret(p.settings.secret):
		if p.settings.secret = there.secret; !isSecret(there.secret) {
			p.settings.secret = randomHex(32)
		}
	case there.secret != "" && there.secret != p.settings.secret && there.handEdited:
		return fmt.Errorf("component_secret in %s differs from PPCH_COMPONENT_SECRET in %s: make them equal or remove one, then run this again", p.relative(there.path), p.relative(s.envFile))
	}
	return nil
}

// planSettings adds missing settings to PPCH's .env file.
func (p *Plan) planSettings(s *site, env map[string]string) error {
	f, err := p.open(s.envFile, kindEnv)
	if err != nil {
		return err
	}
	if f.before == nil {
		f.mode, f.owner = 0o600, p.scope.ownerOf(filepath.Dir(s.envFile))
		if f.after == nil {
			f.after = []byte{}
		}
	} else if f.mode&0o004 != 0 {
		p.addNote("%s has mode %04o, so every user of this machine can read its secrets: chmod o-r %s", p.relative(f.path), f.mode, shellQuote(f.path))
	}
	ensure := func(key, value string, good bool) {
		if good || env[key+"_FILE"] != "" {
			return
		}
		f.edit(key, false, func(e *EnvFile) { e.Set(key, value) })
	}
	ensure("PPCH_API_KEY", randomHex(16), isSecret(env["PPCH_API_KEY"]) || env["PPCH_API_KEYS_FILE"] != "")
	ensure("PPCH_COMPONENT_DOMAIN", p.settings.component, env["PPCH_COMPONENT_DOMAIN"] == p.settings.component)
	ensure("PPCH_COMPONENT_SECRET", p.settings.secret, env["PPCH_COMPONENT_SECRET"] == p.settings.secret)
	ensure("PROSODY_URL", s.url(p.settings.port), env["PROSODY_URL"] != "")
	ensure("MUC_DOMAIN", strings.Join(s.mucs, ","), env["MUC_DOMAIN"] != "")
	ensure("PPCH_MEET_URL", s.meetURL, env["PPCH_MEET_URL"] != "" || s.meetURL == "")
	for _, warning := range config.Unknown(slices.Collect(maps.Keys(env)), func(name string) (string, bool) { return env[name], true }) {
		p.addNote("%s: %s", p.relative(f.path), warning)
	}
	if env["PPCH_NETWORK_INTERNAL"] != "" {
		p.addNote("PPCH_NETWORK_INTERNAL in %s is from PPCH 1 and unused: you can remove it.", p.relative(f.path))
	}
	for _, b := range s.networkSettings {
		ensure(b.key, b.value, env[b.key] != "")
		if current := env[b.key]; current != "" && current != b.value {
			p.addNote("%s in %s stays %s; this Jitsi needs %s.", b.key, p.relative(f.path), current, b.value)
		}
	}
	if url := env["PROSODY_URL"]; strings.HasPrefix(url, "xmpp:") && !strings.HasSuffix(url, fmt.Sprintf(":%d", p.settings.port)) {
		p.addNote("PROSODY_URL in %s stays %s; Prosody will listen on port %d.", p.relative(f.path), url, p.settings.port)
	}
	if muc := env["MUC_DOMAIN"]; muc != "" && muc != strings.Join(s.mucs, ",") {
		p.addNote("MUC_DOMAIN in %s stays %s; Jitsi has %s.", p.relative(f.path), muc, strings.Join(s.mucs, ","))
	}
	return nil
}

// webURL returns an http or https URL that PPCH_MEET_URL accepts, or an empty string.
func webURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Contains(text, ",") {
		return ""
	}
	return strings.TrimRight(text, "/")
}

// access says where the dashboard and the API key are, by the variables in the settings file before the installation.
func access(envFile string, env map[string]string) string {
	url := strings.TrimSuffix(env["PPCH_PUBLIC_URL"], "/")
	if url == "" {
		url = config.LocalURL(cmp.Or(env["PPCH_HOST"], loopback), cmp.Or(env["PPCH_PORT"], "8890"), env["PPCH_TLS_CERT"] != "")
	}
	key := "PPCH_API_KEY in " + envFile
	switch {
	case env["PPCH_API_KEY_FILE"] != "":
		key = "in the file of PPCH_API_KEY_FILE, which " + envFile + " names"
	case !isSecret(env["PPCH_API_KEY"]) && env["PPCH_API_KEYS_FILE"] != "":
		key = "one of your clients' keys, of PPCH_API_KEYS_FILE in " + envFile
	}
	return fmt.Sprintf("Dashboard: %s/dashboard/\nAPI key: %s", url, key)
}
