package view

// Ticket opens event streams in place of a key: "POST /api/events/ticket".
type Ticket struct {
	Ticket    string `json:"ticket"`
	ExpiresAt string `json:"expires_at"`
}
