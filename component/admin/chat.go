package admin

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"ppch/component/occupancy"
)

// Bounds of a list in one message: rooms or occupants, and bytes of rooms.
const (
	maxListed      = 40
	maxListedBytes = 8 << 10
)

// maxBody is how many bytes of a message are read.
const maxBody = 2048

const help = `Commands:
help – this list
rooms [TEXT] – all rooms, or those with TEXT in their name
room NAME – the people in a room; NAME as in Jitsi, tenant/room or a JID
watch NAME, watch all – report joins and leaves, until you go offline
unwatch [NAME] – stop reporting
status – the connection and the MUC domains
Ad-hoc commands and service discovery offer the same as forms.`

// message answers a chat message (RFC 6121 §5). A message without a body, such as a typing notification, gets no answer.
func (h *Handler) message(t xmlstream.TokenReadEncoder, start xml.StartElement) error {
	m, err := stanza.NewMessage(start)
	if err != nil {
		return err
	}
	all, err := children(t, start)
	if err != nil {
		return err
	}
	switch m.Type {
	case stanza.ErrorMessage:
		h.watchers.unwatch(m.From, "") // our message bounced
		return nil
	case stanza.ChatMessage, stanza.NormalMessage:
	default:
		return nil
	}
	body, ok := find(all, "body")
	if !ok || strings.TrimSpace(body) == "" {
		return nil
	}
	if !m.To.Bare().Equal(h.Domain) {
		_, err = xmlstream.Copy(t, m.Error(refuse(stanza.Cancel, stanza.ServiceUnavailable, "send messages to "+h.Domain.String())))
		return err
	}
	thread, _ := find(all, "thread")
	return write(t, chat(h.Domain, m.From, m.Type, thread, h.reply(m.From, body[:min(len(body), maxBody)])))
}

// reply returns the answer to a message.
func (h *Handler) reply(from jid.JID, body string) string {
	verb, rest, _ := strings.Cut(strings.TrimSpace(body), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(verb) {
	case "help", "?", "hello", "hi":
		return help
	case "rooms":
		return h.listText(rest)
	case "room":
		if rest == "" {
			return "which room? Send room NAME, or rooms for a list"
		}
		return h.roomText(rest)
	case "watch":
		return h.watchText(from, rest)
	case "unwatch":
		return h.unwatchText(from, rest)
	case "status":
		return h.statusText()
	}
	return fmt.Sprintf("unknown command %q; known are help, rooms, room, watch, unwatch and status", show(verb))
}

func (h *Handler) listText(text string) string {
	rooms, unknown := h.rooms(selection{text: text})
	var lines []string
	switch {
	case len(rooms) == 0 && len(unknown) == 0 && text != "":
		return fmt.Sprintf("no open room has %q in its name", show(text))
	case len(rooms) > 0 || len(unknown) == 0:
		lines = append(lines, count(len(rooms), "room", "rooms"))
	}
	listed, bytes := 0, 0
	for listed < min(len(rooms), maxListed) && bytes < maxListedBytes {
		line := h.roomLine(rooms[listed])
		lines, listed, bytes = append(lines, line), listed+1, bytes+len(line)
	}
	if more := len(rooms) - listed; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more; narrow the list with rooms TEXT", more))
	}
	return strings.Join(append(lines, unknown...), "\n")
}

func (h *Handler) roomLine(g occupancy.RoomSummary) string {
	_, domain, _ := strings.Cut(g.Address, "@")
	line := h.roomName(g.Address) + " — " + people(g.Participants)
	if strings.Contains(line, "@") {
		return line
	}
	return line + " (" + domain + ")"
}

func (h *Handler) roomText(name string) string {
	j, err := h.Names.Room(name)
	if err != nil {
		return errorText(err)
	}
	r, err := h.Prosody.Room(context.Background(), j)
	if err != nil {
		return errorText(err)
	}
	text := h.aboutRoom(r)
	if remark := h.Names.Remark(name, j, r.Exists); remark != "" {
		text += "\n" + remark
	}
	return text
}

// aboutRoom returns a room and its occupants as text.
func (h *Handler) aboutRoom(r occupancy.Room) string {
	name := h.roomName(r.JID.String())
	switch {
	case !r.Exists:
		return "there is no room " + name + " now"
	case !r.Exact && r.Counts == nil:
		return name + " — " + count(r.Participants, "occupant", "occupants") + "; " + inexact
	}
	lines := []string{name + " — " + people(r.Participants) + ", as of " + stamp(r.AsOf)}
	if notes := shardNotes(r); len(r.UnknownShards) > 0 {
		lines = append([]string{name + " — at least " + people(r.Participants) + ", as of " + stamp(r.AsOf)}, notes...)
	} else {
		lines = append(lines, notes...)
	}
	all := sorted(r)
	for _, o := range all[:min(len(all), maxListed)] {
		lines = append(lines, occupantLine(o))
	}
	if len(all) > maxListed {
		lines = append(lines, fmt.Sprintf("… and %d more", len(all)-maxListed))
	}
	return strings.Join(lines, "\n")
}

func occupantLine(o *occupancy.Occupant) string {
	text := occupantName(o)
	if o.Kind != occupancy.KindUser {
		text += " (" + kindOf(o) + ")"
	}
	if !o.JoinedAt.IsZero() {
		text += ", for " + ago(o.JoinedAt)
	}
	return text
}

// kindOf returns the kind of an occupant in words, with the operator's rule.
func kindOf(o *occupancy.Occupant) string {
	if o.Rule != "" {
		return o.Kind.Word(1) + " by rule " + o.Rule
	}
	return o.Kind.Word(1)
}

func (h *Handler) watchText(from jid.JID, name string) string {
	room := allRooms
	switch strings.ToLower(name) {
	case "":
		return "which room? Send watch NAME, or watch all"
	case "all":
	default:
		j, err := h.Names.Room(name)
		if err != nil {
			return errorText(err)
		}
		room = j.String()
	}
	text, _, err := h.watch(from, room, false)
	if err != nil {
		return err.Error()
	}
	return text
}

func (h *Handler) unwatchText(from jid.JID, name string) string {
	room := ""
	switch strings.ToLower(name) {
	case "":
	case "all":
		room = allRooms
	default:
		j, err := h.Names.Room(name)
		if err != nil {
			return errorText(err)
		}
		room = j.String()
	}
	if !h.watchers.unwatch(from, room) {
		return "you don't watch that"
	}
	return stopped
}

func (h *Handler) statusText() string {
	domains := h.domains()
	lines := []string{"PPCH " + h.Version + ", connected to " + h.Prosody.Diagnostics().Prosody + " for " + ago(domains[0].Since)}
	for _, d := range domains {
		lines = append(lines, h.domainLine(d))
	}
	return strings.Join(lines, "\n")
}

func (h *Handler) domainLine(d occupancy.Domain) string {
	state, remedy := domainStatus(d)
	if remedy != "" {
		return h.domainOnShard(d) + ": " + state + ". " + remedy
	}
	return d.JID.String() + ": " + state + ", " + h.summary(d)
}

// nsHints is the namespace of XEP-0334. Our messages are about the present, so servers should not store them.
const nsHints = "urn:xmpp:hints"

// chat returns a message.
func chat(from, to jid.JID, typ stanza.MessageType, thread, body string) []xml.Token {
	m := stanza.Message{Type: typ, From: from, To: to}
	inner := []xml.TokenReader{element("body", body)}
	if thread != "" {
		inner = append(inner, element("thread", thread))
	}
	inner = append(inner, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: nsHints, Local: "no-store"}}))
	tokens, _ := xmlstream.ReadAll(m.Wrap(xmlstream.MultiReader(inner...))) // tokens in memory
	return tokens
}

func element(name, text string) xml.TokenReader {
	return xmlstream.Wrap(xmlstream.Token(xml.CharData(text)), xml.StartElement{Name: xml.Name{Local: name}})
}

func write(w xmlstream.TokenWriter, tokens []xml.Token) error {
	for _, t := range tokens {
		if err := w.EncodeToken(t); err != nil {
			return err
		}
	}
	return nil
}
