package view

// Webhook is an endpoint: "GET /api/webhooks/{webhook_id}".
type Webhook struct {
	ID       string            `json:"id"`
	Key      *string           `json:"key"` // the name of the key that it belongs to
	URL      string            `json:"url"`
	Events   []string          `json:"events"`
	Rooms    []string          `json:"rooms"`
	Names    bool              `json:"names"`
	Format   string            `json:"format"`
	Template *string           `json:"template"`
	Headers  map[string]string `json:"headers"` // values are hidden
	Enabled  bool              `json:"enabled"`

	// Secret is in the answer to the request that generated it, and nowhere else.
	Secret              string  `json:"secret,omitempty"`
	PreviousSecretUntil *string `json:"previous_secret_until"`

	CreatedAt     string  `json:"created_at"`
	State         string  `json:"state"` // ok, failing or stopped; unknown where another node delivers
	StoppedReason *string `json:"stopped_reason"`
	FailingSince  *string `json:"failing_since"`
	DisabledAt    *string `json:"disabled_at"`
	WaitingCount  *int    `json:"waiting_count"` // nil (null) where another node delivers
}

// Webhooks is the list of the endpoints of a key, or of all keys: "GET /api/webhooks".
type Webhooks struct {
	Webhooks []Webhook `json:"webhooks"`
}

// WebhookRequest is the body of a request that creates or replaces an endpoint.
type WebhookRequest struct {
	URL      string            `json:"url"`
	Events   []string          `json:"events"`
	Rooms    []string          `json:"rooms"`
	Names    bool              `json:"names"`
	Format   string            `json:"format"`
	Template string            `json:"template"`
	Headers  map[string]string `json:"headers"`
	Enabled  *bool             `json:"enabled"` // nil (missing) is true
	Secret   string            `json:"secret"`
}

// WebhookTest is the result of a test: "POST /api/webhooks/{webhook_id}/test".
type WebhookTest struct {
	Delivered  bool    `json:"delivered"`
	Status     *int    `json:"status"`
	Problem    *string `json:"problem"`
	Answer     *string `json:"answer"`
	DurationMS int64   `json:"duration_ms"`
}

// Deliveries is a page of the log of an endpoint, the newest first: "GET /api/webhooks/{webhook_id}/deliveries".
type Deliveries struct {
	Deliveries []Delivery `json:"deliveries"`
	NextCursor *string    `json:"next_cursor"`
}

// Delivery is an event for an endpoint, and what came of it.
type Delivery struct {
	ID       string  `json:"id"`
	EventID  string  `json:"event_id"`
	Type     string  `json:"type"`
	RoomJID  *string `json:"room_jid"`
	Time     string  `json:"time"`
	StoredAt string  `json:"stored_at"`

	State         string  `json:"state"` // waiting, delivered or failed
	Attempts      int     `json:"attempts"`
	NextAttemptAt *string `json:"next_attempt_at"`
	LastAttemptAt *string `json:"last_attempt_at"`
	Status        *int    `json:"status"`
	Problem       *string `json:"problem"`
	Answer        *string `json:"answer"`
	DurationMS    *int64  `json:"duration_ms"`

	ContentType string `json:"content_type"`
	Body        string `json:"body"`
}

// Replayed is how many deliveries are sent once more.
type Replayed struct {
	Replayed int `json:"replayed"`
}
