package api

import (
	"errors"
	"net/http"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/events"
	"ppch/api/keys"
	"ppch/api/view"
)

// getEvents handles "GET /api/events".
func (s *Server) getEvents(w *response, r *http.Request) error {
	return s.openStream(w, r, jid.JID{})
}

// getRoomEvents handles "GET /api/rooms/{room_name}/events".
func (s *Server) getRoomEvents(w *response, r *http.Request) error {
	room, err := s.roomInPath(w)
	if err != nil {
		return err
	}
	return s.openStream(w, r, room)
}

// roomInPath returns the room in the path of a request, which its key must allow.
func (s *Server) roomInPath(w *response) (jid.JID, error) {
	name, err := w.roomName()
	if err != nil {
		return jid.JID{}, err
	}
	named, err := s.resolve(name)
	if err != nil {
		return jid.JID{}, err
	}
	if !w.grant.Allows(named.jid) {
		return jid.JID{}, keys.ErrRoomNotAllowed
	}
	return named.jid, nil
}

// How many recent events a response has.
const (
	defaultRecent = 100
	maxRecent     = 1000
)

// getRecentEvents handles "GET /api/events/recent".
func (s *Server) getRecentEvents(w *response, r *http.Request) error {
	return s.writeRecent(w, r, jid.JID{})
}

// getRecentRoomEvents handles "GET /api/rooms/{room_name}/events/recent".
func (s *Server) getRecentRoomEvents(w *response, r *http.Request) error {
	room, err := s.roomInPath(w)
	if err != nil {
		return err
	}
	return s.writeRecent(w, r, room)
}

// writeRecent answers with the recent events of a room, or of all rooms if it is zero.
func (s *Server) writeRecent(w *response, r *http.Request, room jid.JID) error {
	q, err := parseQuery(r, "limit", "shard")
	if err != nil {
		return err
	}
	shard, err := s.shardParameter(w, q)
	if err != nil {
		return err
	}
	limit := q.number("limit", defaultRecent, 1, maxRecent)
	if err := errors.Join(q.err(), s.checkShard(shard, room)); err != nil {
		return err
	}
	since, recent := s.hub.Recent(room, shard, w.grant, limit)
	return writeJSON(w, http.StatusOK, view.RecentEvents{Since: view.FormatTime(since), Events: recent})
}

// openStream begins a response to r with the events of a room, or of all rooms if it is zero.
//
// It answers 200 even if data is unavailable: a browser's EventSource never retries after a 503, but a stream can recover.
// Each stream therefore begins with the status of its domains.
func (s *Server) openStream(w *response, r *http.Request, room jid.JID) error {
	parameters := []string{"snapshot", "ticket", "shard"}
	if !room.Equal(jid.JID{}) {
		parameters = append(parameters, "breakouts") // all rooms include them
	}
	q, err := parseQuery(r, parameters...)
	if err != nil {
		return err
	}
	shard, err := s.shardParameter(w, q)
	if err != nil {
		return err
	}
	breakouts := !room.Equal(jid.JID{}) && q.choice("breakouts", "false", "true") == "true"
	snapshots := q.choice("snapshot", "false", "true") == "true"
	q.text("ticket") // authorize has read it; this rejects a second one
	if err := errors.Join(q.err(), s.checkShard(shard, room)); err != nil {
		return err
	}
	if err := s.hub.Enter(w.grant.Key); err != nil {
		return err
	}
	s.endRequest(w) // from now on it counts as a stream instead
	req := events.Request{Room: room, Shard: shard, Grant: w.grant, Until: w.ticketEnds, Snapshots: snapshots, Breakouts: breakouts}
	startStream(w, s.hub.Open(w, r, req).Run)
	return nil
}

// startStream makes the response a stream of server-sent events, which runs when the handler has returned:
// otherwise the stack of the handler would be kept for as long as the stream lasts.
func startStream(w *response, stream func(*http.Request) error) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store, no-transform") // otherwise a proxy may compress it, and buffer
	w.Header().Set("X-Accel-Buffering", "no")                 // otherwise nginx buffers
	w.stream = stream
}

// postTicket handles "POST /api/events/ticket".
func (s *Server) postTicket(w *response, r *http.Request) error {
	text, expires := s.tickets.Issue(w.grant.Key.Sum(), time.Now())
	return writeJSON(w, http.StatusOK, view.Ticket{Ticket: text, ExpiresAt: view.FormatTime(expires)})
}
