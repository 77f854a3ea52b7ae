package occupancy

import "time"

// The reasons of shards that PPCH follows over NATS.
const (
	ReasonNATSUnreachable   Reason = "nats-unreachable"
	ReasonNATSLogin         Reason = "nats-not-authorized"
	ReasonNATSForbidden     Reason = "nats-forbidden"
	ReasonCollectorSilent   Reason = "collector-silent"
	ReasonCollectorConflict Reason = "collector-conflict"
	ReasonCollectorMismatch Reason = "collector-mismatch"
	ReasonClusterVersion    Reason = "cluster-version"
	ReasonClusterSecret     Reason = "cluster-secret"
)

// The problems of shards that PPCH follows over NATS. In addition to the facts of a [Problem], {nats} are the addresses of NATS,
// {shard} is the name of the shard and {collector} that of the PPCH that is connected to its Prosody.
var (
	ProblemNATSUnreachable = Problem{
		Reason: ReasonNATSUnreachable, Retry: 5 * time.Second,
		Title:  "NATS can't be reached at {nats}",
		Remedy: "start NATS, or fix PPCH_NATS_URL or the network; for a certificate that PPCH does not trust, set PPCH_NATS_CA",
	}
	ProblemNATSLogin = Problem{
		Reason: ReasonNATSLogin,
		Title:  "NATS at {nats} refuses the login of this PPCH",
		Remedy: "set PPCH_NATS_CREDS, or PPCH_NATS_USER and PPCH_NATS_PASSWORD_FILE, to a user of that NATS",
	}
	ProblemNATSForbidden = Problem{
		Reason: ReasonNATSForbidden,
		Title:  "NATS does not allow this PPCH to {permission}",
		Remedy: "add that permission to the user in the configuration of NATS; a connection made after that has it",
	}
	ProblemCollectorAwaited = Problem{
		Reason: ReasonConnecting, Retry: time.Second,
		Title:  "PPCH is waiting for a collector of the shard {shard}",
		Remedy: "retry in a moment",
	}
	ProblemCollectorSilent = Problem{
		Reason: ReasonCollectorSilent, Retry: 5 * time.Second,
		Title:  "no collector of the shard {shard} has been followed for {age}",
		Remedy: "check that the PPCH connected to that Prosody runs, names the shard {shard}, and reaches the same NATS with the same PPCH_NATS_PREFIX",
	}
	ProblemCollectorTwice = Problem{
		Reason: ReasonCollectorConflict,
		Title:  "two collectors of the shard {shard} are named {collector}",
		Remedy: "stop one of them, or give each its own component, with PPCH_COMPONENT_DOMAIN or with component= in the line of the shard in PPCH_SHARDS_FILE",
	}
	ProblemDeliveredTwice = Problem{
		Reason: ReasonCollectorConflict,
		Title:  "{collector} delivers the webhooks of the shard {shard}, too, so receivers get each event twice",
		Remedy: "name one of them on both, with deliverer= in the line of the shard in PPCH_SHARDS_FILE, or with PPCH_WEBHOOK_DELIVERER; or remove the webhooks of one",
	}
	ProblemShardKind = Problem{
		Reason: ReasonCollectorMismatch,
		Title:  "the collector {collector} says that the shard {shard} is of another kind than here",
		Remedy: "give the shard the same kind= on both, main or visitors",
	}
	ProblemDomainNotCollected = Problem{
		Reason: ReasonCollectorMismatch,
		Title:  "the collector {collector} of the shard {shard} does not watch {domain}",
		Remedy: "give the shard the same MUC domains on both",
	}
	ProblemClusterTooNew = Problem{
		Reason: ReasonClusterVersion,
		Title:  "the collectors of the shard {shard} send messages of version {version}, which this PPCH does not read",
		Remedy: "update this PPCH to their release",
	}
	ProblemClusterTooOld = Problem{
		Reason: ReasonClusterVersion,
		Title:  "the collectors of the shard {shard} send messages of version {version}, which this PPCH does not read any more",
		Remedy: "update the collectors to the release of this PPCH",
	}
	ProblemClusterSecret = Problem{
		Reason: ReasonClusterSecret,
		Title:  "messages about the shard {shard} arrive, but none is sealed with this PPCH_CLUSTER_SECRET",
		Remedy: "set the same PPCH_CLUSTER_SECRET on all nodes and collectors; if that is so, another program publishes there: restrict the users of NATS",
	}
)

// clusterProblems returns the problems of shards over NATS, in the order in which an operator meets them.
func clusterProblems() []Problem {
	return []Problem{
		ProblemNATSUnreachable, ProblemNATSLogin, ProblemNATSForbidden, ProblemCollectorAwaited, ProblemCollectorSilent, ProblemClusterSecret,
		ProblemClusterTooNew, ProblemClusterTooOld, ProblemCollectorTwice, ProblemDeliveredTwice, ProblemShardKind, ProblemDomainNotCollected,
	}
}
