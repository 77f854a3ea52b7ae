package occupancy

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// Reason is the code of a problem, for programs.
type Reason string

// The reasons, from the connection to the Lua module.
const (
	ReasonConnecting    Reason = "connecting"
	ReasonDNS           Reason = "dns"
	ReasonRefused       Reason = "refused"
	ReasonUnreachable   Reason = "unreachable"
	ReasonTimeout       Reason = "timeout"
	ReasonHostUnknown   Reason = "host-unknown"
	ReasonNotAuthorized Reason = "not-authorized"
	ReasonConflict      Reason = "conflict"
	ReasonLost          Reason = "lost"
	ReasonNoMUC         Reason = "no-muc"
	ReasonNotAllowed    Reason = "not-allowed"
	ReasonSyncing       Reason = "syncing"
	ReasonStorage       Reason = "storage"
	ReasonModuleVersion Reason = "module-version"
	ReasonModuleMissing Reason = "module-missing"
	ReasonRejected      Reason = "rejected"
	ReasonRemoved       Reason = "shard-removed"
)

// Problem is the text that people read for one case of a reason.
// It names facts in braces: {prosody} is the host:port of the component port, {host} the host alone, {component} PPCH's own JID,
// and {domain} a MUC domain. {PROSODY_URL} and the other names of variables are what the operator calls these [Settings].
// The other facts belong to a single problem.
type Problem struct {
	Reason Reason
	Title  string // what is wrong
	Remedy string // how to fix it

	// Retry is when a retry may help; zero means that only the remedy does.
	Retry time.Duration
}

// howToLoad is the remedy for a missing Lua module.
const howToLoad = "run ppch jitsi install, or load the Lua module mod_room_participants_api there " +
	"(docker-jitsi-meet: copy it into prosody-plugins-custom and add room_participants_api to XMPP_MUC_MODULES); " +
	"then restart Prosody (docker-jitsi-meet: docker compose up -d --force-recreate prosody)"

// discoverAgain is how soon PPCH checks an unusable MUC domain again.
const discoverAgain = 15 * time.Second

// The problems.
var (
	ProblemConnecting = Problem{
		Reason: ReasonConnecting, Retry: time.Second,
		Title:  "PPCH is connecting to Prosody",
		Remedy: "retry in a moment",
	}
	ProblemDiscovering = Problem{
		Reason: ReasonConnecting, Retry: time.Second,
		Title:  "PPCH is asking Prosody what {domain} is",
		Remedy: "retry in a moment",
	}
	ProblemNameUnresolved = Problem{
		Reason: ReasonDNS,
		Title:  "the name {host} does not resolve",
		Remedy: "start Prosody, since the name of a stopped container does not resolve; or fix the host in {PROSODY_URL}, or join the Docker network that Prosody is on",
	}
	ProblemRefused = Problem{
		Reason: ReasonRefused,
		Title:  "nothing listens at {prosody}",
		Remedy: `start Prosody, and open the component port in its configuration (component_ports = { 5347 } and component_interfaces = { "*" }), or fix {PROSODY_URL}`,
	}
	ProblemUnreachable = Problem{
		Reason: ReasonUnreachable,
		Title:  "{prosody} can't be reached",
		Remedy: "start Prosody, or fix {PROSODY_URL} or the network",
	}
	ProblemNoService = Problem{
		Reason: ReasonTimeout,
		Title:  "no XMPP component service answered at {prosody} in time",
		Remedy: "set {PROSODY_URL} to Prosody's component port, usually 5347, and check for a firewall that drops packets",
	}
	ProblemUnresponsive = Problem{
		Reason: ReasonTimeout,
		Title:  "Prosody stopped answering",
		Remedy: "check Prosody's load and log, and the network in between",
	}
	ProblemSilent = Problem{
		Reason: ReasonTimeout, Retry: 5 * time.Second,
		Title:  "Prosody has not confirmed the rooms of {domain} for {age}",
		Remedy: "check Prosody's load and log",
	}
	ProblemStalled = Problem{
		Reason: ReasonTimeout, Retry: 5 * time.Second,
		Title:  "Prosody has sent nothing about the rooms of {domain} for {age}",
		Remedy: "check Prosody's load and log",
	}
	ProblemUnanswered = Problem{
		Reason: ReasonTimeout, Retry: 5 * time.Second,
		Title:  "Prosody did not answer questions about {domain} in time",
		Remedy: "check Prosody's load and log",
	}
	ProblemHostUnknown = Problem{
		Reason: ReasonHostUnknown,
		Title:  "Prosody has no component {component}",
		Remedy: `add Component "{component}" with its component_secret to Prosody's configuration and restart Prosody, or fix {PPCH_COMPONENT_DOMAIN}; ` +
			"if it exists, {PROSODY_URL} may name the port for clients, usually 5222, instead of the component port",
	}
	ProblemNotAuthorized = Problem{
		Reason: ReasonNotAuthorized,
		Title:  "Prosody refuses the secret of {component}",
		Remedy: "copy the component_secret from Prosody's configuration into {PPCH_COMPONENT_SECRET}",
	}
	ProblemNameTaken = Problem{
		Reason: ReasonConflict,
		Title:  "another program connected to Prosody as {component} and replaced this PPCH",
		Remedy: "stop that program, or give each its own component, in Prosody's configuration and in {PPCH_COMPONENT_DOMAIN}",
	}
	ProblemNameHeld = Problem{
		Reason: ReasonConflict,
		Title:  "another connection uses the name {component}, possibly an earlier one of this PPCH",
		Remedy: `stop the other program, or set component_conflict_resolve = "kick_old" for this component in Prosody's configuration`,
	}
	ProblemLost = Problem{
		Reason: ReasonLost,
		Title:  "PPCH lost the connection to Prosody and is reconnecting",
		Remedy: "if this lasts, check Prosody's log",
	}
	ProblemNoXMPP = Problem{
		Reason: ReasonRejected,
		Title:  "the service at {prosody} does not speak XEP-0114",
		Remedy: "set {PROSODY_URL} to Prosody's component port, usually 5347, not to its port for clients or HTTP",
	}
	ProblemRejected = Problem{
		Reason: ReasonRejected,
		Title:  "Prosody's answer about {domain} is not that of a MUC service ({answer})",
		Remedy: "check Prosody's log",
	}
	ProblemNoMUC = Problem{
		Reason: ReasonNoMUC, Retry: discoverAgain,
		Title:  "Prosody has no MUC service {domain}",
		Remedy: "set {MUC_DOMAIN} to the XMPP_MUC_DOMAIN of your Jitsi (docker-jitsi-meet: muc.meet.jitsi by default; Debian packages: conference. followed by your domain)",
	}
	ProblemNotAllowed = Problem{
		Reason: ReasonNotAllowed, Retry: discoverAgain,
		Title:  "the Lua module on {domain} does not allow {component}",
		Remedy: `put room_participants_components = { "{component}" } above every Component in Prosody's configuration (docker-jitsi-meet: conf.d/ppch.cfg.lua) and restart Prosody`,
	}
	ProblemSyncing = Problem{
		Reason: ReasonSyncing, Retry: time.Second,
		Title:  "the rooms of {domain} are loading",
		Remedy: "retry in a moment",
	}
	ProblemStale = Problem{
		Reason: ReasonSyncing, Retry: time.Second,
		Title:  "the rooms of {domain} were last confirmed {age} ago and are reloading",
		Remedy: "if this lasts, check Prosody's log",
	}
	ProblemStorage = Problem{
		Reason: ReasonStorage, Retry: time.Minute,
		Title:  "Prosody can't read all rooms of {domain} from its storage, so rooms may exist that PPCH does not show",
		Remedy: "fix the storage errors that room_participants_api and Prosody log; the next attempt follows within a minute",
	}
	ProblemModuleTooOld = Problem{
		Reason: ReasonModuleVersion, Retry: discoverAgain,
		Title:  "the Lua module on {domain} is older than this PPCH: it speaks {theirs}, but this PPCH speaks {ours}",
		Remedy: "replace the module's file with the one from this PPCH and restart Prosody",
	}
	ProblemModuleTooNew = Problem{
		Reason: ReasonModuleVersion, Retry: discoverAgain,
		Title:  "the Lua module on {domain} is newer than this PPCH: it speaks {theirs}, but this PPCH speaks {ours}",
		Remedy: "update PPCH to the module's release, or replace the module's file with the one from this PPCH and restart Prosody",
	}
	ProblemRemoved = Problem{
		Reason: ReasonRemoved,
		Title:  "this shard is no longer in PPCH_SHARDS_FILE, so PPCH doesn't watch its {domain}",
		Remedy: "put its line back, or add retired= to it with ppch shard retire if no meetings take place there any more",
	}
	// ProblemHidden is for rooms that exist. Every current Jitsi hides them: mod_muc_hide_all answers forbidden to non-occupants.
	ProblemHidden = Problem{
		Reason: ReasonModuleMissing,
		Title:  "Prosody hides the occupants of rooms on {domain}",
		Remedy: howToLoad,
	}
	ProblemNotListed = Problem{
		Reason: ReasonModuleMissing,
		Title:  "only the Lua module can list all rooms of {domain}",
		Remedy: howToLoad,
	}
	ProblemNoEvents = Problem{
		Reason: ReasonModuleMissing,
		Title:  "Prosody reports changes on {domain} only through the Lua module",
		Remedy: howToLoad,
	}
)

// Problems returns all problems, in the order in which an operator meets them.
func Problems() []Problem {
	return append([]Problem{
		ProblemConnecting, ProblemDiscovering, ProblemNameUnresolved, ProblemRefused, ProblemUnreachable, ProblemNoService, ProblemUnresponsive, ProblemSilent, ProblemStalled, ProblemUnanswered, ProblemNoXMPP, ProblemRejected, ProblemHostUnknown, ProblemNotAuthorized,
		ProblemNameTaken, ProblemNameHeld, ProblemLost, ProblemNoMUC, ProblemHidden, ProblemNotListed, ProblemNoEvents, ProblemNotAllowed, ProblemModuleTooOld, ProblemModuleTooNew, ProblemSyncing, ProblemStale, ProblemStorage, ProblemRemoved,
	}, append(clusterProblems(), bucketProblems()...)...)
}

// Fact is the value for a name in braces.
type Fact struct{ Name, Value string }

// With returns p with its names in braces replaced by their values.
func (p Problem) With(facts ...Fact) Problem {
	var names []string
	for _, f := range facts {
		names = append(names, "{"+f.Name+"}", f.Value)
	}
	r := strings.NewReplacer(names...)
	p.Title, p.Remedy = r.Replace(p.Title), r.Replace(p.Remedy)
	return p
}

// Settings are what the operator calls the settings of a shard. The zero value are those of the only one.
type Settings struct{ URL, Component, Secret, MUC string }

// LineSettings returns the settings in a shard's line of PPCH_SHARDS_FILE.
func LineSettings(shard string) Settings {
	where := "= of shard " + shard + " in PPCH_SHARDS_FILE"
	return Settings{URL: "url" + where, Component: "component" + where, Secret: "the file of secret_file" + where, MUC: "muc" + where}
}

// OrDefault returns s with the variables of the only shard where a name is missing.
func (s Settings) OrDefault() Settings {
	return Settings{
		URL: cmp.Or(s.URL, "PROSODY_URL"), Component: cmp.Or(s.Component, "PPCH_COMPONENT_DOMAIN"),
		Secret: cmp.Or(s.Secret, "PPCH_COMPONENT_SECRET"), MUC: cmp.Or(s.MUC, "MUC_DOMAIN"),
	}
}

// For returns p with the operator's names of its settings.
func (p Problem) For(s Settings) Problem {
	s = s.OrDefault()
	return p.With(Fact{"PROSODY_URL", s.URL}, Fact{"PPCH_COMPONENT_DOMAIN", s.Component}, Fact{"PPCH_COMPONENT_SECRET", s.Secret}, Fact{"MUC_DOMAIN", s.MUC})
}

// About returns p for a MUC domain.
func (p Problem) About(domain jid.JID) Problem { return p.With(Fact{"domain", domain.String()}) }

// Err returns p as an error with a cause, which may be nil.
func (p Problem) Err(cause error) *UnavailableError {
	return &UnavailableError{Reason: p.Reason, Remedy: p.Title + ": " + p.Remedy, RetryAfter: p.Retry, Err: cause}
}

// ErrNotWatched means that a domain is not one of the watched MUC domains.
var ErrNotWatched = errors.New("occupancy: the room's domain is not watched")

// ErrNoModule means that a domain doesn't have the Lua module.
// It has no replica, but PPCH can ask Prosody about one room at a time.
var ErrNoModule = errors.New("occupancy: the domain has no Lua module")

// UnavailableError means that a value is unknown at present. It has the reason and the remedy. [Problem.Err] creates one.
type UnavailableError struct {
	Reason Reason

	// Shard is the shard that it is about, where there are several; else empty.
	Shard string

	// Remedy is the title and the remedy of the [Problem] in one text. It never contains a secret.
	Remedy string

	// RetryAfter is when a retry may help; zero means not before the problem is fixed.
	RetryAfter time.Duration

	// Err is the cause, for the log, or nil.
	Err error
}

func (e *UnavailableError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("occupancy: unavailable: %s", e.Reason)
	}
	return fmt.Sprintf("occupancy: unavailable: %s: %v", e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }
