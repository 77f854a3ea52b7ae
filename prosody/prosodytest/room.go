package prosodytest

import (
	"context"
	"fmt"
	"strings"
)

const (
	nsMUC      = "http://jabber.org/protocol/muc"
	nsMUCAdmin = "http://jabber.org/protocol/muc#admin"
	nsMUCOwner = "http://jabber.org/protocol/muc#owner"
)

// Occupant is a client in one room.
// Its own methods are not safe for concurrent use; those of the client are.
type Occupant struct {
	*Client
	Room  string // bare JID
	as    string // sender of its stanzas; empty for a person's own client
	extra string // additional XML of the presence
	nick  string
}

// Join joins a room and blocks until the server confirms it (status 110), or
// returns the refusal as a *StanzaError.
// extra is raw XML for the presence: a display name, features and so on.
func (c *Client) Join(ctx context.Context, room, nick string, extra ...string) (*Occupant, error) {
	return c.JoinAs(ctx, c.from, room, nick, extra...)
}

// JoinAs is Join with a chosen sender: a component can join as any of its users.
func (c *Client) JoinAs(ctx context.Context, from, room, nick string, extra ...string) (*Occupant, error) {
	o := &Occupant{Client: c, Room: room, as: from, nick: nick, extra: strings.Join(extra, "")}
	raw := "<presence" + attr("from", from) + attr("to", o.JIDInRoom()) + "><x xmlns='" + nsMUC + "'/>" + o.extra + "</presence>"
	st, err := c.request(ctx, raw, o.self(""))
	if err != nil {
		return nil, fmt.Errorf("prosodytest: join %s: %w", o.JIDInRoom(), err)
	}
	// The server may have normalised the nick.
	_, o.nick, _ = strings.Cut(st.From, "/")
	return o, nil
}

// self matches the occupant's own presence of a type, or an error.
func (o *Occupant) self(typ string) func(Stanza) bool {
	return func(st Stanza) bool {
		room, _, _ := strings.Cut(st.From, "/")
		return st.Name == "presence" && sameRoom(room, o.Room) && (o.as == "" || st.To == o.as) &&
			(st.Type == "error" || (st.Type == typ && st.HasStatus(110)))
	}
}

// sameRoom compares two bare room JIDs. [tenant]room@muc.base equals
// room@muc.tenant.base: with Options.DomainMapper a room joined by one name may
// answer with the other.
func sameRoom(a, b string) bool { return strings.EqualFold(publicName(a), publicName(b)) }

func publicName(room string) string {
	node, domain, _ := strings.Cut(room, "@")
	tenant, name, ok := strings.Cut(strings.TrimPrefix(node, "["), "]")
	if !ok || !strings.HasPrefix(node, "[") {
		return room
	}
	prefix, base, _ := strings.Cut(domain, ".")
	return name + "@" + prefix + "." + tenant + "." + base
}

// Nick returns the last nick that the server confirmed.
func (o *Occupant) Nick() string { return o.nick }

// JIDInRoom returns the occupant's address, room and nick.
func (o *Occupant) JIDInRoom() string { return o.Room + "/" + o.nick }

// Update sends a new presence with extra in place of the previous one, and
// blocks until the server has broadcast it.
func (o *Occupant) Update(ctx context.Context, extra ...string) error {
	o.extra = strings.Join(extra, "")
	raw := "<presence" + attr("from", o.as) + attr("to", o.JIDInRoom()) + ">" + o.extra + "</presence>"
	if _, err := o.request(ctx, raw, o.self("")); err != nil {
		return fmt.Errorf("prosodytest: update %s: %w", o.JIDInRoom(), err)
	}
	return nil
}

// Rename changes the nick and blocks until the server confirms it.
func (o *Occupant) Rename(ctx context.Context, nick string) error {
	raw := "<presence" + attr("from", o.as) + attr("to", o.Room+"/"+nick) + ">" + o.extra + "</presence>"
	st, err := o.request(ctx, raw, o.self(""))
	if err != nil {
		return fmt.Errorf("prosodytest: rename %s to %s: %w", o.JIDInRoom(), nick, err)
	}
	_, o.nick, _ = strings.Cut(st.From, "/")
	return nil
}

// Leave leaves the room and blocks until the server confirms it.
// The client stays connected.
func (o *Occupant) Leave(ctx context.Context) error {
	raw := "<presence" + attr("from", o.as) + attr("to", o.JIDInRoom()) + " type='unavailable'/>"
	if _, err := o.request(ctx, raw, o.self("unavailable")); err != nil {
		return fmt.Errorf("prosodytest: leave %s: %w", o.JIDInRoom(), err)
	}
	return nil
}

// SetRole gives an occupant a role: "moderator", "participant", "visitor", or
// "none", which kicks them. The client must be a moderator of the room.
func (c *Client) SetRole(ctx context.Context, room, nick, role, reason string) error {
	return c.admin(ctx, room, attr("nick", nick)+attr("role", role), reason)
}

// SetAffiliation gives a bare JID an affiliation: "owner", "admin", "member",
// "none", or "outcast". The client must be an owner of the room.
func (c *Client) SetAffiliation(ctx context.Context, room, jid, affiliation, reason string) error {
	return c.admin(ctx, room, attr("jid", jid)+attr("affiliation", affiliation), reason)
}

// Kick removes an occupant.
func (c *Client) Kick(ctx context.Context, room, nick, reason string) error {
	return c.SetRole(ctx, room, nick, "none", reason)
}

// Ban removes a bare JID and prevents it from joining.
func (c *Client) Ban(ctx context.Context, room, jid, reason string) error {
	return c.SetAffiliation(ctx, room, jid, "outcast", reason)
}

func (c *Client) admin(ctx context.Context, room, item, reason string) error {
	payload := "<query xmlns='" + nsMUCAdmin + "'><item" + item + "><reason>" + Escape(reason) + "</reason></item></query>"
	if _, err := c.IQ(ctx, room, "set", payload); err != nil {
		return fmt.Errorf("prosodytest: administer %s: %w", room, err)
	}
	return nil
}

// Destroy destroys a room. The client must be an owner of it.
func (c *Client) Destroy(ctx context.Context, room, reason string) error {
	payload := "<query xmlns='" + nsMUCOwner + "'><destroy><reason>" + Escape(reason) + "</reason></destroy></query>"
	if _, err := c.IQ(ctx, room, "set", payload); err != nil {
		return fmt.Errorf("prosodytest: destroy %s: %w", room, err)
	}
	return nil
}
