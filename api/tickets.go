package api

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

const (
	// ticketFor is how long a ticket is good: a browser comes back by itself with the same URL when a stream is lost.
	ticketFor = time.Hour

	// maxTickets is how many may be good at a time. One more makes the oldest worthless.
	maxTickets = 10000
)

// tickets open event streams for those who can't send a key, as a browser's EventSource can't.
// They stand in URLs, and so in logs; therefore they are good for a while, and for nothing else.
type tickets struct {
	// mu protects what follows.
	mu     sync.Mutex
	issued map[string]ticket
	order  []string // oldest first
}

// ticket stands for the key with which it was asked for, and is worth no more than that is now.
type ticket struct {
	key     keySum
	expires time.Time
}

func newTickets() *tickets { return &tickets{issued: make(map[string]ticket)} }

// issue returns a new ticket for a key, and until when it is good.
func (t *tickets) issue(key keySum, now time.Time) (text string, expires time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.order) > 0 && (len(t.order) >= maxTickets || !now.Before(t.issued[t.order[0]].expires)) {
		delete(t.issued, t.order[0])
		t.order = t.order[1:]
	}
	text, expires = rand.Text(), now.Add(ticketFor)
	t.issued[text] = ticket{key, expires}
	t.order = append(t.order, text)
	return text, expires
}

// key returns the key for which a ticket stands, and false if that isn't good now.
func (t *tickets) key(text string, now time.Time) (key keySum, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.issued[text]
	return found.key, ok && now.Before(found.expires)
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

// identifyStream is identify for those who may send a ticket instead of a key.
func (s *Server) identifyStream(r *http.Request) (*key, error) {
	text := r.URL.Query().Get("ticket")
	if apiKey(r) != "" || text == "" {
		return s.identify(r)
	}
	if sum, ok := s.tickets.key(text, time.Now()); ok {
		if k := s.keys.find(sum); k != nil {
			return k, nil
		}
	}
	return nil, &problem{kind: kindWrongTicket, detail: "This ticket is not good, or no longer: get another from POST /api/events/ticket."}
}
