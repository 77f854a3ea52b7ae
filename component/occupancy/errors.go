package occupancy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// ErrNotWatched is returned for a room on a domain that is not among the watched MUC domains.
var ErrNotWatched = errors.New("occupancy: the room's domain is not watched")

// ErrNoModule is the cause of the error for rooms of a domain without the Lua module.
// There is no replica of these, but Prosody can be asked about one room at a time.
var ErrNoModule = errors.New("occupancy: the domain has no Lua module")

// Reason is why something can't be known now, as one word for programs.
type Reason string

// The reasons, from the far end of the chain to the near one.
const (
	ReasonConnecting    Reason = "connecting"     // the first connection is still being made
	ReasonDNS           Reason = "dns"            // Prosody's host name doesn't resolve
	ReasonRefused       Reason = "refused"        // nothing listens at the component port
	ReasonUnreachable   Reason = "unreachable"    // no route, or another network error
	ReasonTimeout       Reason = "timeout"        // Prosody doesn't answer in time
	ReasonHostUnknown   Reason = "host-unknown"   // Prosody has no such component
	ReasonNotAuthorized Reason = "not-authorized" // wrong secret
	ReasonConflict      Reason = "conflict"       // another connection has the component's name
	ReasonLost          Reason = "lost"           // the stream ended
	ReasonNoMUC         Reason = "no-muc"         // the watched domain is not a MUC service
	ReasonNotAllowed    Reason = "not-allowed"    // the module is there, and doesn't list our component
	ReasonSyncing       Reason = "syncing"        // the module is there, and its rooms are being learnt
	ReasonStorage       Reason = "storage"        // Prosody has rooms in storage that can't be read
	ReasonModuleVersion Reason = "module-version" // the module speaks another version of the protocol
	ReasonModuleMissing Reason = "module-missing" // rooms are hidden and the Lua module isn't loaded
	ReasonRejected      Reason = "rejected"       // Prosody answered with an unexpected error
)

// UnknownError says that the truth can't be told now, why, and what to mend.
// It stands wherever a false number could.
type UnknownError struct {
	Reason Reason

	// Mend is a sentence for the operator; it never holds a secret.
	Mend string

	// RetryAfter is when asking again may help; zero means that it won't without a mend.
	RetryAfter time.Duration

	// Err is the cause, for the log; nil where there is none beyond Reason.
	Err error
}

func (e *UnknownError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("occupancy: not known now: %s", e.Reason)
	}
	return fmt.Sprintf("occupancy: not known now: %s: %v", e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *UnknownError) Unwrap() error { return e.Err }

// howToLoad is the mend wherever the Lua module is missing.
const howToLoad = "load the Lua module mod_room_participants_api there " +
	"(docker-jitsi-meet: copy it into prosody-plugins-custom and set XMPP_MUC_MODULES=room_participants_api), then restart Prosody"

// ModuleMissing returns the error for a room that exists on domain but whose occupants Prosody keeps to itself.
// Every current Jitsi does so: mod_muc_hide_all answers forbidden to whoever isn't in the room.
func ModuleMissing(domain jid.JID) *UnknownError {
	return &UnknownError{
		Reason: ReasonModuleMissing,
		Mend:   fmt.Sprintf("Prosody hides the occupants of rooms on %s: %s", domain, howToLoad),
	}
}

// OtherProtocol returns the error for a domain whose Lua module speaks other versions of the protocol than ours.
func OtherProtocol(domain jid.JID, ours string, theirs []string, newer bool) *UnknownError {
	fix := "replace the module's file by that of this PPCH, and restart Prosody"
	if newer {
		fix = "update PPCH to the release that the module is from, or replace the module's file by that of this PPCH and restart Prosody"
	}
	return &UnknownError{
		Reason: ReasonModuleVersion,
		Mend:   fmt.Sprintf("the Lua module on %s speaks %s, and this PPCH %s: %s", domain, strings.Join(theirs, " and "), ours, fix),
	}
}

// NotListed returns the error for a list of the rooms of domain, of which only the Lua module tells.
func NotListed(domain jid.JID) *UnknownError {
	return &UnknownError{
		Reason: ReasonModuleMissing,
		Mend:   fmt.Sprintf("only the Lua module knows all the rooms of %s: %s", domain, howToLoad),
		Err:    ErrNoModule,
	}
}

// NoEvents returns the error for a domain that Prosody can be asked about, but that reports nothing by itself.
func NoEvents(domain jid.JID) *UnknownError {
	return &UnknownError{
		Reason: ReasonModuleMissing,
		Mend:   fmt.Sprintf("Prosody reports changes on %s only through the Lua module: %s", domain, howToLoad),
		Err:    ErrNoModule,
	}
}

// NotAllowed returns the error for a domain whose Lua module talks to other components than ours.
func NotAllowed(domain, component jid.JID) *UnknownError {
	return &UnknownError{
		Reason: ReasonNotAllowed,
		Mend: fmt.Sprintf(`the Lua module on %s doesn't list %s: put room_participants_components = { "%s" } above every Component in Prosody's configuration `+
			"(docker-jitsi-meet: conf.d/ppch.cfg.lua) and restart Prosody", domain, component, component),
	}
}
