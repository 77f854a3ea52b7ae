package adhoc

import (
	"cmp"
	"container/list"
	"crypto/rand"
	"encoding/xml"
	"slices"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/commands"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/disco/items"
	"mellium.im/xmpp/form"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
)

// Default bounds.
const (
	defaultPerAccount = 10
	defaultTotal      = 1000
	defaultIdle       = 5 * time.Minute

	// maxBack is how many steps the requester can go back: a command may lead in circles.
	maxBack = 16
)

// Config configures a Responder. All fields but JID have defaults.
type Config struct {
	// JID is the address of the commands.
	JID jid.JID

	// PerAccount bounds the running commands of one account: 10 if zero.
	// One more drops the least recently used one.
	PerAccount int

	// Total bounds the running commands of all accounts: 1000 if zero. More are refused with resource-constraint.
	Total int

	// Idle is how long a command waits for its requester: 5 minutes if zero.
	Idle time.Duration
}

// Responder answers ad-hoc commands. It starts no goroutine and is safe for concurrent use.
type Responder struct {
	jid      jid.JID
	commands []Command
	sessions sessions
}

// NewResponder returns a Responder that offers these commands, in this order.
func NewResponder(cfg Config, cmds ...Command) *Responder {
	return &Responder{
		jid:      cfg.JID,
		commands: slices.Clone(cmds),
		sessions: sessions{
			perAccount: cmp.Or(cfg.PerAccount, defaultPerAccount),
			total:      cmp.Or(cfg.Total, defaultTotal),
			idle:       cmp.Or(cfg.Idle, defaultIdle),
			byID:       make(map[string]*list.Element),
			accounts:   make(map[string]int),
		},
	}
}

// Handle returns an option that makes a mux answer commands through r and list them in disco.
func Handle(r *Responder) mux.Option {
	return mux.IQ(stanza.SetIQ, xml.Name{Space: commands.NS, Local: "command"}, r)
}

// Open returns how many commands are running.
func (r *Responder) Open() int { return r.sessions.len() }

// HandleIQ implements mux.IQHandler. It blocks for as long as a stage does.
func (r *Responder) HandleIQ(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	answer, err := r.answer(iq.From, t, *start)
	if err != nil {
		_, err = xmlstream.Copy(t, iqError(iq, asError(err)))
		return err
	}
	_, err = xmlstream.Copy(t, iq.Result(answer))
	return err
}

func iqError(iq stanza.IQ, e Error) xml.TokenReader {
	iq.Type = stanza.ErrorIQ
	iq.From, iq.To = iq.To, iq.From
	return iq.Wrap(e.TokenReader())
}

// answer returns the <command/> for one.
func (r *Responder) answer(from jid.JID, t xml.TokenReader, start xml.StartElement) (xml.TokenReader, error) {
	in, err := parse(t, start)
	if err != nil {
		return nil, err
	}
	c, ok := r.command(in.node)
	switch {
	case !ok:
		return nil, r.noCommand(in.node)
	case in.session != "":
		s, err := r.sessions.find(from, in.node, in.session)
		if err != nil {
			return nil, err
		}
		return r.step(s, from, in)
	case in.action != "execute":
		return nil, badAction(in.action+" without a session", "execute")
	}
	reply, err := c.Start(Request{From: from})
	if err != nil {
		return nil, err
	}
	if reply.Next == nil {
		return reply.tokens(c.Node, rand.Text(), "completed", false), nil
	}
	s, err := r.sessions.add(from, c.Node, reply)
	if err != nil {
		return nil, err
	}
	return reply.tokens(c.Node, s.id, "executing", false), nil
}

// step does what the requester asks of a running command.
func (r *Responder) step(s *session, from jid.JID, in request) (xml.TokenReader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.shown) == 0 {
		return nil, errBadSession // it ended while we waited
	}
	present := s.shown[len(s.shown)-1]
	switch {
	case in.action == "cancel":
		r.end(s)
		return Reply{}.tokens(s.node, s.id, "canceled", false), nil
	case in.action == "prev" && len(s.shown) > 1:
		s.shown = s.shown[:len(s.shown)-1]
		return s.shown[len(s.shown)-1].tokens(s.node, s.id, "executing", len(s.shown) > 1), nil
	case in.action == "prev", in.action == "next" && present.Last, in.action == "complete" && !present.Last:
		return nil, badAction(in.action, s.possible()...)
	}
	reply, err := present.Next(Request{From: from, Form: in.form})
	if err != nil {
		return nil, err
	}
	if reply.Next == nil {
		r.end(s)
		return reply.tokens(s.node, s.id, "completed", false), nil
	}
	s.shown = append(s.shown, reply)
	if len(s.shown) > maxBack {
		s.shown = slices.Delete(s.shown, 0, 1)
	}
	return reply.tokens(s.node, s.id, "executing", true), nil
}

// possible returns the actions of the present step. The caller holds mu.
func (s *session) possible() []string {
	forward, back := "next", []string{"prev", "cancel"}
	if s.shown[len(s.shown)-1].Last {
		forward = "complete"
	}
	if len(s.shown) == 1 {
		back = back[1:]
	}
	return append([]string{forward}, back...)
}

// end ends a session. The caller holds its mu.
func (r *Responder) end(s *session) {
	s.shown = nil
	r.sessions.end(s)
}

func (r *Responder) command(node string) (Command, bool) {
	i := slices.IndexFunc(r.commands, func(c Command) bool { return c.Node == node })
	if i < 0 {
		return Command{}, false
	}
	return r.commands[i], true
}

// ForItems implements items.Iter: the node of XEP-0050 §2.2 lists the commands.
func (r *Responder) ForItems(node string, f func(items.Item) error) error {
	if node != commands.NS {
		return nil
	}
	for _, c := range r.commands {
		if err := f(items.Item{JID: r.jid, Node: c.Node, Name: c.Name}); err != nil {
			return err
		}
	}
	return nil
}

// ForIdentities implements info.IdentityIter.
func (r *Responder) ForIdentities(node string, f func(info.Identity) error) error {
	if node == commands.NS {
		return f(info.Identity{Category: "automation", Type: "command-list"})
	}
	if c, ok := r.command(node); ok {
		return f(info.Identity{Category: "automation", Type: "command-node", Name: c.Name})
	}
	return nil
}

// ForFeatures implements info.FeatureIter.
func (r *Responder) ForFeatures(node string, f func(info.Feature) error) error {
	_, ok := r.command(node)
	if node != "" && !ok {
		return nil
	}
	if err := f(commands.Feature); err != nil {
		return err
	}
	return f(info.Feature{Var: form.NS})
}
