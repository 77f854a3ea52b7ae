package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// How long things may take; all together it is less than 15 s.
const (
	patience       = 14 * time.Second
	servicePatient = 4 * time.Second // for one answer of the service
	namePatience   = 3 * time.Second // for a name to resolve
	dialPatience   = 3 * time.Second // for a connection
	linkPatience   = 5 * time.Second // for the stream to come up
	domainPatience = 5 * time.Second // for the rooms to be learnt
	hintPatience   = time.Second     // for what only makes a mend clearer
	lookPause      = 100 * time.Millisecond
)

// Config is what the doctor is told of the patient.
type Config struct {
	// Faults are what is wrong with the configuration: with any of these nothing else is looked at. Warnings are no faults.
	Faults, Warnings []string

	// API is where the service is, and Key one of its API keys that has the scope metrics. Without a key little can be asked.
	API *url.URL
	Key string

	// Also is where the service may be if nothing listens at API, or nil.
	Also *url.URL

	// TLS is how to speak to it; nil means as to any server.
	TLS *tls.Config

	// Elsewhere is whether API was named by somebody, rather than by the configuration. What follows is of no use then.
	Elsewhere bool

	// Address is host:port of Prosody's component port, and HTTP that of its web server.
	Address, HTTP string

	// Domain and Secret are the component's.
	Domain jid.JID
	Secret string

	// MUCDomains are those to watch, main one first, and Admins who may look into rooms by XMPP.
	MUCDomains, Admins []jid.JID

	// Version is that of the program.
	Version string
}

// Examine checks every link of the chain and calls tell with each Check as soon as it is known.
// It takes less than 15 s. Its error is that of ctx.
func Examine(ctx context.Context, cfg Config, tell func(Check)) error {
	e := &examination{Config: cfg, tell: tell, told: map[string]bool{}, asked: ctx}
	hurry, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e.run(hurry)
	return ctx.Err()
}

// examination is one run of the doctor, on one goroutine.
type examination struct {
	Config
	tell  func(Check)
	told  map[string]bool
	asked context.Context // ends only if nobody wants to know any more

	// byItself is whether the doctor connects to Prosody itself, since no service runs.
	byItself bool
}

func (e *examination) run(ctx context.Context) {
	if !e.configuration() {
		e.wait(Configuration)
		return
	}
	look, end := e.service(ctx)
	if look == nil {
		e.wait(Service)
		return
	}
	defer end()
	if e.byItself {
		e.is(Settings, Unchecked, waitsFor(Service))
		e.name(ctx)
	}
	seen, err := settle(ctx, look, facts.linkDecided, linkPatience)
	if err != nil {
		e.lose(err)
		return
	}
	if !e.byItself {
		e.settings(seen)
	}
	if !seen.Connected && seen.Reason == occupancy.ReasonConnecting {
		seen.Reason = occupancy.ReasonTimeout // the first attempt is still under way
	}
	if broken := e.way(ctx, seen); broken != "" {
		e.wait(broken)
		return
	}
	if seen, err = settle(ctx, look, facts.domainsDecided, domainPatience); err != nil {
		e.lose(err)
		return
	}
	if !e.alone(seen) {
		e.wait(Conflict)
		return
	}
	e.rooms(ctx, seen)
	e.clock(seen)
	if seen, err = settle(ctx, look, facts.adminsLocal, hintPatience); err != nil {
		e.lose(err)
		return
	}
	e.admins(seen)
}

// is tells what was found of a link.
func (e *examination) is(name string, status Status, found string, mend ...string) {
	if e.asked.Err() != nil {
		return // what was interrupted found nothing
	}
	e.told[name] = true
	e.tell(Check{Name: name, Status: status, Found: found, Mend: strings.Join(mend, "\n")})
}

// wait tells that all links that are left wait for another.
func (e *examination) wait(broken string) {
	for _, name := range links {
		if !e.told[name] && (name != Admins || len(e.Admins) > 0) {
			e.is(name, Unchecked, waitsFor(broken))
		}
	}
}

func waitsFor(broken string) string { return "not checked: waits for " + broken }

// configuration tells what is wrong with the settings, and whether to go on.
func (e *examination) configuration() bool {
	switch {
	case len(e.Faults) > 0:
		e.is(Configuration, Wrong, fmt.Sprintf("%d of the settings %s wrong", len(e.Faults), isOrAre(len(e.Faults))), e.Faults...)
		return false
	case e.Elsewhere:
		e.is(Configuration, Unchecked, "not checked: --url names a service that may have another one")
	case len(e.Warnings) > 0:
		e.is(Configuration, Warning, "it can be used", e.Warnings...)
	default:
		e.is(Configuration, OK, "nothing is wrong or missing")
	}
	return true
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// settings tells whether the service runs with other settings than those that are set here: changed, but not restarted.
func (e *examination) settings(seen facts) {
	if e.Elsewhere {
		e.is(Settings, Unchecked, "not checked: --url names a service that may have others")
		return
	}
	var differ []string
	for _, s := range []struct{ name, here, there string }{
		{"PROSODY_URL", e.Address, seen.Prosody},
		{"PPCH_COMPONENT_DOMAIN", e.Domain.String(), seen.Component},
		{"MUC_DOMAIN", namesOf(e.MUCDomains), seen.domains()},
		{"version", e.Version, seen.Version},
	} {
		if s.here != s.there {
			differ = append(differ, fmt.Sprintf("%s is %s there and %s here", s.name, s.there, s.here))
		}
	}
	if len(differ) == 0 {
		e.is(Settings, OK, "the service runs with those that are set here; secrets aren't compared")
		return
	}
	e.is(Settings, Warning, "the service runs with others: "+strings.Join(differ, "; "),
		"a change counts after a restart: docker compose up -d --force-recreate ppch; Debian: systemctl restart ppch")
}

func namesOf(domains []jid.JID) string {
	names := make([]string, len(domains))
	for i, d := range domains {
		names[i] = d.String()
	}
	return strings.Join(names, ",")
}
