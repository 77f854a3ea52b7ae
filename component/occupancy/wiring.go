package occupancy

import (
	"time"

	"mellium.im/xmpp/jid"
)

// Wiring is how the service hangs together with Prosody at one moment, for whoever has to mend it. The caller owns it.
type Wiring struct {
	// Component is our own JID, Prosody the host:port that it is connected to.
	Component jid.JID
	Prosody   string

	// LastAnswer is when Prosody last answered a question, or zero.
	LastAnswer time.Time

	// Domains are the watched MUC domains, main one first.
	Domains []DomainWiring

	// Admins are the entries of the list of admins.
	Admins []AdminWiring

	// Refused counts stanzas of admins that came faster than they could be answered.
	Refused uint64
}

// DomainWiring is how one watched MUC domain is known.
type DomainWiring struct {
	Domain

	// Resyncs is how often its copy had to be made anew.
	Resyncs uint64

	// Sync is what is known of the subscription to the Lua module, nil while there is none.
	Sync *Sync
}

// Sync is the state of a subscription to the Lua module.
type Sync struct {
	// Version is that of the module.
	Version string

	// Epoch names the subscription and Seq counts its batches.
	Epoch string
	Seq   uint64

	// Heartbeat is how often the module speaks at least, LastBatch when it last did by our clock.
	Heartbeat time.Duration
	LastBatch time.Time

	// Lag is how long before LastBatch what it told was known to be true: the time that it took to come.
	Lag time.Duration

	// Ahead is by how much Prosody's clock was ahead of ours, at least, when the subscription began; below zero it was behind.
	// Nil where the module doesn't tell.
	Ahead *time.Duration

	// RoomCache is how many rooms of the domain Prosody keeps in memory (muc_room_cache_size), zero where the module doesn't say.
	// With more in use it swaps rooms out and in.
	RoomCache int
}

// Service is a MUC service that Prosody shows.
type Service struct {
	JID jid.JID

	// Protocols are the namespaces of the Lua module there, whatever their version; empty where it isn't loaded.
	Protocols []string
}

// AdminWiring is one entry of the list of admins.
type AdminWiring struct {
	// JID is a bare JID, or a domain all of whose accounts are meant.
	JID jid.JID

	// Local is whether Prosody has shown the domain to be a host of its own where people log in.
	// Otherwise the entry counts for nobody.
	Local bool
}
