package occupancy

import "time"

// NATSDiagnostics is the state of the connection to NATS, and of the shards that it carries, at one moment, for diagnosis.
type NATSDiagnostics struct {
	// Connected is whether there is a connection, to Server (host:port) and since when; without one since when there is none.
	Connected bool
	Server    string
	Since     time.Time

	// Problem is why nothing can be carried; nil if it can, or if that isn't clear yet.
	Problem *UnavailableError

	// Reconnects counts connections after the first. SlowConsumer counts how often messages came faster than they were read,
	// and Foreign the messages that weren't sealed with the secret.
	Reconnects, SlowConsumer, Foreign uint64

	// Published are the shards that this process sends to others, and Followed those that it receives.
	Published []CollectorDiagnostics
	Followed  []NodeDiagnostics

	// Bucket are the settings that are kept in NATS; nil if they are configured here.
	Bucket *BucketDiagnostics
}

// BucketDiagnostics is the state of the settings that all nodes share over NATS, at one moment.
type BucketDiagnostics struct {
	// Name is that of the bucket.
	Name string

	// Loaded is whether the settings are known, and ReadAt when they were last compared with the bucket. They stay known while NATS is away.
	Loaded bool
	ReadAt time.Time

	// Keys counts the API keys and share links, Webhooks the webhooks.
	Keys, Webhooks int

	// Refused counts the entries that were not sealed with the secret, were older than the last one, or were deleted by another program.
	Refused uint64

	// Problem is why the settings can't be read now, or what is wrong with an entry, or nil.
	Problem *UnavailableError

	// Unknown is why API keys and share links aren't known here, or nil: a client with a key can't be served.
	Unknown *UnavailableError
}

// CollectorDiagnostics is the state of a shard that is published at one moment, for diagnosis.
type CollectorDiagnostics struct {
	Shard, Name, Epoch string

	// Seq is the number of the last batch.
	Seq uint64

	// Batches counts those that were published, TooLarge those that nodes had to load as snapshots, and Pages those of snapshots.
	Batches, TooLarge, Pages uint64

	// Webhooks is who delivers the shard's webhooks; nil if this service has no store.
	Webhooks *WebhooksDiagnostics

	// Problem is that another collector of the shard has the same name, or nil.
	Problem *UnavailableError
}

// WebhooksDiagnostics is who delivers the webhooks of a shard at one moment, of several services that watch it.
type WebhooksDiagnostics struct {
	// Deliverer is the name of the service that is to deliver, empty if none is named, and Delivering whether this one does now.
	Deliverer  string
	Delivering bool

	// Problem is that another service delivers, too, or that NATS doesn't let them agree, or nil.
	Problem *UnavailableError
}

// NodeDiagnostics is the state of a shard that is followed at one moment, for diagnosis.
type NodeDiagnostics struct {
	Shard string

	// Collector is the name of the collector that is followed, Epoch that of its run, Version its program's; empty if none is.
	Collector, Epoch, Version string

	// Seq is the number of the last batch, and LastMessage when that or a heartbeat came.
	Seq         uint64
	LastMessage time.Time

	// Collectors are the names of all collectors that were heard lately.
	Collectors []string

	// Problem is that two of them have one name, or nil.
	Problem *UnavailableError

	// Resyncs counts the snapshots after the first, Switches those from another collector than before, Gaps those because a batch was missing.
	// Repeated counts batches that came again. Garbage are messages that made no sense, Foreign those not sealed with the secret;
	// the latter are of all shards.
	Resyncs, Switches, Gaps, Repeated, Garbage, Foreign uint64
}
