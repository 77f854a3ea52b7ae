package prosodytest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Crowd is many people behind one stream: users of the cast's component, who
// cost neither a socket nor a goroutine each.
// Their stanzas are counted and thrown away. Safe for concurrent use.
// The caller must Close it.
type Crowd struct {
	// Extra is raw XML that every presence holds beside the display name.
	// To be set before the first Join.
	Extra string

	client *Client

	// mu guards what follows; the client's read loop takes it for each stanza.
	mu      sync.Mutex
	next    int
	waiting map[string]bool // senders whose join is not confirmed
	refused error           // the first refusal that nobody was told of
	changed chan struct{}   // closed and replaced when waiting shrinks
}

// window bounds how many joins are under way: each is broadcast to all who are
// in the room, so an unbounded burst would grow Prosody's queues, not its speed.
const window = 256

// Crowd connects the cast's component. There can be one at a time.
func (s *Server) Crowd(ctx context.Context) (*Crowd, error) {
	client, err := s.Component(ctx, s.Domains.Cast)
	if err != nil {
		return nil, err
	}
	c := &Crowd{client: client, waiting: map[string]bool{}, changed: make(chan struct{})}
	client.mu.Lock()
	client.tap = c.see
	client.mu.Unlock()
	return c, nil
}

// see is given every stanza of the stream and keeps none.
func (c *Crowd) see(st Stanza) bool {
	if st.Name != "presence" || (st.Type != "error" && !st.Has("code='110'")) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waiting[st.To] {
		return true
	}
	if st.Type == "error" && c.refused == nil {
		c.refused = st.Err()
	}
	delete(c.waiting, st.To)
	close(c.changed)
	c.changed = make(chan struct{})
	return true
}

// Member is one of a crowd in one room.
type Member struct {
	JID  string // user7@cast.meet.jitsi/web
	Room string // bare JID
	Nick string
	Name string
}

// Join puts n people into each of the rooms, turn by turn, and blocks until the
// server has confirmed all. The rooms must be open; see Cast.Open.
// The members are returned in the order in which they joined.
func (c *Crowd) Join(ctx context.Context, n int, rooms ...string) ([]Member, error) {
	members := make([]Member, 0, n*len(rooms))
	for range n {
		for _, room := range rooms {
			m := c.member(room)
			if err := c.settle(ctx, window); err != nil {
				return members, fmt.Errorf("prosodytest: crowd into %s: %w", room, err)
			}
			c.mu.Lock()
			c.waiting[m.JID] = true
			c.mu.Unlock()
			if err := c.client.Send(m.presence("", "<x xmlns='"+nsMUC+"'/>"+DisplayName(m.Name)+c.Extra)); err != nil {
				return members, err
			}
			members = append(members, m)
		}
	}
	if err := c.confirm(ctx, members); err != nil {
		return members, fmt.Errorf("prosodytest: crowd into rooms: %w", err)
	}
	return members, nil
}

// Leave takes members out of their rooms and blocks until the server has confirmed all.
func (c *Crowd) Leave(ctx context.Context, members ...Member) error {
	for _, m := range members {
		if err := c.settle(ctx, window); err != nil {
			return fmt.Errorf("prosodytest: crowd out of %s: %w", m.Room, err)
		}
		c.mu.Lock()
		c.waiting[m.JID] = true
		c.mu.Unlock()
		if err := c.client.Send(m.presence("unavailable", "")); err != nil {
			return err
		}
	}
	if err := c.confirm(ctx, members); err != nil {
		return fmt.Errorf("prosodytest: crowd out of rooms: %w", err)
	}
	return nil
}

// Update sends a member's new presence, with extra beside what all presences hold.
// It does not wait for the broadcast: this is for making noise.
func (c *Crowd) Update(m Member, extra string) error {
	return c.client.Send(m.presence("", DisplayName(m.Name)+c.Extra+extra))
}

// Close disconnects the component. Its people stay in their rooms as ghosts
// until Prosody next writes to them, so call Leave first where that matters.
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

// settle blocks until fewer than most answers are outstanding.
func (c *Crowd) settle(ctx context.Context, most int) error {
	return c.until(ctx, func() bool { return len(c.waiting) < most })
}

// confirm blocks until no answer about members is outstanding, whatever others wait for.
func (c *Crowd) confirm(ctx context.Context, members []Member) error {
	return c.until(ctx, func() bool {
		for len(members) > 0 && !c.waiting[members[len(members)-1].JID] {
			members = members[:len(members)-1]
		}
		return len(members) == 0
	})
}

// until blocks until ok, which is asked again after each answer, with mu held.
func (c *Crowd) until(ctx context.Context, ok func() bool) error {
	for {
		c.mu.Lock()
		refused := c.refused
		c.refused = nil
		done, left, changed := ok(), len(c.waiting), c.changed
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
