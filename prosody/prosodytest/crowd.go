package prosodytest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Crowd is many people on one stream: users of the cast's component, without a
// socket or a goroutine each. It discards their stanzas, except for
// confirmations. Safe for concurrent use. The caller must Close it.
type Crowd struct {
	// Extra is raw XML for every presence, in addition to the display name.
	// Set it before the first Join.
	Extra string

	client *Client

	// mu protects the fields below. The client's read loop locks it for each stanza.
	mu      sync.Mutex
	next    int
	pending map[string]bool // senders of unconfirmed joins and leaves
	refused error           // the first refusal not returned yet
	changed chan struct{}   // closed and replaced when pending shrinks
}

// maxPending bounds the unconfirmed joins. Each is broadcast to all occupants,
// so an unbounded burst would only grow Prosody's queues.
const maxPending = 256

// Crowd connects the cast's component. There can be one at a time.
func (s *Server) Crowd(ctx context.Context) (*Crowd, error) {
	client, err := s.Component(ctx, s.Domains.Cast)
	if err != nil {
		return nil, err
	}
	c := &Crowd{client: client, pending: map[string]bool{}, changed: make(chan struct{})}
	client.mu.Lock()
	client.intercept = c.intercept
	client.mu.Unlock()
	return c, nil
}

// intercept handles and discards every stanza of the stream.
func (c *Crowd) intercept(st Stanza) bool {
	if st.Name != "presence" || (st.Type != "error" && !st.Has("code='110'")) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pending[st.To] {
		return true
	}
	if st.Type == "error" && c.refused == nil {
		c.refused = st.Err()
	}
	delete(c.pending, st.To)
	close(c.changed)
	c.changed = make(chan struct{})
	return true
}

// Member is a person of a crowd in one room.
type Member struct {
	JID  string // user7@cast.meet.jitsi/web
	Room string // bare JID
	Nick string
	Name string
}

// Join adds n people to each of the rooms, round robin, and blocks until the
// server has confirmed all. The rooms must be open; see Cast.Open.
// It returns the members in the order of joining.
func (c *Crowd) Join(ctx context.Context, n int, rooms ...string) ([]Member, error) {
	members := make([]Member, 0, n*len(rooms))
	for range n {
		for _, room := range rooms {
			m := c.member(room)
			if err := c.awaitCapacity(ctx, maxPending); err != nil {
				return members, fmt.Errorf("prosodytest: crowd into %s: %w", room, err)
			}
			c.mu.Lock()
			c.pending[m.JID] = true
			c.mu.Unlock()
			if err := c.client.Send(m.presence("", "<x xmlns='"+nsMUC+"'/>"+DisplayName(m.Name)+c.Extra)); err != nil {
				return members, err
			}
			members = append(members, m)
		}
	}
	if err := c.awaitConfirmed(ctx, members); err != nil {
		return members, fmt.Errorf("prosodytest: crowd into rooms: %w", err)
	}
	return members, nil
}

// Leave makes members leave their rooms and blocks until the server has confirmed all.
func (c *Crowd) Leave(ctx context.Context, members ...Member) error {
	for _, m := range members {
		if err := c.awaitCapacity(ctx, maxPending); err != nil {
			return fmt.Errorf("prosodytest: crowd out of %s: %w", m.Room, err)
		}
		c.mu.Lock()
		c.pending[m.JID] = true
		c.mu.Unlock()
		if err := c.client.Send(m.presence("unavailable", "")); err != nil {
			return err
		}
	}
	if err := c.awaitConfirmed(ctx, members); err != nil {
		return fmt.Errorf("prosodytest: crowd out of rooms: %w", err)
	}
	return nil
}

// Update sends a member's new presence with extra XML.
// It does not wait for the broadcast.
func (c *Crowd) Update(m Member, extra string) error {
	return c.client.Send(m.presence("", DisplayName(m.Name)+c.Extra+extra))
}

// Close disconnects the component. Its people stay in their rooms until Prosody
// next sends to them, so call Leave first if that matters.
func (c *Crowd) Close() error { return c.client.Close() }

func (c *Crowd) member(room string) Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	number := strconv.Itoa(c.next)
	return Member{
		JID:  "user" + number + "@" + c.client.JID() + "/web",
		Room: room,
		Nick: fmt.Sprintf("%08x", c.next),
		Name: "User " + number,
	}
}

func (m Member) presence(typ, payload string) string {
	return strings.Join([]string{"<presence", attr("from", m.JID), attr("to", m.Room+"/"+m.Nick), attr("type", typ), ">", payload, "</presence>"}, "")
}

// awaitCapacity blocks until fewer than limit answers are outstanding.
func (c *Crowd) awaitCapacity(ctx context.Context, limit int) error {
	return c.awaitState(ctx, func() bool { return len(c.pending) < limit })
}

// awaitConfirmed blocks until no answer for these members is outstanding.
func (c *Crowd) awaitConfirmed(ctx context.Context, members []Member) error {
	return c.awaitState(ctx, func() bool {
		for len(members) > 0 && !c.pending[members[len(members)-1].JID] {
			members = members[:len(members)-1]
		}
		return len(members) == 0
	})
}

// awaitState blocks until ok, which it calls after each answer with mu held.
func (c *Crowd) awaitState(ctx context.Context, ok func() bool) error {
	for {
		c.mu.Lock()
		refused := c.refused
		c.refused = nil
		done, left, changed := ok(), len(c.pending), c.changed
		c.mu.Unlock()
		switch {
		case refused != nil:
			return refused
		case done:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d not confirmed: %w", left, ctx.Err())
		case <-c.client.Ended():
			return errors.Join(fmt.Errorf("%d not confirmed", left), c.client.Err())
		}
	}
}
