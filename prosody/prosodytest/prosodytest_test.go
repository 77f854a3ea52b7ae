package prosodytest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

// Servers and clients must not leak goroutines.
func TestMain(m *testing.M) {
	hostIfAsked()
	goleak.VerifyTestMain(m)
}

const (
	discoInfo  = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
	discoItems = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
	ping       = "<ping xmlns='urn:xmpp:ping'/>"
)

// within bounds a test. It takes longer only if it hangs.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

var check = componenttest.Check

func newCast(t *testing.T, s *prosodytest.Server) *prosodytest.Cast {
	t.Helper()
	cast := must(s.Cast(within(t)))(t)
	t.Cleanup(func() {
		if err := cast.Close(); err != nil {
			t.Error(err)
		}
	})
	return cast
}

func closing(t *testing.T, c *prosodytest.Client) *prosodytest.Client {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func newGuest(t *testing.T, s *prosodytest.Server) *prosodytest.Client {
	t.Helper()
	return closing(t, must(s.Guest(within(t)))(t))
}

func newComponent(t *testing.T, s *prosodytest.Server) *prosodytest.Client {
	t.Helper()
	return closing(t, must(s.Component(within(t), s.Domains.Component))(t))
}

// wantCondition checks that err is a stanza error with this condition.
func wantCondition(t *testing.T, err error, want string) {
	t.Helper()
	var refused *prosodytest.StanzaError
	if !errors.As(err, &refused) {
		t.Fatalf("got error %v, want a stanza error %s", err, want)
	}
	if refused.Condition != want {
		t.Fatalf("got condition %q, want %q (%v)", refused.Condition, want, err)
	}
}

// presenceOf matches an occupant's presence of a type.
func presenceOf(jidInRoom, typ string) func(prosodytest.Stanza) bool {
	return func(st prosodytest.Stanza) bool {
		return st.Name == "presence" && strings.EqualFold(st.From, jidInRoom) && st.Type == typ
	}
}
