// Package component is PPCH's XMPP side: an external component of Prosody (XEP-0114) that asks about rooms.
//
// # The life of a stream
//
// [Component.Run] dials, shakes hands, serves, loses, waits and dials again until its context ends.
// An established stream is a session, the only code that touches *xmpp.Session.
// A session ends for good with the first failed write, since half a stanza can't be taken back,
// with a ping that stays unanswered, and with whatever Prosody says or the network does.
// Questions under way end with it, and nothing learnt on it survives it:
// after a restart of Prosody nothing of before is true.
//
// # What strangers send
//
// Every guest of a Jitsi can send stanzas to a component.
// Two things keep them from ending the stream or getting anything but an error:
// the guard in front of all handlers, and below mellium's stream reader, which acts on elements at any depth, the neutralizer.
//
// # What admins send
//
// Stanzas of admins, and of nobody else, the guard puts on the desk, from where they are answered off the read loop by package face.
// Who is an admin is decided by the from that Prosody vouches for, and only for hosts that it has shown to be its own. See [Config].
//
// # What is asked
//
// Each watched MUC domain is looked at by disco#info when the stream comes up and every few minutes,
// which chooses its mode. See [occupancy.Mode].
// Where the Lua module is loaded, a follower subscribes and keeps the directory's copy of the domain
// equal to what Prosody tells; anything that doesn't fit has the copy made anew.
// Elsewhere a room is asked on demand, one question at a time for all who want to know, and the answer serves them for a second.
package component
