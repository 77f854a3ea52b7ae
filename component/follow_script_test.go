package component_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ppch/component"
	"ppch/component/componenttest"
	"ppch/component/protocol"
)

const (
	moduleInfo = `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/>` +
		`<feature var='http://jabber.org/protocol/muc'/><feature var='urn:ppch:occupancy:1'/></query>`
	unavailable = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
)

// module plays the Lua module: batches sends the batches of each subscription.
type module struct {
	batches func(m *module, epoch string)
	slow    time.Duration // to answer a subscription

	// recovers is whether it is slow only once.
	recovers bool

	// timed is whether its answer has the time of day, which is ahead of ours by ahead.
	timed bool
	ahead time.Duration

	// mu protects what follows.
	mu       sync.Mutex
	conn     *componenttest.Conn
	unloaded bool
	deaf     bool // freezes when it is asked for a subscription
	frozen   bool // answers nothing
	epochs   int
	acks     map[string]string // type of the answer to each batch, by id
}

func (m *module) script(c *componenttest.Conn) error {
	if err := c.Handshake(); err != nil {
		return err
	}
	m.mu.Lock()
	m.conn = c
	m.mu.Unlock()
	return c.Serve(func(s componenttest.Stanza) string {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.frozen = m.frozen || m.deaf && strings.Contains(s.Inner, "<subscribe")
		switch {
		case m.frozen:
			return ""
		case s.Type == "result" || s.Type == "error":
			m.acks[s.ID] = s.Type
		case strings.Contains(s.Inner, "<subscribe") && m.unloaded:
			return unavailable
		case strings.Contains(s.Inner, "<subscribe"):
			m.epochs++
			n, epoch := m.epochs, fmt.Sprintf("e%d", m.epochs)
			if m.epochs == 1 || !m.recovers {
				m.mu.Unlock() // a goroutine that waits for it would stop the clock
				time.Sleep(m.slow)
				m.mu.Lock()
			}
			go func() {
				time.Sleep(time.Millisecond)
				if m.subscriptions() == n { // a later one replaces it
					m.batches(m, epoch)
				}
			}()
			now := ""
			if m.timed {
				now = fmt.Sprintf("time='%d'", time.Now().Add(m.ahead).UnixMilli())
			}
			return fmt.Sprintf("<subscribed xmlns='%s' epoch='%s' heartbeat='5' at='100' %s/>", protocol.Namespace, epoch, now)
		case strings.Contains(s.Inner, "disco#items"):
			return noItems
		case !strings.Contains(s.To, "@") && m.unloaded:
			return mucInfo
		case !strings.Contains(s.To, "@"):
			return moduleInfo
		}
		return notFound
	})
}

// send sends a batch with attributes and content in an IQ; its id is its epoch and seq.
func (m *module) send(epoch string, seq int, at float64, attrs, inner string) {
	m.sendFrom("muc.meet.jitsi", epoch, seq, at, attrs, inner)
}

func (m *module) sendFrom(from, epoch string, seq int, at float64, attrs, inner string) {
	m.sendIn("iq type='set'", from, epoch, seq, at, attrs, inner)
}

// say sends a batch in a message.
func (m *module) say(from, epoch string, seq int, at float64, attrs, inner string) {
	m.sendIn("message type='normal'", from, epoch, seq, at, attrs, inner)
}

func (m *module) sendIn(stanza, from, epoch string, seq int, at float64, attrs, inner string) {
	m.mu.Lock()
	conn := m.conn
	m.mu.Unlock()
	// Don't hold mu: a pipe has no buffer, and the reader may wait for mu.
	name, _, _ := strings.Cut(stanza, " ")
	_ = conn.Send("<%s id='%s-%d' from='%s' to='ppch.meet.jitsi'><batch xmlns='%s' epoch='%s' seq='%d' at='%.3f' %s>%s</batch></%s>",
		stanza, epoch, seq, from, protocol.Namespace, epoch, seq, at, attrs, inner, name)
}

func (m *module) ack(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.acks[id]
}

func (m *module) freeze() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen = true
}

func (m *module) subscriptions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epochs
}

const (
	oneRoom = "<room jid='planning@muc.meet.jitsi' new='1' facts='1'>+\tann\tann@meet.jitsi/x\tparticipant\tnone\n</room>"
	synced  = "synced='1' rooms='1' occupants='1'"
)

// follow runs a component with the module in virtual time.
func follow(t *testing.T, batches func(*module, string), test func(*testing.T, *component.Component, *module), adjust ...func(*module)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &module{batches: batches, acks: map[string]string{}}
		for _, f := range adjust {
			f(m)
		}
		c, stop := start(t, config(componenttest.New("secret", m.script).Dial))
		defer stop()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		test(t, c, m)
	})
}
