package keys

import (
	"encoding/binary"
	"time"
)

// ticketFor is how long a ticket is valid: a browser reconnects with the same URL when a stream is lost.
const ticketFor = time.Hour

// Tickets open event streams for clients that can't send a key, such as a browser's EventSource.
// They appear in URLs and thus in logs, so they expire soon and open nothing else.
//
// A ticket contains its own sealed data. The service stores none, so their number is unlimited.
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

// Issue returns a new ticket for a key, and when it expires.
func (t Tickets) Issue(key Sum, now time.Time) (text string, expires time.Time) {
	expires = now.Add(ticketFor)
	return t.sealer.Seal(binary.BigEndian.AppendUint64(key[:], uint64(expires.UnixMilli()))), time.UnixMilli(expires.UnixMilli())
}

// Open returns the ticket in a text, and false if it is unknown or has expired.
func (t Tickets) Open(text string, now time.Time) (Ticket, bool) {
	data, err := t.sealer.Open(text)
	if err != nil || len(data) != len(Sum{})+8 {
		return Ticket{}, false
	}
	sum, expires := Sum(data[:len(Sum{})]), binary.BigEndian.Uint64(data[len(Sum{}):])
	found := Ticket{sum, time.UnixMilli(int64(expires))} // #nosec G115 -- Issue has written it
	return found, now.Before(found.Expires)
}
