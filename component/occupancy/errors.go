package occupancy

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotWatched is returned for a room on a domain that is not among the watched MUC domains.
var ErrNotWatched = errors.New("occupancy: the room's domain is not watched")

// ErrNoModule is the cause of the error for rooms of a domain without the Lua module.
// There is no replica of these, but Prosody can be asked about one room at a time.
var ErrNoModule = errors.New("occupancy: the domain has no Lua module")

// UnknownError says that something isn't known now, why, and how to fix that. It stands wherever a false number could.
// A [Problem] makes one.
type UnknownError struct {
	Reason Reason

	// Mend says what is wrong and how to fix it; it never holds a secret.
	Mend string

	// RetryAfter is when asking again may help; zero means that it won't before the problem is fixed.
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
