// Package stream is a component's end of an XMPP stream (XEP-0114), hardened against what strangers can send and networks can do.
//
// A [Session] is the only code that touches mellium's *xmpp.Session.
// It ends for good with the first failed write, since half a stanza can't be taken back,
// with a ping that stays unanswered, and with whatever Prosody says or the network does. Questions under way end with it.
//
// Everyone on an XMPP server can send stanzas to a component.
// Two things keep them from ending the stream or getting anything but an error:
// the guard in front of all handlers, and below mellium's stream reader, which acts on elements at any depth, the neutralizer.
package stream
