package keys

import (
	"encoding/binary"
	"time"
)

// ticketFor is how long a ticket is good: a browser comes back by itself with the same URL when a stream is lost.
const ticketFor = time.Hour

// Tickets open event streams for clients that can't send a key, as a browser's EventSource can't.
// They stand in URLs, and so in logs; therefore they are good for a while, and for nothing else.
//
// A ticket holds all that is known of it, sealed: the service stores none, so that no number of them displaces another.
type Tickets struct{ sealer *Sealer }

// NewTickets returns the tickets of a service with that secret. A service with the same secret opens them too.
func NewTickets(secret string) (Tickets, error) {
	s, err := NewSealer(secret, "ticket")
	return Tickets{s}, err
}

// Ticket stands for the key with which a client requested it, and allows only what that key allows now.
type Ticket struct {
	Key     Sum
	Expires time.Time
}

// Issue returns a new ticket for a key, and until when it is good.
func (t Tickets) Issue(key Sum, now time.Time) (text string, expires time.Time) {
	expires = now.Add(ticketFor)
	return t.sealer.Seal(binary.BigEndian.AppendUint64(key[:], uint64(expires.UnixMilli()))), time.UnixMilli(expires.UnixMilli())
}

// Open returns the ticket that a text is, and false if it is unknown or has expired.
func (t Tickets) Open(text string, now time.Time) (Ticket, bool) {
	data, err := t.sealer.Open(text)
	if err != nil || len(data) != len(Sum{})+8 {
		return Ticket{}, false
	}
	sum, expires := Sum(data[:len(Sum{})]), binary.BigEndian.Uint64(data[len(Sum{}):])
	found := Ticket{sum, time.UnixMilli(int64(expires))} // #nosec G115 -- Issue has written it
	return found, now.Before(found.Expires)
}
