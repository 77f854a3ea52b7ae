package view

import (
	"time"
)

// ResetReason is why a client has to discard its state.
type ResetReason string

// The reasons for a reset.
const (
	ResetUnknown  ResetReason = "unknown-id"    // the Last-Event-ID is from another process, mostly because of a restart
	ResetExpired  ResetReason = "expired"       // Last-Event-ID is too old
	ResetSlow     ResetReason = "slow-consumer" // the client read more slowly than events came
	ResetLoaded   ResetReason = "loaded"        // the rooms of a domain have been loaded
	ResetUnloaded ResetReason = "unloaded"      // the rooms of a domain have become unavailable
	ResetRetired  ResetReason = "retired"       // the shard was retired
)

// ResetReasons are all reasons, in the order of their metrics.
var ResetReasons = [...]ResetReason{ResetUnknown, ResetExpired, ResetSlow, ResetLoaded, ResetUnloaded, ResetRetired}

// ResetEvent asks a client to discard its state: the data of "reset" in a stream.
type ResetEvent struct {
	Event  string      `json:"event"`
	Reason ResetReason `json:"reason"`
	Shard  *string     `json:"shard"`
	Domain *string     `json:"domain"`
	Time   string      `json:"time"`
}

// NewResetEvent returns the reset of a domain of a shard; empty means all of them.
func NewResetEvent(reason ResetReason, shard, domain string) ResetEvent {
	return ResetEvent{Event: "reset", Reason: reason, Shard: OrNull(shard), Domain: OrNull(domain), Time: FormatTime(time.Now())}
}
