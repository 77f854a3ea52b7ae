// Package keys holds the API keys of clients: what each may do, which rooms it may see and how much it may use.
//
// It knows nothing of HTTP. The caller reads a key or a ticket from a request, and maps the errors of this package to responses:
// [ErrWrongKey], [ErrRoomNotAllowed], [*ExpiredError], [*ScopeError], [*RateLimitError], [ErrAllTaken] and [ErrShareTaken].
package keys
