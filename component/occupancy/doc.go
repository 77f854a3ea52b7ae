// Package occupancy is the domain of PPCH: what a room is, who is in it, and how well that is known.
//
// It depends on nobody: no XMPP session, no HTTP. It asks the clock for nothing but how old something is.
// Package component learns values of these types from Prosody and package api tells them,
// so the two never need to know each other.
//
// # How truth is kept
//
// A [Room] says which [Source] it came from, whether its count is exact, and when it was last known true.
// What is not known is never a zero value that could be read as a number:
// whoever can't answer returns an [UnknownError], which says what to mend,
// and slices and maps that are not known are nil while those known to be empty are not.
//
// # The live copy
//
// A [Directory] holds what the Lua module tells: for each MUC domain a snapshot, then changes,
// each as a [Batch] of absolute facts with the totals that it leads to.
// As long as the totals are right and batches come, what is served is true as of the last of them.
// When they aren't, whoever applies batches begins a new snapshot, which grows beside the served copy:
// readers see either the one or the other, and a [Subscription] only what is different.
//
// # One owner of truth
//
// The Directory also holds the [Status] of each domain, which the owner of the connection reports, and how old a replica may be.
// Each of its reads checks all of this together with the data, and returns the data or an error.
// There are two measures, on purpose. A read may be answered from a replica that was confirmed within MaxStaleness,
// even over a reconnect, since the answer carries its AsOf ([Domain.ReadProblem]). A stream claims more, that changes show
// as they happen: its domain is live only while the replica was confirmed on the present connection ([Domain.EventProblem]).
// A change of either is an event like any other ([EventStatus]).
//
// Nobody who reads can hold up what is told, and no reader gets hold of what is kept:
// all values are copies, and a subscriber who is too slow is dropped, and told so.
package occupancy
