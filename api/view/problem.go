package view

import "ppch/component/occupancy"

// Problem is a problem document, RFC 9457 section 3.1.
type Problem struct {
	Type       string           `json:"type"`
	Title      string           `json:"title"`
	Status     int              `json:"status"`
	Detail     string           `json:"detail"`
	Instance   string           `json:"instance"`
	Code       string           `json:"code"`
	RequestID  string           `json:"request_id"`
	Reason     occupancy.Reason `json:"reason,omitempty"`
	RetryAfter int              `json:"retry_after,omitempty"`

	// UnknownShards are the shards that can't be read, where several are configured.
	UnknownShards []string `json:"unknown_shards,omitempty"`

	// AtLeast is what is certain about the rooms of a share link; nil if nothing is.
	AtLeast *SharedMinimum `json:"at_least,omitempty"`

	// Unanswered are the PPCH that did not answer a question about meetings.
	Unanswered []Unanswered `json:"unanswered,omitempty"`
}
