package api

import (
	"runtime"
	"sync"
	"time"
)

// maxWaiting is after which time waiting ends a turn: what waits, as for a reader, takes no processor.
const maxWaiting = time.Millisecond

// turns let large answers use half of the processors, so that small ones always find one.
// Each chunk of a large answer is encoded and sent in a turn.
type turns chan struct{}

func newTurns() turns { return make(turns, max(1, runtime.GOMAXPROCS(0)/2)) }

// turn is one that was taken.
type turn struct {
	end  func() // may be called again
	late *time.Timer
}

// take waits for a turn. Whatever has one must not take another, and ends it.
func (t turns) take() *turn {
	t <- struct{}{}
	return &turn{end: sync.OnceFunc(func() { <-t })}
}

// Waits says that what follows in the turn may have to wait.
func (t *turn) Waits() { t.late = time.AfterFunc(maxWaiting, t.end) }

// Over ends the turn.
func (t *turn) Over() {
	if t.late != nil {
		t.late.Stop()
	}
	t.end()
}
