package prosodytest

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options configure a server.
// The zero value is a Jitsi-like Prosody whose rooms answer service discovery.
type Options struct {
	// Executable is the Prosody to run.
	// Empty means PPCH_TEST_PROSODY from the environment, then "prosody" from PATH.
	Executable string

	// Base is the main domain and MUCPrefix the first label of the room domain.
	// Empty means "meet.jitsi" and "muc".
	Base, MUCPrefix string

	// Secret is the secret of all external components. Empty means a random one.
	Secret string

	// LogLevel is Prosody's: "debug", "info" (the default), "warn" or "error".
	// Warn and error still log at info, because Start reads the log.
	LogLevel string

	// HideRooms hides rooms as current Jitsi does: they are absent from
	// disco#items, and only their occupants may query disco#info.
	HideRooms bool

	// Module loads our Lua module on the main, breakout and lobby room domains.
	// Without it the module can still be loaded by name or from PluginPaths.
	Module bool

	// DomainMapper maps room@muc.tenant.meet.jitsi to [tenant]room@muc.meet.jitsi
	// and back, as Jitsi does for tenants.
	DomainMapper bool

	// GuestDomain adds the host guest.<Base> with anonymous login.
	GuestDomain bool

	// JitsiDefaults leaves recorder_prefixes and transcriber_prefixes unset, as
	// Debian's Jitsi packages do, and docker-jitsi-meet before December 2024.
	// Recorders and transcribers are then on recorder.<Base>, as Jitsi's
	// defaults expect.
	JitsiDefaults bool

	// ConflictResolve is component_conflict_resolve: "kick_new" (Prosody's
	// default when empty) or "kick_old".
	ConflictResolve string

	// NoComponentPort closes the component port, docker-jitsi-meet's default.
	NoComponentPort bool

	// Components are additional external component domains, next to ppch.<Base>
	// and cast.<Base>.
	Components []string

	// PluginPaths are searched before Prosody's own plugins.
	PluginPaths []string

	// Modules are loaded globally, as docker-jitsi-meet's GLOBAL_MODULES are:
	// on every virtual host, but not on components.
	Modules []string

	// MUCModules are loaded on the main, breakout and lobby room domains.
	MUCModules []string

	// HostModules are loaded on one host each, keyed by its domain.
	HostModules map[string][]string

	// GlobalConfig is appended to the global section.
	GlobalConfig string

	// ModuleConstants replaces constants at the top of our Lua module, for tests
	// that need short times or small batches: Lua expressions by name.
	// Unknown names are an error.
	ModuleConstants map[string]string

	// HostConfig is appended to a host's section, keyed by its domain.
	// Unknown domains are an error.
	HostConfig map[string]string

	// Accounts are additional logins on the auth or hidden domain: passwords by bare JID.
	Accounts map[string]string
}

// Domains are the hosts of a server, named as in Jitsi's configuration.
type Domains struct {
	Main        string // anonymous login of people
	Guest       string // empty unless Options.GuestDomain
	Auth        string // focus, bridge, SIP gateway
	Hidden      string // recorders and transcribers
	MUC         string // rooms
	Breakout    string // breakout rooms
	Lobby       string // waiting rooms
	InternalMUC string // availability of bridges and recorders; no people
	Component   string // the service under test
	Cast        string // the component whose users are the crowds
}

func newDomains(o Options) Domains {
	d := Domains{
		Main:        o.Base,
		Auth:        "auth." + o.Base,
		Hidden:      "hidden." + o.Base,
		MUC:         o.MUCPrefix + "." + o.Base,
		Breakout:    "breakout." + o.Base,
		Lobby:       "lobby." + o.Base,
		InternalMUC: "internal-muc." + o.Base,
		Component:   "ppch." + o.Base,
		Cast:        "cast." + o.Base,
	}
	if o.JitsiDefaults {
		d.Hidden = "recorder." + o.Base
	}
	if o.GuestDomain {
		d.Guest = "guest." + o.Base
	}
	return d
}

// all returns the domains of all sections of the configuration.
func (d Domains) all(extra []string) []string {
	all := append([]string{
		d.Main, d.Auth, d.Hidden, d.MUC, d.Breakout, d.Lobby, d.InternalMUC, d.Component, d.Cast,
	}, extra...)
	if d.Guest != "" {
		all = append(all, d.Guest)
	}
	return all
}

// complete sets defaults and refuses options that Prosody would silently ignore.
func (o Options) complete() (Options, error) {
	o.Base = cmp.Or(o.Base, "meet.jitsi")
	o.MUCPrefix = cmp.Or(o.MUCPrefix, "muc")
	o.Secret = cmp.Or(o.Secret, rand.Text())
	switch o.LogLevel {
	case "debug":
	case "", "info", "warn", "error":
		o.LogLevel = "info"
	default:
		return o, fmt.Errorf("prosodytest: LogLevel: %q is none of debug, info, warn, error", o.LogLevel)
	}
	d := newDomains(o)
	known := d.all(o.Components)
	for _, domain := range slices.Sorted(maps.Keys(o.HostConfig)) {
		if !slices.Contains(known, domain) {
			return o, fmt.Errorf("prosodytest: HostConfig: unknown host %q", domain)
		}
	}
	for _, domain := range slices.Sorted(maps.Keys(o.HostModules)) {
		if !slices.Contains(known, domain) {
			return o, fmt.Errorf("prosodytest: HostModules: unknown host %q", domain)
		}
	}
	accounts := map[string]string{
		"focus@" + d.Auth:         rand.Text(),
		"jvb@" + d.Auth:           rand.Text(),
		"jigasi@" + d.Auth:        rand.Text(),
		"admin@" + d.Auth:         rand.Text(),
		"recorder@" + d.Hidden:    rand.Text(),
		"transcriber@" + d.Hidden: rand.Text(),
		"hidden@" + d.Hidden:      rand.Text(),
	}
	for account, password := range o.Accounts {
		_, domain, ok := strings.Cut(account, "@")
		if !ok || (domain != d.Auth && domain != d.Hidden) {
			return o, fmt.Errorf("prosodytest: Accounts: %q is on neither %s nor %s", account, d.Auth, d.Hidden)
		}
		accounts[account] = password
	}
	o.Accounts = accounts
	return o, nil
}
