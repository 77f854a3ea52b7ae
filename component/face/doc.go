// Package face is what an admin of Jitsi sees of PPCH with an XMPP client: no key, no curl, no other port.
//
// A [Face] answers what admins send to the component: service discovery to browse rooms (XEP-0030, pages by XEP-0059),
// ad-hoc commands (XEP-0050), plain chat, and presence, by which they are told of joins and leaves.
// It knows nothing of who is an admin, nor of streams: package component hands it the stanzas of admins alone,
// one at a time and off the read loop, and sends what it writes.
//
// What it tells comes from the same calls as what the HTTP API tells; no fact about rooms is made here.
// What isn't known is said in words with what to mend, never as a number.
package face
