// Package occupancy holds what PPCH knows: the rooms, their occupants, and whether that is current.
//
// It imports neither XMPP sessions nor HTTP. It reads the clock only to compute the age of its data.
// Package component fills it with values from Prosody and package api serves them, so neither imports the other.
//
// # No false numbers
//
// A [Room] says which [Source] it comes from, whether its count is exact, and when Prosody last confirmed it.
// An unknown value is never a zero that could pass for a number: a read that can't answer returns an [UnavailableError]
// with a remedy, and an unknown slice or map is nil while an empty one is not.
//
// # The replica
//
// A [Directory] keeps a replica of the rooms of each MUC domain. The Lua module sends a snapshot, then changes,
// each as a [Batch] of absolute facts with the totals that result.
// While the totals match and batches arrive, the replica is true as of the last batch.
// When they don't match, the caller of Apply starts a resync: a new replica loads while readers still see the old one.
// They see either the one or the other, and a [Subscription] receives only the differences.
//
// # Shards
//
// A Directory has one or more shards, each a Prosody with its own replicas. The owner of a connection writes to its [Shard];
// readers of the Directory see all shards as one, or one by name. Two shards usually have the same MUC domains.
// A shard that can't be read might have any room: one that no other shard has is then unknown, one that another has is not exact,
// and lists and totals are errors. A name that several shards have is one [Room] with the sum of their numbers.
// Shards of kind [ShardVisitors] count in Visitors alone.
//
// # One owner of truth
//
// The Directory also holds the [Status] of each domain, which the owner of the connection reports, and the maximum age of a replica.
// Each read checks status, age and data together and returns either the data or an error.
// Reads and events have different limits on purpose. A read may use a replica that was confirmed within MaxStaleness,
// even across a reconnect, because the answer carries its AsOf ([Domain.ReadProblem]). A stream promises that changes arrive
// as they happen, so its domain is live only if the replica was confirmed on the present connection ([Domain.EventProblem]).
// A change of either is an event like any other ([EventStatus]).
//
// Readers can't delay writers or change the replica: all values are copies, and the Directory drops subscribers that fall behind.
package occupancy
