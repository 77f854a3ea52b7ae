package api

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"ppch/api/events"
	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// typeBase begins the type of every problem.
// It is a URN because PPCH has no web site: RFC 9457 §3.1.1 asks for a stable URI, not for a page.
const typeBase = "urn:ppch:problem:"

// problemKind is a type of problems.
type problemKind struct {
	code   string // the type without typeBase
	status int
	title  string
}

// The closed list of problem types; openapi.yaml describes each.
var (
	kindBadRoomName       = problemKind{"bad-room-name", http.StatusBadRequest, "Impossible room name"}
	kindNotWatched        = problemKind{"domain-not-watched", http.StatusBadRequest, "Domain not watched"}
	kindBadParameter      = problemKind{"bad-parameter", http.StatusBadRequest, "Bad parameter"}
	kindMissingKey        = problemKind{"missing-key", http.StatusUnauthorized, "API key missing"}
	kindWrongKey          = problemKind{"wrong-key", http.StatusForbidden, "Unknown API key"}
	kindKeyExpired        = problemKind{"key-expired", http.StatusForbidden, "API key expired"}
	kindScopeMissing      = problemKind{"scope-missing", http.StatusForbidden, "Scope missing"}
	kindRoomNotAllowed    = problemKind{"room-not-allowed", http.StatusForbidden, "Room not allowed"}
	kindWrongTicket       = problemKind{"wrong-ticket", http.StatusForbidden, "Invalid ticket"}
	kindWrongLink         = problemKind{"wrong-share-link", http.StatusNotFound, "Unknown share link"}
	kindLinkExpired       = problemKind{"share-link-expired", http.StatusGone, "Share link expired"}
	kindRoomNotOpen       = problemKind{"room-not-open", http.StatusNotFound, "Room not open"}
	kindNotFound          = problemKind{"not-found", http.StatusNotFound, "Unknown path"}
	kindWebhooksOff       = problemKind{"webhooks-off", http.StatusNotFound, "Webhooks are off"}
	kindNoWebhook         = problemKind{"no-such-webhook", http.StatusNotFound, "No such webhook"}
	kindMethodNotAllowed  = problemKind{"method-not-allowed", http.StatusMethodNotAllowed, "Method not allowed"}
	kindTooManyWebhooks   = problemKind{"too-many-webhooks", http.StatusConflict, "Too many webhooks"}
	kindWebhookStopped    = problemKind{"webhook-stopped", http.StatusConflict, "Webhook stopped"}
	kindBodyErased        = problemKind{"body-erased", http.StatusGone, "Body erased"}
	kindBodyTooLarge      = problemKind{"body-too-large", http.StatusRequestEntityTooLarge, "Body too large"}
	kindHostNotAllowed    = problemKind{"host-not-allowed", http.StatusMisdirectedRequest, "Host not allowed"}
	kindURITooLong        = problemKind{"uri-too-long", http.StatusRequestURITooLong, "URI too long"}
	kindRateLimited       = problemKind{"rate-limited", http.StatusTooManyRequests, "Too many requests"}
	kindUnreadOfKey       = problemKind{"too-much-unread", http.StatusTooManyRequests, "Too many unread answers"}
	kindUnread            = problemKind{"overloaded", http.StatusServiceUnavailable, "Overloaded"}
	kindInternal          = problemKind{"internal", http.StatusInternalServerError, "Internal error"}
	kindUnavailable       = problemKind{"prosody-unavailable", http.StatusServiceUnavailable, "Prosody unavailable"}
	kindCountUnknown      = problemKind{"count-unknown", http.StatusServiceUnavailable, "Count unknown"}
	kindTooManyRequests   = problemKind{"too-many-requests", http.StatusTooManyRequests, "Too many requests in progress"}
	kindPosition          = problemKind{"position-not-reached", http.StatusGatewayTimeout, "Position not reached"}
	kindHistoryOff        = problemKind{"history-off", http.StatusNotFound, "Meetings not recorded"}
	kindNoMeeting         = problemKind{"no-such-meeting", http.StatusNotFound, "No such meeting"}
	kindStoreUnavailable  = problemKind{"store-unavailable", http.StatusServiceUnavailable, "Store unavailable"}
	kindSettings          = problemKind{"settings-unavailable", http.StatusServiceUnavailable, "Settings unavailable"}
	kindHistoryIncomplete = problemKind{"history-incomplete", http.StatusServiceUnavailable, "Meetings incomplete"}
	kindTooManyStreams    = problemKind{"too-many-streams", http.StatusServiceUnavailable, "Too many streams"}
)

// operatorDelay is the Retry-After of problems that only an operator can fix:
// long enough to slow down polling clients, and short enough for them to notice the fix soon.
const operatorDelay = time.Minute

// problem is an error with its representation for clients.
type problem struct {
	kind   problemKind
	status int // instead of the kind's, if not 0

	// detail is for people and says what to do; cause is only for the log.
	detail string
	cause  error

	reason     occupancy.Reason
	retryAfter time.Duration
	header     http.Header

	// shard is the shard that it is about, or empty, and shards are all that can't be read.
	shard  string
	shards []string

	// atLeast is what is certain about the rooms of a share link.
	atLeast *view.SharedMinimum

	// unanswered are the PPCH that did not answer a question about meetings.
	unanswered []view.Unanswered
}

func (p *problem) Error() string {
	if p.cause == nil {
		return p.kind.code
	}
	return fmt.Sprintf("%s: %v", p.kind.code, p.cause)
}

// Unwrap returns the cause.
func (p *problem) Unwrap() error { return p.cause }

// problemFor returns the problem document for err.
// The text of an error that isn't listed here is not sent, because it can contain anything.
func problemFor(err error) *problem {
	var (
		p           *problem
		name        *occupancy.NameError
		unavailable *occupancy.UnavailableError
		expired     *keys.ExpiredError
		scope       *keys.ScopeError
		exceeded    *keys.RateLimitError
		store       *history.Problem
		silent      *history.UnansweredError
		unknownKeys *keys.UnknownKeysError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &name):
		kind := kindBadRoomName
		if errors.Is(err, occupancy.ErrNotWatched) {
			kind = kindNotWatched
		}
		return &problem{kind: kind, detail: name.Reason, cause: err}
	case errors.Is(err, occupancy.ErrNotWatched):
		return &problem{kind: kindNotWatched, detail: "The room's domain is not watched: /health lists the watched domains.", cause: err}
	case errors.Is(err, occupancy.ErrNoShard):
		return &problem{kind: kindBadParameter, detail: "shard: this shard has been retired: /health lists the others.", cause: err}
	case errors.As(err, &unknownKeys):
		return settingsProblem("The list of API keys and share links is unknown", err)
	case errors.As(err, &unavailable):
		return unavailableProblem(unavailable, err)
	case errors.Is(err, events.ErrTooManyStreams):
		return streamProblem(err)
	case errors.Is(err, keys.ErrWrongKey):
		return &problem{kind: kindWrongKey, detail: "Unknown API key: check it, or ask the operator for a new one.", cause: err}
	case errors.Is(err, keys.ErrRoomNotAllowed):
		return &problem{kind: kindRoomNotAllowed, detail: "This API key is limited to other rooms.", cause: err}
	case errors.As(err, &expired):
		return &problem{kind: kindKeyExpired, detail: fmt.Sprintf("This API key expired at %s: ask the operator for a new one.", expired.At.UTC().Format(time.RFC3339)), cause: err}
	case errors.As(err, &scope):
		return &problem{kind: kindScopeMissing, detail: fmt.Sprintf("This API key lacks the scope %q.", scope.Missing), cause: err}
	case errors.As(err, &exceeded):
		return rateLimitProblem(exceeded)
	case errors.As(err, &store):
		return storeProblem(store)
	case errors.As(err, &silent):
		return unansweredProblem(silent)
	case errors.Is(err, history.ErrNoMeeting):
		return &problem{kind: kindNoMeeting, detail: "Unknown meeting: it may have been deleted by age, or the API key may not include its room.", cause: err}
	case errors.Is(err, history.ErrNoStay):
		return &problem{kind: kindNoMeeting, detail: "Unknown stay in this meeting: it may have been deleted.", cause: err}
	}
	return &problem{kind: kindInternal, detail: "Internal error: the service's log has the cause under request_id.", cause: err}
}

// settingsProblem returns the problem of settings in NATS that can't be read or written.
func settingsProblem(what string, err error) *problem {
	p := &problem{kind: kindSettings, detail: what + ".", retryAfter: operatorDelay, cause: err}
	var unavailable *occupancy.UnavailableError
	if errors.As(err, &unavailable) {
		p.detail, p.reason = what+": "+unavailable.Remedy, unavailable.Reason
		p.retryAfter = cmp.Or(unavailable.RetryAfter, operatorDelay)
	}
	return p
}

// fullDelay is the Retry-After of a stream for which there is no place.
const fullDelay = 10 * time.Second

// streamProblem returns the problem of a stream for which there is no place.
func streamProblem(err error) *problem {
	p := &problem{kind: kindTooManyStreams, retryAfter: fullDelay, cause: err}
	p.detail = "Too many event streams (limit set by PPCH_MAX_STREAMS)."
	if errors.Is(err, keys.ErrShareTaken) {
		p.status = http.StatusTooManyRequests
		p.detail = "Too many event streams and waiting requests with this API key or share link: close some, then retry."
	}
	return p
}

// rateLimitProblem returns the problem of a client that sent too many requests.
func rateLimitProblem(err *keys.RateLimitError) *problem {
	p := &problem{kind: kindRateLimited, header: http.Header{}, retryAfter: err.Reset, cause: err}
	p.detail = "This API key is used too often: RateLimit-Policy has the limit."
	if err.Policy == keys.PolicyWrongKeys {
		p.detail = "This address sent too many wrong API keys or share links."
	}
	setRateLimit(p.header, err.Quota)
	return p
}

// setRateLimit sets the two fields of draft-ietf-httpapi-ratelimit-headers-10: how many requests are allowed
// in how many seconds, how many of them are left, and when there will be more.
//
// The three fields of drafts up to 06, RateLimit-Limit, -Remaining and -Reset, can't name the limit,
// and clients disagree whether the last one is a time or a number of seconds.
// Every client understands Retry-After.
func setRateLimit(h http.Header, q keys.Quota) {
	h.Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%.0f`, q.Policy, q.Limit, q.Window.Seconds()))
	h.Set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, q.Policy, q.Left, seconds(q.Reset)))
}

// unavailableProblem returns the problem for unavailable data.
// A count that Prosody hides has another type than a Prosody that can't be reached, because it lasts until the operator changes Prosody.
func unavailableProblem(unavailable *occupancy.UnavailableError, err error) *problem {
	kind := kindUnavailable
	if unavailable.Reason == occupancy.ReasonModuleMissing || unavailable.Reason == occupancy.ReasonNoMUC {
		kind = kindCountUnknown
	}
	return &problem{
		kind:       kind,
		detail:     cmp.Or(unavailable.Remedy, "Prosody can't be reached."),
		reason:     unavailable.Reason,
		retryAfter: cmp.Or(unavailable.RetryAfter, operatorDelay),
		shard:      unavailable.Shard,
		cause:      err,
	}
}

// document returns the problem document for a request.
func (p *problem) document(requestID string) view.Problem {
	return view.Problem{
		Type:   typeBase + p.kind.code,
		Title:  p.kind.title,
		Status: cmp.Or(p.status, p.kind.status),
		Detail: p.detail,
		// Not the path: a client can make it long and hostile.
		Instance:   "urn:ppch:request:" + requestID,
		Code:       p.kind.code,
		RequestID:  requestID,
		Reason:     p.reason,
		RetryAfter: seconds(p.retryAfter),

		UnknownShards: p.shards, AtLeast: p.atLeast, Unanswered: p.unanswered,
	}
}

// writeError answers with the problem of err, and keeps err for the log.
func (s *Server) writeError(w *response, r *http.Request, err error) {
	w.err = err
	if w.status != 0 {
		return // the response has begun: most likely err is a failed write
	}
	if r.Context().Err() != nil {
		// The client has left. If it only closed its sending side, it must not read an empty 200.
		w.status = statusClientGone
		panic(http.ErrAbortHandler)
	}
	p := s.nameShards(w, problemFor(err))
	maps.Copy(w.Header(), p.header)
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(p.retryAfter)))
	}
	doc := p.document(w.requestID)
	switch w.route {
	case sharePage:
		err = s.writeSharePage(w, r, doc.Status)
	case shareBadge:
		err = s.writeBadgeError(w, r, doc.Status, p)
	default:
		err = writeAs(w, doc.Status, "application/problem+json", doc)
	}
	if err != nil {
		w.err = errors.Join(w.err, err)
	}
}

// seconds returns d in whole seconds, rounded up: Retry-After has no fractions, and 0 would mean now.
func seconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}
