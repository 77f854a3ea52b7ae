package prosodytest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options says how the server differs from the plain one.
// The zero value is a Jitsi-like Prosody whose rooms are open to disco.
type Options struct {
	// Executable is the Prosody to run.
	// Empty means PPCH_TEST_PROSODY from the environment, then "prosody" from PATH.
	Executable string

	// Base is the main domain and MUCPrefix the first label of the room domain.
	// Empty means "meet.jitsi" and "muc".
	Base, MUCPrefix string

	// Secret is shared by every external component. Empty means a random one.
	Secret string

	// LogLevel is Prosody's: "debug", "info" (the default), "warn" or "error".
	// Warn and error still log at info, because the start is followed in the log.
	LogLevel string

	// HideRooms makes rooms as secret as current Jitsi does: absent from
	// disco#items, and disco#info is forbidden to all who are not inside.
	HideRooms bool

	// Module loads our Lua module on the main, breakout and lobby room domains.
	// Where it isn't set the module can still be loaded by name, or from PluginPaths.
	Module bool

	// DomainMapper maps room@muc.tenant.meet.jitsi to [tenant]room@muc.meet.jitsi
	// and back, as Jitsi does for tenants.
	DomainMapper bool

	// GuestDomain adds the host guest.<Base>, where anybody may log in.
	GuestDomain bool

	// JitsiDefaults leaves recorder_prefixes and transcriber_prefixes unset, as
	// Debian's Jitsi packages do, and docker-jitsi-meet before December 2024.
	// Recorders and transcribers are on recorder.<Base> then, where Jitsi's
	// own defaults expect them.
	JitsiDefaults bool

	// ConflictResolve is component_conflict_resolve: "kick_new" (Prosody's
	// default when empty) or "kick_old".
	ConflictResolve string

	// NoComponentPort closes the component port, as docker-jitsi-meet comes.
	NoComponentPort bool

	// Components are further external component domains, beside ppch.<Base> and
	// cast.<Base>. They share Secret.
	Components []string

	// PluginPaths are searched before Prosody's own plugins.
	PluginPaths []string

	// Modules are loaded globally, as GLOBAL_MODULES of docker-jitsi-meet does:
	// on every virtual host, and not on components.
	Modules []string

	// MUCModules are loaded on the main, breakout and lobby room domains.
	MUCModules []string

	// HostModules are loaded on one host each, keyed by its domain.
	HostModules map[string][]string

	// GlobalConfig is put at the end of the global section, word for word.
	GlobalConfig string

	// HostConfig is put at the end of one host's section, keyed by its domain.
	// A domain that the server does not have is an error.
	HostConfig map[string]string

	// Accounts are further logins, bare JID to password, on the auth or hidden domain.
	Accounts map[string]string
}

// Domains are the hosts of one server, under the names that Jitsi's
// configuration has for them.
type Domains struct {
	Main        string // people log in here anonymously
	Guest       string // empty unless Options.GuestDomain
	Auth        string // focus, bridge, SIP gateway
	Hidden      string // recorders and transcribers
	MUC         string // rooms
	Breakout    string // breakout rooms
	Lobby       string // waiting rooms
	InternalMUC string // where bridges and recorders report for duty; no people
	Component   string // the service under test
	Cast        string // the component that crowds join through
}

func domainsOf(o Options) Domains {
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

// all returns the domains of the configuration's sections.
func (d Domains) all(extra []string) []string {
	all := append([]string{
		d.Main, d.Auth, d.Hidden, d.MUC, d.Breakout, d.Lobby, d.InternalMUC, d.Component, d.Cast,
	}, extra...)
	if d.Guest != "" {
		all = append(all, d.Guest)
	}
	return all
}

// complete fills in defaults and refuses what the template could only turn
// into a configuration that Prosody ignores in silence.
func (o Options) complete() (Options, error) {
	if o.Base == "" {
		o.Base = "meet.jitsi"
	}
	if o.MUCPrefix == "" {
		o.MUCPrefix = "muc"
	}
	if o.Secret == "" {
		o.Secret = rand.Text()
	}
	switch o.LogLevel {
	case "debug":
	case "", "info", "warn", "error":
		o.LogLevel = "info"
	default:
		return o, fmt.Errorf("prosodytest: no such log level: %q", o.LogLevel)
	}
	d := domainsOf(o)
	known := d.all(o.Components)
	for _, domain := range slices.Sorted(maps.Keys(o.HostConfig)) {
		if !slices.Contains(known, domain) {
			return o, fmt.Errorf("prosodytest: configuration for unknown host %q", domain)
		}
	}
	for _, domain := range slices.Sorted(maps.Keys(o.HostModules)) {
		if !slices.Contains(known, domain) {
			return o, fmt.Errorf("prosodytest: modules for unknown host %q", domain)
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
			return o, fmt.Errorf("prosodytest: account %q is on neither %s nor %s", account, d.Auth, d.Hidden)
		}
		accounts[account] = password
	}
	o.Accounts = accounts
	return o, nil
}
