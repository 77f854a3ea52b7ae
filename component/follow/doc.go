// Package follow keeps a replica equal to the rooms of a sender that numbers its batches: Prosody's Lua module, or another PPCH.
//
// A carrier subscribes and hands over the batches. The Follower proves that none is missing and that none is old:
// by the epoch and number of each batch, by totals, and by a heartbeat. In doubt it ends the subscription and asks for a new snapshot.
// It also estimates the sender's clocks, so that data never looks younger than it is.
package follow
