package api

import (
	"encoding/binary"
	"net/http"
	"time"
)

// ticketFor is how long a ticket is good: a browser comes back by itself with the same URL when a stream is lost.
const ticketFor = time.Hour

// tickets open event streams for clients that can't send a key, as a browser's EventSource can't.
// They stand in URLs, and so in logs; therefore they are good for a while, and for nothing else.
//
// A ticket holds all that is known of it, sealed: the service stores none, so that no number of them displaces another.
type tickets struct{ sealer *sealer }

// ticket stands for the key with which it was asked for, and is worth no more than that is now.
type ticket struct {
	key     keySum
	expires time.Time
}

// issue returns a new ticket for a key, and until when it is good.
func (t tickets) issue(key keySum, now time.Time) (text string, expires time.Time) {
	expires = now.Add(ticketFor)
	return t.sealer.seal(binary.BigEndian.AppendUint64(key[:], uint64(expires.UnixMilli()))), time.UnixMilli(expires.UnixMilli())
}

// open returns the ticket that a text is, and false if it is none, or not good any more.
func (t tickets) open(text string, now time.Time) (ticket, bool) {
	data, err := t.sealer.open(text)
	if err != nil || len(data) != len(keySum{})+8 {
		return ticket{}, false
	}
	sum, expires := keySum(data[:len(keySum{})]), binary.BigEndian.Uint64(data[len(keySum{}):])
	found := ticket{sum, time.UnixMilli(int64(expires))} // #nosec G115 -- issue has written it
	return found, now.Before(found.expires)
}

// ticketView is a ticket for a client.
type ticketView struct {
	Ticket    string `json:"ticket"`
	ExpiresAt string `json:"expires_at"`
}

// postTicket handles "POST /api/events/ticket".
func (s *Server) postTicket(w http.ResponseWriter, r *http.Request) error {
	text, expires := s.tickets.issue(exchangeOf(w).grant.key.sum, time.Now())
	return writeJSON(w, http.StatusOK, ticketView{Ticket: text, ExpiresAt: expires.UTC().Format(timestamp)})
}

// identifyStream is identify for those who may send a ticket instead of a key. It also returns when the ticket ends, zero without one.
func (s *Server) identifyStream(r *http.Request) (k *key, ends time.Time, err error) {
	text := r.URL.Query().Get("ticket")
	if apiKey(r) != "" || text == "" {
		k, err = s.identify(r)
		return k, time.Time{}, err
	}
	if t, ok := s.tickets.open(text, time.Now()); ok {
		if k := s.keys.find(t.key); k != nil {
			return k, t.expires, nil
		}
	}
	return nil, time.Time{}, &problem{kind: kindWrongTicket, detail: "This ticket is not good, or no longer: get another from POST /api/events/ticket."}
}
