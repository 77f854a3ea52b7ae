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

// The clock of watching.
const (
	// tellEvery is how often a watcher gets a message at most.
	tellEvery = time.Second

	// checkEvery is how often a client that sent no directed presence is asked whether it is still there.
	checkEvery = time.Minute
)

// eventBuffer is how many events may wait to be told. More than that are missed, and watchers learn so.
const eventBuffer = 1024

var (
	errWatchers = errors.New("too many clients watch; try again later")
	errWatched  = errors.New("you watch as many rooms as one can; watch all of them instead")
)

// notify tells watchers of joins and leaves until ctx ends, then returns nil. It is for one stream after the other.
func (h *Handler) notify(ctx context.Context, s Stream) error {
	h.watchers.doubt()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.tell(ctx, s) })
	g.Go(func() error { return h.check(ctx, s) })
	return g.Wait()
}

// tell subscribes to events for as long as anybody watches.
func (h *Handler) tell(ctx context.Context, s Stream) error {
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
			h.watchers.note("", "too much happened at once: some joins and leaves weren't told")
		}
	}
	return nil
}

// follow tells events until nobody watches any more, or some were missed.
func (h *Handler) follow(ctx context.Context, s Stream) (missed bool) {
	events := h.Directory.Subscribe(eventBuffer)
	defer events.Close()
	tick := time.NewTicker(tellEvery)
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
				h.watchers.note(e.Room.String(), text)
			} else if e.Kind == occupancy.EventReset {
				h.watchers.note("", "the rooms of "+e.Room.String()+" have been learnt anew, or aren't known any more")
			}
		case <-tick.C:
			for _, n := range h.watchers.collect() {
				// What can't be sent is lost with the stream.
				_ = s.Send(ctx, chat(h.Domain, n.to, stanza.ChatMessage, "", n.text))
			}
			if h.watchers.len() == 0 {
				return false
			}
		}
	}
}

// check forgets clients that are gone without Prosody telling.
func (h *Handler) check(ctx context.Context, s Stream) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, to := range h.watchers.doubtful() {
			if there, err := s.Reachable(ctx, to); err == nil && !there {
				h.watchers.remove(to, "")
			}
		}
	}
}

// startWatch has the requester told of a room.
func (h *Handler) startWatch(r adhoc.Request, room string) (adhoc.Reply, error) {
	text, _, err := h.watch(r.From, room, false)
	if err != nil {
		return adhoc.Warning(err.Error()), nil
	}
	return adhoc.Info(text), nil
}

// watch begins to tell a client of the room at an address, or of everything, and says so. News is whether it wasn't told before.
func (h *Handler) watch(who jid.JID, room string, present bool) (text string, news bool, err error) {
	name := "all rooms"
	if room != everything {
		if _, ok := h.address(room); !ok {
			return "", false, errors.New("that is no room of a watched domain")
		}
		name = h.roomName(room)
	}
	news, err = h.watchers.add(who, room, present)
	switch {
	case err != nil:
		return "", false, err
	case !news:
		return "you watch " + name + " already", false, nil
	}
	text = "you are told who joins and leaves " + name + ", until you go offline or send unwatch"
	if _, domain, _ := strings.Cut(room, "@"); domain != "" {
		if d, ok := h.watched(domain); ok && d.ReadProblem != nil {
			text += ". At present that isn't known: " + problem(d.ReadProblem)
		}
	}
	return text, true, nil
}

// stopWatch has the requester told no more.
func (h *Handler) stopWatch(r adhoc.Request) (adhoc.Reply, error) {
	if !h.watchers.remove(r.From, "") {
		return adhoc.Info("you watched nothing"), nil
	}
	return adhoc.Info("you are told no more"), nil
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
	room := everything
	if p.To.Localpart() != "" {
		j, err := h.Names.Room(p.To.Localpart())
		if err != nil {
			return h.refusePresence(t, p, stanza.Error{Type: stanza.Modify, Condition: stanza.JIDMalformed, Text: map[string]string{"": problem(err)}})
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
		if room == everything {
			room = ""
		}
		h.watchers.remove(p.From, room)
	case stanza.SubscribePresence:
		// Nobody's roster is told when we come and go, and nobody is watched because of a roster.
		_, err = xmlstream.Copy(t, stanza.Presence{Type: stanza.UnsubscribedPresence, To: p.From.Bare(), From: p.To.Bare()}.Wrap(nil))
		return err
	}
	return nil
}

func (h *Handler) refusePresence(t xmlstream.TokenReadEncoder, p stanza.Presence, why stanza.Error) error {
	_, err := xmlstream.Copy(t, p.Error(why))
	return err
}
