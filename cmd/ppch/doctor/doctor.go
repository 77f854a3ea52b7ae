package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// Time limits. A whole run takes less than 15 s.
const (
	totalTimeout   = 14 * time.Second
	serviceTimeout = 4 * time.Second // for one response of the service
	dnsTimeout     = 3 * time.Second // for a name to resolve
	dialTimeout    = 3 * time.Second // for a connection
	streamTimeout  = 5 * time.Second // for the stream to come up
	domainTimeout  = 5 * time.Second // for the rooms to load
	hintTimeout    = time.Second     // for details that only make a remedy clearer
	pollInterval   = 100 * time.Millisecond
)

// Config says what to check.
type Config struct {
	// Errors are problems of the configuration; with any, nothing else is checked.
	Errors, Warnings []string

	// API is where the service is, and Key an API key of it with the scope metrics.
	API *url.URL
	Key string

	// Fallback is where the service may be if nothing listens at API, or nil.
	Fallback *url.URL

	// TLS is the configuration for requests to API; nil is the default one.
	TLS *tls.Config

	// Remote says that API comes from the command line, not from the configuration. The fields below are unset then.
	Remote bool

	// Address is host:port of Prosody's component port, and HTTP that of its web server.
	Address, HTTP string

	// Domain and Secret belong to the component.
	Domain jid.JID
	Secret string

	// Shard is the name of that Prosody's shard, occupancy.DefaultShard if empty.
	// Names are what the operator calls the settings of each shard, by its name.
	Shard string
	Names map[string]occupancy.Settings

	// MUCDomains are watched, the main one first. Admins may inspect rooms by XMPP.
	MUCDomains, Admins []jid.JID

	// NotCounted are the rules for occupants that don't count.
	NotCounted []occupancy.Rule

	// Version of this program.
	Version string

	// Installation selects the advice that fits.
	Installation Installation
}

// Examine runs all checks and passes each to onCheck as soon as it is done.
// It takes less than 15 s. Its error is that of ctx.
func Examine(ctx context.Context, cfg Config, onCheck func(Check)) error {
	cfg.Shard = cmp.Or(cfg.Shard, occupancy.DefaultShard)
	e := &run{Config: cfg, onCheck: onCheck, reported: map[string]bool{}, caller: ctx}
	limited, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	e.checks(limited)
	return ctx.Err()
}

// run is one run of the doctor, on one goroutine.
type run struct {
	Config
	onCheck  func(Check)
	reported map[string]bool // by name of the check
	caller   context.Context // without the timeout of the run

	// probing says that the doctor connects to Prosody itself, because no service runs.
	probing bool
}

func (e *run) checks(ctx context.Context) {
	if !e.configuration() {
		e.skipRest(Configuration)
		return
	}
	inspect, end := e.service(ctx)
	if inspect == nil {
		e.skipRest(Service)
		return
	}
	defer end()
	if e.probing {
		e.report(Settings, Unchecked, skippedFor(Service))
		e.name(ctx)
	}
	inspect = onlyOwn(inspect)
	seen, err := poll(ctx, inspect, facts.streamDecided, streamTimeout)
	if err != nil {
		e.connectionLost(err)
		return
	}
	if !e.probing {
		e.settings(seen)
	}
	if !seen.Connected && value(seen.Reason) == occupancy.ReasonConnecting {
		seen.Reason = new(occupancy.ReasonTimeout) // the first attempt has not ended
	}
	e.nats(seen)
	e.keysInNATS(seen.NATS)
	e.shards(seen)
	if seen.Component == "" {
		e.received(seen)
		return
	}
	if broken := e.connection(ctx, seen); broken != "" {
		e.skipRest(broken)
		return
	}
	if seen, err = poll(ctx, inspect, facts.domainsDecided, domainTimeout); err != nil {
		e.connectionLost(err)
		return
	}
	if !e.conflict(seen) {
		e.skipRest(Conflict)
		return
	}
	e.rooms(ctx, seen)
	e.clock(seen)
	if seen, err = poll(ctx, inspect, facts.adminsLocal, hintTimeout); err != nil {
		e.connectionLost(err)
		return
	}
	e.admins(seen)
	e.notCounted(seen)
	e.visitors(seen)
}

// report passes on the result of a check.
func (e *run) report(name string, status Status, found string, remedies ...string) {
	if e.caller.Err() != nil {
		return // an interrupted check found nothing
	}
	e.reported[name] = true
	e.onCheck(Check{Name: name, Status: status, Found: found, Remedy: strings.Join(remedies, "\n")})
}

// skipRest reports the remaining checks as unchecked, because they need another one.
func (e *run) skipRest(broken string) {
	for _, name := range names {
		if !e.reported[name] && name != Store && (name != Admins || len(e.Admins) > 0) && (name != NotCounted || len(e.NotCounted) > 0) {
			e.report(name, Unchecked, skippedFor(broken))
		}
	}
}

// needs precedes the name of the check that an unchecked one waits for.
const needs = ": needs "

func skippedFor(broken string) string { return "skipped" + needs + broken }

// configuration checks the settings and reports whether to go on.
func (e *run) configuration() bool {
	switch {
	case len(e.Errors) > 0:
		e.report(Configuration, Wrong, "invalid settings", e.Errors...)
		return false
	case e.Remote:
		e.report(Configuration, Unchecked, "skipped: the service at --url may have another configuration")
	case len(e.Warnings) > 0:
		e.report(Configuration, Warning, "valid, with warnings", e.Warnings...)
	default:
		e.report(Configuration, OK, "all settings are valid")
	}
	return true
}

// settings compares the settings of the running service with those set here: they differ after a change without a restart.
func (e *run) settings(seen facts) {
	if e.Remote {
		e.report(Settings, Unchecked, "skipped: --url may be a service with others")
		return
	}
	var differ []string
	names := e.namesFor(seen, seen.shard)
	for _, s := range []struct{ name, here, there string }{
		{names.URL, e.Address, seen.Prosody},
		{names.Component, e.Domain.String(), seen.Component},
		{names.MUC, namesOf(e.MUCDomains), seen.domains()},
		{"version", e.Version, seen.Version},
	} {
		if seen.several() && s.name != "version" {
			continue // PPCH_SHARDS_FILE has these
		}
		if s.here != s.there {
			differ = append(differ, fmt.Sprintf("%s is %s there and %s here", s.name, s.there, s.here))
		}
	}
	if len(differ) == 0 {
		e.report(Settings, OK, "the running service uses these settings; secrets are not compared")
		return
	}
	e.report(Settings, Warning, "the running service uses others: "+strings.Join(differ, "; "),
		"restart the service to apply a change: "+e.pick("docker compose up -d --force-recreate ppch", "systemctl restart ppch"))
}

func namesOf(domains []jid.JID) string {
	names := make([]string, len(domains))
	for i, d := range domains {
		names[i] = d.String()
	}
	return strings.Join(names, ",")
}
