// Package api serves PPCH's data over HTTP: JSON documents, server-sent events, metrics and web pages.
//
// It reads an [occupancy.Directory] and, for what that doesn't have, a [Prosody]; it knows nothing of XMPP.
// The routes are one table in routes.go. The contract with clients is openapi.yaml, and tests compare the two
// field by field and status by status.
//
// # The life of a request
//
// Middleware wraps the router from outside, because gorilla/mux runs its own only for routes that match. It makes the response,
// which the log and the metrics read in the end, sets headers, recovers from panics and refuses what is too large.
// The table names the scope that a route needs; authorize stores what the key allows in the response, and handlers
// check it before they name a room or a person.
// A handler parses, reads and writes. It returns errors, and problemFor turns each into a problem document (RFC 9457).
//
// # Its packages
//
//   - keys: API keys, scopes, rate limits, tickets
//   - events: the hub, which encodes each event once for all streams
//   - view: the JSON documents
//   - webhook: payloads, signatures and delivery of webhooks
//   - web: the dashboard and the pages of the documentation
//   - certificate: the TLS certificate, which may change while the service runs
//
// # No false number
//
// An unknown number is an error, never 0, and a problem document has no participant_count:
// a client that ignores the status fails instead of reading an empty room.
package api
