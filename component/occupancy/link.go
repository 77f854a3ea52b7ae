package occupancy

import (
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

// Mode is what a MUC domain can be asked.
type Mode string

// The modes of a MUC domain.
const (
	// ModeUndecided is the mode of a MUC domain without the Lua module
	// that has not yet been asked about a room which exists:
	// only then does Prosody show whether it tells numbers to non-occupants.
	ModeUndecided Mode = "undecided"
	ModeModule    Mode = "module"
	ModeDisco     Mode = "disco"
	ModeExistence Mode = "existence"
)

// Link is the state of the way to Prosody at one moment.
type Link struct {
	// Up is whether the component's stream is established.
	Up bool

	// Since is when the stream came up, or when it went down.
	Since time.Time

	// LastAnswer is when Prosody last answered a question, or zero.
	LastAnswer time.Time

	// Problem says why the link is down and what to mend; nil while it is up.
	Problem *UnknownError

	// Domains are the watched MUC domains, main one first.
	Domains []Domain

	// MaxStaleness is how old what the Lua module told may be and still be an answer.
	MaxStaleness time.Duration
}

// Domain is what is known of one watched MUC domain.
type Domain struct {
	JID jid.JID

	// Mode is meaningless while Problem is set.
	Mode Mode

	// Problem says why rooms of this domain can't be asked at all, or is nil.
	Problem *UnknownError
}

// Trouble returns what stands between the main MUC domain and a count, or nil where nothing does.
func (l Link) Trouble() *UnknownError {
	switch {
	case !l.Up:
		return l.Problem
	case len(l.Domains) == 0:
		return nil
	case l.Domains[0].Problem != nil:
		return l.Domains[0].Problem
	case l.Domains[0].Mode == ModeExistence:
		return ModuleMissing(l.Domains[0].JID)
	}
	return nil
}

// Ready reports whether questions about the main MUC domain are being answered, whatever the mode.
func (l Link) Ready() bool {
	return l.Up && len(l.Domains) > 0 && l.Domains[0].Problem == nil
}

// Clone returns a copy that the caller owns.
func (l Link) Clone() Link {
	l.Domains = slices.Clone(l.Domains)
	return l
}
