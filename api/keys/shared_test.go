package keys_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"ppch/api/keys"
	"ppch/component/componenttest"
)

// list is a List that tests change.
type list struct {
	mu      sync.Mutex
	lines   string
	err     error
	changed chan struct{}
}

func (l *list) Lines() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines, l.err
}

func (l *list) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *list) set(lines string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines, l.err = lines, err
	close(l.changed)
	l.changed = make(chan struct{})
}

// Keys of a list that becomes unknown are not valid any more, and not wrong either.
func TestKeyring_SharedListBecomesUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{lines: lineFor("the key of a screen, long enough", "name=screen scope=count"), changed: make(chan struct{})}
		k := must(keys.NewKeyring(keys.KeyringConfig{Key: "the key of this node, long enough", Shared: l}))(t)
		defer componenttest.Run(t, func(ctx context.Context) error { return k.Run(ctx, nil) })()
		if got := k.Count(); got != 2 {
			t.Errorf("got %d keys want 2", got)
		}
		l.set("", errors.New("too old"))
		synctest.Wait()
		if got := k.Count(); got != 1 {
			t.Errorf("got %d keys want that of this node", got)
		}
		var unknown *keys.UnknownKeysError
		if err := k.Unknown(); !errors.As(err, &unknown) {
			t.Errorf("got %v want that the list is unknown", err)
		}
		l.set(lineFor("the key of a screen, long enough", "name=screen scope=count"), nil)
		synctest.Wait()
		if err := k.Unknown(); err != nil || k.Count() != 2 {
			t.Errorf("got %d keys, %v want 2", k.Count(), err)
		}
	})
}
