// Package occupancy is the domain of PPCH: what a room is, who is in it, and how well that is known.
//
// It depends on nobody: no XMPP session, no HTTP, no clock of its own.
// Package component learns values of these types from Prosody and package api tells them,
// so the two never need to know each other.
//
// # How truth is kept
//
// A [Room] says which [Source] it came from, whether its count is exact, and when it was last known true.
// What is not known is never a zero value that could be read as a number:
// whoever can't answer returns an [UnknownError], which says what to mend,
// and slices and maps that are not known are nil while those known to be empty are not.
package occupancy
