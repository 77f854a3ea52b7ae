// Package cluster carries the rooms of a shard over NATS, from collectors to other nodes.
//
// # The truth
//
// NATS only carries. It may lose, repeat, delay and reorder messages, and every program with access to it may publish.
// So a collector numbers its batches over all domains of its shard, within an epoch that begins when the shard's Directory does.
// Each batch has totals, and a heartbeat names the last number. A node asks for a snapshot, then applies the batches after it in order.
// After a gap, wrong totals or silence it asks again. It never concludes anything from the absence of messages.
// Every message is sealed with PPCH_CLUSTER_SECRET, and a snapshot answers the random nonce of its request,
// so that only a sender with the secret can write messages, and old ones have no effect.
//
// # Clocks
//
// No clocks of two machines are compared. A message has the sender's monotonic clock and the age of its data by it;
// package follow estimates from the answers to questions when that was by the node's clock.
//
// # Two collectors
//
// A node follows one collector of a shard, and hears the heartbeats of all. It moves to another one when its own is silent or stops,
// or has a problem that the other one doesn't have. The snapshot of the other collector replaces the replica, and only the differences are events.
package cluster
