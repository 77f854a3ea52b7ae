package jitsi

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"ppch/cmd/ppch/config"
)

// settings are what Prosody and PPCH have to agree on, and PPCH's key.
type settings struct {
	component, secret string
	port              int
	listen            string
}

// setting is a variable of PPCH's with its value.
type setting struct{ key, value string }

// domainName is what any host name may consist of; Prosody 13 refuses others.
var domainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// isSecret reports whether the service accepts value as a secret.
func isSecret(value string) bool { return value != "" && !config.IsPlaceholder(value) }

// fresh returns a new secret of n random bytes.
func fresh(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

const defaultPort = 5347

// settle decides on the settings: what the operator says, else what is there from earlier, else what suits.
func (p *Plan) settle(o Options, s *site, there *conf, env map[string]string) error {
	p.settings = settings{component: o.Component, port: o.Port, listen: o.Interface}
	for _, name := range []string{there.component, env["PPCH_COMPONENT_DOMAIN"], "ppch." + s.domain} {
		if p.settings.component == "" {
			p.settings.component = name
		}
	}
	if name := p.settings.component; !domainName.MatchString(name) {
		return fmt.Errorf("--component-domain: %q is not a domain: use small letters, digits, hyphens and dots, such as ppch.%s", name, s.domain)
	} else if !s.free(name) {
		return fmt.Errorf("--component-domain: %s is a name of Jitsi's own: use one that is free, such as ppch.%s", name, s.domain)
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
		data, err := p.g.readElsewhere(path)
		if err != nil {
			return fmt.Errorf("PPCH_COMPONENT_SECRET_FILE in %s: %w", s.envFile, err)
		}
		p.settings.secret = strings.TrimSpace(string(data))
	}
	switch {
	case !isSecret(p.settings.secret):
		if p.settings.secret = there.secret; !isSecret(there.secret) {
			p.settings.secret = fresh(32)
		}
	case there.secret != "" && there.secret != p.settings.secret && there.foreign:
		return errors.New(p.relative(there.path) + " has another component_secret than " + p.relative(s.envFile) + ": make them the same, or take one of them out, and run this again")
	}
	return nil
}

// writeSettings puts into PPCH's .env file what isn't there.
func (p *Plan) writeSettings(s *site, env map[string]string) error {
	f, err := p.open(s.envFile, kindEnv)
	if err != nil {
		return err
	}
	if f.was == nil {
		f.mode, f.owner = 0o600, p.g.ownerOf(filepath.Dir(s.envFile))
		if f.data == nil {
			f.data = []byte{}
		}
	} else if f.mode&0o004 != 0 {
		p.note("%s has mode %04o, so that every user of this machine reads the secrets in it: chmod o-r %s", p.relative(f.path), f.mode, shell(f.path))
	}
	ensure := func(key, value string, good bool) {
		if good || env[key+"_FILE"] != "" {
			return
		}
		f.edit(key, false, func(e *EnvFile) { e.Set(key, value) })
	}
	ensure("PPCH_API_KEY", fresh(16), isSecret(env["PPCH_API_KEY"]) || env["PPCH_API_KEYS_FILE"] != "")
	ensure("PPCH_COMPONENT_DOMAIN", p.settings.component, env["PPCH_COMPONENT_DOMAIN"] == p.settings.component)
	ensure("PPCH_COMPONENT_SECRET", p.settings.secret, env["PPCH_COMPONENT_SECRET"] == p.settings.secret)
	ensure("PROSODY_URL", s.url(p.settings.port), env["PROSODY_URL"] != "")
	ensure("MUC_DOMAIN", strings.Join(s.mucs, ","), env["MUC_DOMAIN"] != "")
	if env["PPCH_NETWORK_INTERNAL"] != "" {
		p.note("PPCH_NETWORK_INTERNAL in %s is of version 1 and has no use any more: it may be taken out.", p.relative(f.path))
	}
	for _, b := range s.beside {
		ensure(b.key, b.value, env[b.key] != "")
		if is := env[b.key]; is != "" && is != b.value {
			p.note("%s in %s is left as it is, %s; %s would suit this Jitsi.", b.key, p.relative(f.path), is, b.value)
		}
	}
	if url := env["PROSODY_URL"]; strings.HasPrefix(url, "xmpp:") && !strings.HasSuffix(url, fmt.Sprintf(":%d", p.settings.port)) {
		p.note("PROSODY_URL in %s is left as it is, %s; Prosody will listen on port %d.", p.relative(f.path), url, p.settings.port)
	}
	if muc := env["MUC_DOMAIN"]; muc != "" && muc != strings.Join(s.mucs, ",") {
		p.note("MUC_DOMAIN in %s is left as it is, %s; Jitsi has %s.", p.relative(f.path), muc, strings.Join(s.mucs, ","))
	}
	return nil
}
