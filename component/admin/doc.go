// Package admin lets the admins of a Jitsi use PPCH with an XMPP client: no key, no curl, no other port.
//
// A [Handler] answers service discovery to browse rooms (XEP-0030, pages by XEP-0059), ad-hoc commands (XEP-0050), plain chat,
// and presence, which makes it report joins and leaves. A [Session] connects it to one stream:
// it takes the stanzas of admins, and only those, from the read loop and answers one after the other.
//
// Prosody guarantees the from of a stanza, and an admin counts only while Prosody shows its domain to be a host of its own.
//
// The facts about rooms come from the calls that the HTTP API uses as well.
// What isn't known is an error with the way to fix it, never a number.
package admin
