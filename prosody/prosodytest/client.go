package prosodytest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
)

// inboxSize bounds a client's inbox.
const inboxSize = 4096

// Client is a stream to the server: a person's, a program's, or a component's.
//
// It always reads, so that Prosody never has to queue stanzas for it. They stay
// in a bounded inbox until Expect takes them; the oldest are dropped first.
// All methods are safe for concurrent use. The caller must Close or Drop it.
type Client struct {
	jid  string
	from string // set on stanzas; required for components
	s    *stream

	// mu protects the fields below. It is held for short times only.
	// Match functions run with mu held, so they must not call the client.
	mu        sync.Mutex
	inbox     []Stanza
	lost      int
	waiters   []*waiter
	intercept func(Stanza) (taken bool)
	err       error // why reading ended; set before ended is closed

	ended chan struct{} // closed when the read loop is over
}

type waiter struct {
	match func(Stanza) bool
	got   chan Stanza // buffered, so that the read loop never blocks
}

// newClient starts reading an authenticated stream.
func newClient(s *stream, jid, from string) *Client {
	c := &Client{jid: jid, from: from, s: s, ended: make(chan struct{})}
	// Close and Drop close the socket and wait for the loop.
	go c.read()
	return c
}

func (c *Client) read() {
	defer close(c.ended)
	for {
		st, err := c.s.next()
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			return
		}
		c.deliver(st)
	}
}

// deliver passes a stanza to the first waiter that matches, else to the inbox.
func (c *Client) deliver(st Stanza) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.intercept != nil && c.intercept(st) {
		return
	}
	for i, w := range c.waiters {
		if w.match(st) {
			c.waiters = slices.Delete(c.waiters, i, i+1)
			w.got <- st
			return
		}
	}
	if len(c.inbox) == inboxSize {
		// Drop a quarter at once, because dropping moves all the others.
		c.inbox = slices.Delete(c.inbox, 0, inboxSize/4)
		c.lost += inboxSize / 4
	}
	c.inbox = append(c.inbox, st)
}

// JID returns the full JID that the server bound, or a component's domain.
func (c *Client) JID() string { return c.jid }

// Send writes raw to the socket unchanged, well-formed or not.
// It blocks while the socket's buffer is full, for at most ten seconds.
func (c *Client) Send(raw string) error {
	if err := c.s.send(raw); err != nil {
		return fmt.Errorf("prosodytest: send as %s: %w", c.jid, err)
	}
	return nil
}

// Expect removes and returns the first stanza that matches, from the inbox or
// later. It blocks until there is one, ctx is done or the stream has ended. Of
// several callers that match the same stanza, the first gets it.
// match must not call the client.
func (c *Client) Expect(ctx context.Context, match func(Stanza) bool) (Stanza, error) {
	return c.wait(ctx, c.await(match, true))
}

// Received is Expect without waiting; ok reports whether there was one.
func (c *Client) Received(match func(Stanza) bool) (st Stanza, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.take(match)
}

// Lost counts the stanzas dropped from a full inbox.
func (c *Client) Lost() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// Forget empties the inbox.
func (c *Client) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox = nil
}

// take removes the first match from the inbox. mu must be held.
func (c *Client) take(match func(Stanza) bool) (Stanza, bool) {
	i := slices.IndexFunc(c.inbox, match)
	if i < 0 {
		return Stanza{}, false
	}
	st := c.inbox[i]
	c.inbox = slices.Delete(c.inbox, i, i+1)
	return st, true
}

// await registers a waiter. A request registers before it is sent, so that its
// answer isn't missed; backlog reports whether to search the inbox.
func (c *Client) await(match func(Stanza) bool, backlog bool) *waiter {
	w := &waiter{match: match, got: make(chan Stanza, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if backlog {
		if st, ok := c.take(match); ok {
			w.got <- st
			return w
		}
	}
	c.waiters = append(c.waiters, w)
	return w
}

func (c *Client) wait(ctx context.Context, w *waiter) (Stanza, error) {
	var err error
	select {
	case st := <-w.got:
		return st, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.ended:
		err = c.Err()
	}
	c.mu.Lock()
	c.waiters = slices.DeleteFunc(c.waiters, func(o *waiter) bool { return o == w })
	c.mu.Unlock()
	select {
	case st := <-w.got: // it arrived just before removal
		return st, nil
	default:
		return Stanza{}, fmt.Errorf("prosodytest: wait as %s: %w", c.jid, err)
	}
}

// request sends raw and returns the next stanza that matches.
// It returns an error stanza together with its *StanzaError.
func (c *Client) request(ctx context.Context, raw string, match func(Stanza) bool) (Stanza, error) {
	w := c.await(match, false)
	if err := c.Send(raw); err != nil {
		c.mu.Lock()
		c.waiters = slices.DeleteFunc(c.waiters, func(o *waiter) bool { return o == w })
		c.mu.Unlock()
		return Stanza{}, err
	}
	st, err := c.wait(ctx, w)
	if err != nil {
		return Stanza{}, err
	}
	return st, st.Err()
}

// IQ sends a request of type get or set with a payload of raw XML, and waits for
// the answer. It returns an error answer with its *StanzaError.
func (c *Client) IQ(ctx context.Context, to, typ, payload string) (Stanza, error) {
	return c.IQFrom(ctx, c.from, to, typ, payload)
}

// IQFrom is IQ with a chosen sender: a component can send as any of its users.
func (c *Client) IQFrom(ctx context.Context, from, to, typ, payload string) (Stanza, error) {
	id := rand.Text()
	raw := "<iq" + attr("from", from) + attr("to", to) + attr("type", typ) + attr("id", id) + ">" + payload + "</iq>"
	return c.request(ctx, raw, func(st Stanza) bool {
		return st.Name == "iq" && st.ID == id && (st.Type == "result" || st.Type == "error")
	})
}

// Ended is closed when either side has ended the stream.
func (c *Client) Ended() <-chan struct{} { return c.ended }

// Err returns why the stream ended: a *StreamError, or io.EOF for a normal end.
// It is nil while the stream is open.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close closes the stream and the socket, and waits for the read loop.
func (c *Client) Close() error {
	// Best effort: the server may have ended or be frozen.
	_ = c.s.send("</stream:stream>")
	return c.Drop()
}

// Drop closes the socket without closing the stream, like a network failure, and
// waits for the read loop. It may be called several times.
func (c *Client) Drop() error {
	err := c.s.conn.Close()
	<-c.ended
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("prosodytest: close %s: %w", c.jid, err)
	}
	return nil
}

// attr renders an attribute, or nothing if value is empty.
func attr(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + "='" + Escape(value) + "'"
}
