// Package stream is a component's end of an XMPP stream (XEP-0114), hardened against hostile stanzas and broken networks.
//
// A [Session] is the only user of mellium's *xmpp.Session.
// It ends with the first failed write, since half a stanza can't be taken back, with an unanswered ping,
// and with any error of the stream or the network. Pending questions end with it.
//
// Every user of an XMPP server can send stanzas to a component. Two layers make sure that no stanza ends the stream:
// the neutralizer below mellium's stream reader, which acts on elements at any depth, and the guard in front of all handlers.
package stream
