package admin

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"ppch/component/adhoc"
	"ppch/component/occupancy"
)

// Timing of watching.
const (
	// sendEvery is the least time between two messages to a watcher.
	sendEvery = time.Second

	// checkEvery is how often a client that sent no directed presence is pinged.
	checkEvery = time.Minute
)

// eventBuffer is how many events may wait. With more, watchers get a note that some are missing.
const eventBuffer = 1024

// stopped confirms the end of watching.
const stopped = "stopped watching"

var (
	errWatchers = errors.New("too many clients watch; try again later")
	errWatched  = errors.New("you watch the maximum number of rooms; send watch all instead")
)

// notify reports joins and leaves to watchers until ctx ends, then returns nil. Call it for one stream after the other.
func (h *Handler) notify(ctx context.Context, s Stream) error {
	h.watchers.resetPresence()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.report(ctx, s) })
	g.Go(func() error { return h.check(ctx, s) })
	return g.Wait()
}

// report subscribes to events while there are watchers.
func (h *Handler) report(ctx context.Context, s Stream) error {
	for ctx.Err() == nil {
		if h.watchers.len() == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-h.watchers.changed:
			}
			continue
		}
		if missed := h.follow(ctx, s); missed {
			h.watchers.add("", "too many changes at once: some joins and leaves are missing")
		}
	}
	return nil
}

// follow reports events until there are no watchers, or events were missed.
func (h *Handler) follow(ctx context.Context, s Stream) (missed bool) {
	events := h.Directory.Subscribe(eventBuffer)
	defer events.Close()
	tick := time.NewTicker(sendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case e, ok := <-events.Events():
			if !ok {
				return events.Missed()
			}
			if text := h.line(e); text != "" {
				h.watchers.add(e.Room.String(), text)
			} else if e.Kind == occupancy.EventReset {
				h.watchers.add("", "the rooms of "+e.Room.String()+" were reloaded, or are unavailable")
			}
		case <-tick.C:
			for _, n := range h.watchers.collect() {
				// A message that can't be sent is lost with the stream.
				_ = s.Send(ctx, chat(h.Domain, n.to, stanza.ChatMessage, "", n.text))
			}
			if h.watchers.len() == 0 {
				return false
			}
		}
	}
}

// check removes clients that went offline unnoticed.
func (h *Handler) check(ctx context.Context, s Stream) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, to := range h.watchers.unconfirmed() {
			if there, err := s.Reachable(ctx, to); err == nil && !there {
				h.watchers.unwatch(to, "")
			}
		}
	}
}

// subscribe starts to report a room to the requester.
func (h *Handler) subscribe(r adhoc.Request, room string) (adhoc.Reply, error) {
	text, _, err := h.watch(r.From, room, false)
	if err != nil {
		return adhoc.Warning(err.Error()), nil
	}
	return adhoc.Info(text), nil
}

// watch starts to report a room, or allRooms, to a client, and returns a text that says so. News is whether the client did not watch it before.
func (h *Handler) watch(who jid.JID, room string, present bool) (text string, news bool, err error) {
	name := "all rooms"
	if room != allRooms {
		if _, ok := h.roomJID(room); !ok {
			return "", false, errors.New("not a room of a watched domain")
		}
		name = h.roomName(room)
	}
	news, err = h.watchers.watch(who, room, present)
	switch {
	case err != nil:
		return "", false, err
	case !news:
		return "already watching " + name, false, nil
	}
	text = "watching " + name + ", until you go offline or send unwatch"
	if _, domain, _ := strings.Cut(room, "@"); domain != "" {
		if d, ok := h.domain(domain); ok && d.ReadProblem != nil {
			text += ". At present its rooms are " + errorText(d.ReadProblem)
		}
	}
	return text, true, nil
}

// unsubscribe stops all reports to the requester.
func (h *Handler) unsubscribe(r adhoc.Request) (adhoc.Reply, error) {
	if !h.watchers.unwatch(r.From, "") {
		return adhoc.Info("you don't watch any room"), nil
	}
	return adhoc.Info(stopped), nil
}

// presence handles directed presence (RFC 6121 §4.6): to the component for all rooms, to NAME@component for one.
func (h *Handler) presence(t xmlstream.TokenReadEncoder, start xml.StartElement) error {
	p, err := stanza.NewPresence(start)
	if err != nil {
		return err
	}
	all, err := children(t, start)
	if err != nil {
		return err
	}
	room := allRooms
	if p.To.Localpart() != "" {
		j, err := h.Names.Room(p.To.Localpart())
		if err != nil {
			return h.refusePresence(t, p, stanza.Error{Type: stanza.Modify, Condition: stanza.JIDMalformed, Text: map[string]string{"": errorText(err)}})
		}
		room = j.String()
	}
	switch p.Type {
	case stanza.AvailablePresence:
		for _, c := range all {
			if c.XMLName.Space == "http://jabber.org/protocol/muc" {
				return h.refusePresence(t, p, refuse(stanza.Cancel, stanza.ServiceUnavailable, "there are no rooms to join here"))
			}
		}
		text, news, err := h.watch(p.From, room, true)
		if err != nil {
			return h.refusePresence(t, p, refuse(stanza.Wait, stanza.ResourceConstraint, err.Error()))
		}
		if !news {
			return nil // a change of status
		}
		return write(t, chat(h.Domain, p.From, stanza.ChatMessage, "", text))
	case stanza.UnavailablePresence, stanza.ErrorPresence:
		if room == allRooms {
			room = ""
		}
		h.watchers.unwatch(p.From, room)
	case stanza.SubscribePresence:
		// We send no presence to rosters, and a subscription starts no watching.
		_, err = xmlstream.Copy(t, stanza.Presence{Type: stanza.UnsubscribedPresence, To: p.From.Bare(), From: p.To.Bare()}.Wrap(nil))
		return err
	}
	return nil
}

func (h *Handler) refusePresence(t xmlstream.TokenReadEncoder, p stanza.Presence, why stanza.Error) error {
	_, err := xmlstream.Copy(t, p.Error(why))
	return err
}
