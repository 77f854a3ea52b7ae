// Package api is the HTTP face of PPCH: it tells programs who is in which room.
//
// It reads through two tiny interfaces, [Rooms] and [Link], and knows nothing of XMPP.
// The routes are one table in routes.go, the contract with clients is openapi.yaml,
// and a test holds the two together, field by field and status by status.
//
// # How a request goes
//
// The router is wrapped from outside, because gorilla/mux runs its own middleware only for routes that matched:
// an exchange is opened (request id, access log), headers are set that every answer carries,
// a panic is caught, and what is too large is refused, all before the router looks at the path.
// The table says what scope a route needs; the key that has it leaves its grant in the exchange,
// which every handler asks before it tells of a room or of a name.
// A handler parses, asks and writes; what goes wrong it returns.
// One adapter, problemFor, makes each error a problem document (RFC 9457), also for 404, 405, a panic,
// and for requests so malformed that net/http never shows them to a handler.
//
// # How events are told
//
// One hub takes in what happens, encodes it once, and keeps the last of it in a ring. Each stream is a position there;
// it sleeps on the topic of its room, or of all, writes what is new, and sleeps again. Whatever else waits for news of a room
// can do so on the same topics.
//
// # What is never said
//
// A number that isn't known is an error, never 0, and a problem document has no participant_count,
// so that a client which forgets to look at the status fails loudly instead of reading an empty room.
package api
