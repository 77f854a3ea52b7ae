// Package component is the XMPP side of PPCH: an external component of Prosody (XEP-0114) that follows its rooms.
//
// # The life of a stream
//
// [Component.Run] connects, serves the stream until it ends, waits, and connects again until its context ends.
// Package stream implements and guards the stream.
// Pending questions end with a stream, and no answer survives it: Prosody may have been restarted.
//
// # What admins send
//
// Package admin answers them. See [Config].
//
// # What Prosody sends
//
// disco#info asks each watched MUC domain for its features when the stream comes up and every few minutes. They decide its mode. See [occupancy.Mode].
// Where the Lua module is loaded, a follower subscribes and keeps the replica in the directory equal to Prosody's rooms;
// any gap or contradiction makes it resync.
// Elsewhere a lookup asks Prosody about one room. Concurrent callers share one question, and its answer for a second.
package component
