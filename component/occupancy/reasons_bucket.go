package occupancy

import "time"

// The reasons of settings that nodes share over NATS.
const (
	ReasonJetStreamOff   Reason = "jetstream-off"
	ReasonBucketMissing  Reason = "bucket-missing"
	ReasonBucketSilent   Reason = "bucket-silent"
	ReasonBucketForeign  Reason = "bucket-foreign"
	ReasonBucketReplayed Reason = "bucket-replayed"
	ReasonBucketDeleted  Reason = "bucket-deleted"
	ReasonBucketVersion  Reason = "bucket-version"
	ReasonBucketFull     Reason = "bucket-full"
	ReasonKeysMissing    Reason = "keys-missing"
)

// The problems of settings that nodes share over NATS. In addition to the facts of shards over NATS, {bucket} is the name of the bucket,
// and {entry} that of an entry in it.
var (
	ProblemJetStreamOff = Problem{
		Reason: ReasonJetStreamOff, Retry: 5 * time.Second,
		Title:  "NATS at {nats} has no JetStream, which keeps the keys of all nodes",
		Remedy: "enable JetStream in the configuration of NATS, also for PPCH's account; if it is enabled, wait until most servers of NATS run; or unset PPCH_CONFIG_FROM_NATS",
	}
	ProblemBucketMissing = Problem{
		Reason: ReasonBucketMissing, Retry: 5 * time.Second,
		Title:  "NATS has no bucket {bucket}",
		Remedy: "make a key with ppch key new or import a file with ppch key import, which create the bucket",
	}
	ProblemBucketSilent = Problem{
		Reason: ReasonBucketSilent, Retry: 5 * time.Second,
		Title:  "NATS does not answer about the bucket {bucket}",
		Remedy: "check that most servers of NATS run, and the log of NATS",
	}
	ProblemKeysMissing = Problem{
		Reason: ReasonKeysMissing, Retry: 5 * time.Second,
		Title:  "the bucket {bucket} has no list of keys",
		Remedy: "make a key with ppch key new, or import a file with ppch key import",
	}
	ProblemBucketForeign = Problem{
		Reason: ReasonBucketForeign, Retry: 5 * time.Second,
		Title:  "the entry {entry} of the bucket {bucket} is not sealed with this PPCH_CLUSTER_SECRET",
		Remedy: "set the same PPCH_CLUSTER_SECRET on all nodes; if that is so, another program writes to the bucket: restrict the users of NATS, and write the entry again",
	}
	ProblemBucketReplayed = Problem{
		Reason: ReasonBucketReplayed,
		Title:  "the entry {entry} of the bucket {bucket} is older than the last one",
		Remedy: "another program put it back, or a backup of NATS was restored: restrict the users of NATS, and write the entry again",
	}
	ProblemBucketDeleted = Problem{
		Reason: ReasonBucketDeleted,
		Title:  "the entry {entry} of the bucket {bucket} was deleted, but not by PPCH",
		Remedy: "PPCH keeps the last one; write the entry again, and restrict the users of NATS",
	}
	ProblemBucketVersion = Problem{
		Reason: ReasonBucketVersion,
		Title:  "the entry {entry} of the bucket {bucket} was written by another release",
		Remedy: "update all nodes to the same release",
	}
	ProblemBucketFull = Problem{
		Reason: ReasonBucketFull,
		Title:  "the bucket {bucket} has more entries than PPCH reads",
		Remedy: "update all nodes to the same release",
	}
)

// bucketProblems returns the problems of shared settings, in the order in which an operator meets them.
func bucketProblems() []Problem {
	return []Problem{
		ProblemJetStreamOff, ProblemBucketMissing, ProblemBucketSilent, ProblemKeysMissing, ProblemBucketForeign, ProblemBucketReplayed,
		ProblemBucketDeleted, ProblemBucketVersion, ProblemBucketFull,
	}
}
