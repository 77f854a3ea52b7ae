// Package component is PPCH's XMPP side: an external component of Prosody (XEP-0114) that asks about rooms.
//
// # The life of a stream
//
// [Component.Run] dials, shakes hands, serves, loses, waits and dials again until its context ends.
// Package stream has the stream itself and what guards it.
// Questions under way end with a stream, and nothing learnt on it survives it:
// after a restart of Prosody nothing of before is true.
//
// # What admins send
//
// Package admin answers them. See [Config].
//
// # What is asked
//
// Each watched MUC domain is looked at by disco#info when the stream comes up and every few minutes,
// which chooses its mode. See [occupancy.Mode].
// Where the Lua module is loaded, a follower subscribes and keeps the directory's copy of the domain
// equal to what Prosody tells; anything that doesn't fit has the copy made anew.
// Elsewhere a room is asked on demand, one question at a time for all who want to know, and the answer serves them for a second.
package component
