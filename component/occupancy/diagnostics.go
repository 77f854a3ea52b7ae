package occupancy

import (
	"time"

	"mellium.im/xmpp/jid"
)

// Diagnostics is the state of the connection to Prosody and its domains at one moment, for diagnosis. The caller owns it.
type Diagnostics struct {
	// Component is PPCH's own JID, Prosody the host:port that it connects to.
	Component jid.JID
	Prosody   string

	// LastAnswer is when Prosody last answered a query, or zero.
	LastAnswer time.Time

	// Domains are the watched MUC domains, the main one first.
	Domains []DomainDiagnostics

	// Admins are the entries of the list of admins.
	Admins []AdminDiagnostics

	// Rules are the operator's rules for occupants that don't count.
	Rules []RuleCount

	// Shards are the connections of all shards, in the order in which these were added. Component, Prosody and LastAnswer above
	// are those of the first.
	Shards []ShardDiagnostics

	// NATS is the connection that carries shards to and from other services; nil if NATS isn't used.
	NATS *NATSDiagnostics

	// Refused counts stanzas of admins that arrived faster than PPCH could answer.
	Refused uint64
}

// ShardDiagnostics is the connection to the Prosody of one shard.
type ShardDiagnostics struct {
	Shard string
	Kind  ShardKind

	// Component, Prosody and LastAnswer are as in Diagnostics; zero if this process doesn't connect to the shard's Prosody.
	Component  jid.JID
	Prosody    string
	LastAnswer time.Time
}

// DomainDiagnostics is the state of one watched MUC domain.
type DomainDiagnostics struct {
	Domain

	// Resyncs counts the resyncs of its replica.
	Resyncs uint64

	// Sync is the subscription to the Lua module, or nil.
	Sync *Sync
}

// Sync is the state of a subscription to the Lua module.
type Sync struct {
	// Version is the module's version.
	Version string

	// Epoch names the subscription and Seq counts its batches.
	Epoch string
	Seq   uint64

	// Heartbeat is the longest time between batches, LastBatch when the last one arrived by PPCH's clock.
	Heartbeat time.Duration
	LastBatch time.Time

	// Lag is how long the last batch took to arrive.
	Lag time.Duration

	// Ahead is by how much, at least, Prosody's clock was ahead of PPCH's when the subscription began; negative if it was behind.
	// It is nil if the module doesn't report it.
	Ahead *time.Duration

	// RoomCache is how many rooms of the domain Prosody keeps in memory (muc_room_cache_size), zero if the module doesn't report it.
	// Prosody swaps further rooms out and in.
	RoomCache int
}

// Service is a MUC service that PPCH discovered on Prosody.
type Service struct {
	JID jid.JID

	// Shard is the shard whose Prosody has it.
	Shard string

	// Protocols are the namespaces of the Lua module there, of any version; empty if it isn't loaded.
	Protocols []string
}

// AdminDiagnostics is an entry of the list of admins.
type AdminDiagnostics struct {
	// JID is a bare JID, or a domain for all its accounts.
	JID jid.JID

	// Local is whether Prosody has proven that the domain is one of its own hosts where people log in.
	// Otherwise the entry has no effect.
	Local bool
}
