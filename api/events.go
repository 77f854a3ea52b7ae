package api

import (
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/api/keys"

	"ppch/api/view"
)

// streamCounts counts what becomes of event streams. It is safe for concurrent use.
type streamCounts struct {
	open         *keys.Shares
	refused, cut atomic.Uint64
	resets       [len(resetReasons)]atomic.Uint64
}

// reset counts a reset that a subscriber was told.
func (c *streamCounts) reset(reason resetReason) {
	if i := slices.Index(resetReasons[:], reason); i >= 0 {
		c.resets[i].Add(1)
	}
}

// enter counts one more that is open with k, which is one of a number of keys, or returns why there can't be. What has entered leaves.
func (c *streamCounts) enter(k *keys.Key, count int) error {
	p := &problem{kind: kindTooManyStreams, retryAfter: fullDelay}
	switch err := c.open.Enter(k, count, k.MaxStreams()); {
	case err == nil:
		return nil
	case errors.Is(err, keys.ErrShareTaken):
		p.status = http.StatusTooManyRequests
		p.detail = "There are as many event streams and waiting requests with this API key as it may have at a time."
	default:
		p.detail = "There are as many event streams as this service may have (PPCH_MAX_STREAMS)."
	}
	c.refused.Add(1)
	return p
}

func (c *streamCounts) leave(k *keys.Key) { c.open.Leave(k) }

// metrics returns the metrics of event streams.
func (c *streamCounts) metrics(h *hub) []prometheus.Collector {
	counter := func(name, help string, labels prometheus.Labels, value func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(value()) })
	}
	all := []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "event_streams", Help: "Open event streams and waiting requests."}, func() float64 { return float64(c.open.Taken()) }),
		counter("events_total", "Events published to streams, each counted once.", nil, h.ring.last),
		counter("event_streams_refused_total", "Event streams refused because too many were open.", nil, c.refused.Load),
		counter("event_streams_cut_total", "Event streams closed because the client stopped reading.", nil, c.cut.Load),
	}
	for i, reason := range resetReasons {
		all = append(all, counter("event_resets_total", "Resets sent to clients, by reason.", prometheus.Labels{"reason": string(reason)}, c.resets[i].Load))
	}
	return all
}

// fullDelay is the Retry-After of a stream for which there is no place.
const fullDelay = 10 * time.Second

// getEvents handles "GET /api/events".
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) error {
	st, err := s.openStream(w, r, &interest{})
	if err != nil {
		return err
	}
	return st.run(r)
}

// getRoomEvents handles "GET /api/rooms/{room_name}/events".
func (s *Server) getRoomEvents(w http.ResponseWriter, r *http.Request) error {
	st, err := s.openRoomStream(w, r)
	if err != nil {
		return err
	}
	return st.run(r)
}

// openRoomStream is openStream for the room in the path of r.
func (s *Server) openRoomStream(w http.ResponseWriter, r *http.Request) (*stream, error) {
	name, err := exchangeOf(w).roomName()
	if err != nil {
		return nil, err
	}
	named, err := s.roomNamed(name)
	if err != nil {
		return nil, err
	}
	room := named.jid
	if !exchangeOf(w).grant.Allows(room) {
		return nil, keys.ErrRoomNotAllowed
	}
	return s.openStream(w, r, &interest{jid: room, room: room.String(), domain: room.Domainpart()})
}

// openStream begins to answer r with what happens. Running what it returns does the rest.
// It doesn't run that itself, since all that stands on a stack stays there for as long as the stream does.
//
// It answers 200 whatever is known: a browser's EventSource never comes back after a 503, but heals with a stream
// that says what is wrong. Each stream therefore begins with the status of its domains.
func (s *Server) openStream(w http.ResponseWriter, r *http.Request, of *interest) (*stream, error) {
	q, err := parseQuery(r, "snapshot", "ticket")
	if err != nil {
		return nil, err
	}
	snapshots := q.choice("snapshot", "false", "true") == "true"
	q.text("ticket") // which has been looked at before, but might be there twice
	if err := q.err(); err != nil {
		return nil, err
	}
	x := exchangeOf(w)
	if err := s.streams.enter(x.grant.Key, s.keys.Count()); err != nil {
		return nil, err
	}
	s.endRequest(x) // from here on it counts as a stream
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store, no-transform") // else a proxy may compress, and hold back
	w.Header().Set("X-Accel-Buffering", "no")                 // nginx would hold back
	w.WriteHeader(http.StatusOK)
	x.streaming = time.Now()
	of.grant = x.grant
	return &stream{
		interest:  of,
		until:     x.ticketEnds,
		keys:      s.keys,
		hub:       s.hub,
		unread:    s.unread,
		turns:     s.turns,
		to:        w,
		conn:      http.NewResponseController(w),
		shares:    r.ProtoMajor > 1,
		snapshots: snapshots,
		counts:    s.streams,
	}, nil
}

// ticketView is a ticket for a client.
type ticketView struct {
	Ticket    string `json:"ticket"`
	ExpiresAt string `json:"expires_at"`
}

// postTicket handles "POST /api/events/ticket".
func (s *Server) postTicket(w http.ResponseWriter, r *http.Request) error {
	text, expires := s.tickets.Issue(exchangeOf(w).grant.Key.Sum(), time.Now())
	return writeJSON(w, http.StatusOK, ticketView{Ticket: text, ExpiresAt: expires.UTC().Format(view.Timestamp)})
}
