package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"ppch/api/keys"
)

// handlerFunc answers a request, or returns an error, which becomes a problem document.
type handlerFunc func(*response, *http.Request) error

// public is the scope of a route that needs no key.
const public keys.Scope = 0

// route is one row of the table of routes.
type route struct {
	method  string
	path    string
	needs   keys.Scope // the required scope of the key, or public
	handler handlerFunc
}

// routes returns all routes. GET includes HEAD. Every handler refuses unknown query parameters, with two exceptions:
// /participants, whose clients of version 1 may send any, and pages and their files, because mail and chat programs add some to links.
func (s *Server) routes() []route {
	routes := []route{
		// The router tries them in this order, so the most frequent is first.
		{http.MethodGet, "/api/rooms/{room_name}/participants", keys.ScopeCount, s.atLeast(s.getParticipants)},
		{http.MethodGet, "/", public, bare(s.getInfo)},
		{http.MethodGet, "/api/rooms", keys.ScopeCount, s.atLeast(s.getRooms)},
		{http.MethodGet, "/api/rooms/{room_name}", keys.ScopeCount, s.atLeast(s.getRoom)},
		{http.MethodGet, "/api/rooms/{room_name}/events", keys.ScopeEvents, s.getRoomEvents},
		{http.MethodGet, "/api/events", keys.ScopeEvents, s.getEvents},
		{http.MethodGet, "/api/events/recent", keys.ScopeEvents, s.getRecentEvents},
		{http.MethodGet, "/api/rooms/{room_name}/events/recent", keys.ScopeEvents, s.getRecentRoomEvents},
		{http.MethodPost, "/api/events/ticket", keys.ScopeEvents, bare(s.postTicket)},
		{http.MethodGet, "/api/stats", keys.ScopeCount, s.atLeast(s.getStats)},
		{http.MethodGet, "/api/stats/history", keys.ScopeCount, s.getStatsHistory},
		{http.MethodGet, "/api/webhooks", keys.ScopeWebhooks, s.getWebhooks},
		{http.MethodPost, "/api/webhooks", keys.ScopeWebhooks, bare(s.postWebhook)},
		{http.MethodGet, "/api/webhooks/{webhook_id}", keys.ScopeWebhooks, bare(s.getWebhook)},
		{http.MethodPut, "/api/webhooks/{webhook_id}", keys.ScopeWebhooks, bare(s.putWebhook)},
		{http.MethodDelete, "/api/webhooks/{webhook_id}", keys.ScopeWebhooks, bare(s.deleteWebhook)},
		{http.MethodPost, "/api/webhooks/{webhook_id}/test", keys.ScopeWebhooks, bare(s.testWebhook)},
		{http.MethodPost, "/api/webhooks/{webhook_id}/replay", keys.ScopeWebhooks, s.replayWebhook},
		{http.MethodGet, "/api/webhooks/{webhook_id}/deliveries", keys.ScopeWebhooks, s.getDeliveries},
		{http.MethodPost, "/api/webhooks/{webhook_id}/deliveries/{delivery_id}/replay", keys.ScopeWebhooks, bare(s.replayDelivery)},
		{http.MethodGet, "/api/meetings", keys.ScopeHistory, s.getMeetings},
		{http.MethodGet, "/api/meetings/{meeting_id}", keys.ScopeHistory, bare(s.getMeeting)},
		{http.MethodGet, "/api/meetings/{meeting_id}/attendance", keys.ScopeHistory, s.getAttendance},
		{http.MethodDelete, "/api/meetings/{meeting_id}/stays/{stay_id}", keys.ScopeHistory, bare(s.deleteStay)},
		{http.MethodGet, "/api/rooms/{room_name}/meetings", keys.ScopeHistory, s.getRoomMeetings},
		{http.MethodGet, "/api/people/{user_id}", keys.ScopeHistory, bare(s.getPerson)},
		{http.MethodDelete, "/api/people/{user_id}", keys.ScopeHistory, bare(s.deletePerson)},
		{http.MethodGet, "/api/diagnostics", keys.ScopeMetrics, bare(s.getDiagnostics)},
		{http.MethodGet, "/health", public, bare(s.getHealth)},
		{http.MethodGet, "/livez", public, s.getLive},
		{http.MethodGet, "/readyz", public, s.getReady},
		{http.MethodGet, "/metrics", s.metricsNeed, s.getMetrics},
		{http.MethodGet, "/openapi.json", public, bare(s.getDocument)},
		{http.MethodGet, "/docs", public, s.getDocs},
		{http.MethodGet, "/docs/", public, s.getDocs},
		{http.MethodGet, "/docs/{asset}", public, s.getDocsAsset},
		{http.MethodGet, "/dashboard", public, s.redirectToDashboard},
		{http.MethodGet, "/dashboard/", public, s.getDashboard},
		{http.MethodGet, "/dashboard/{asset}", public, s.getDashboardAsset},
		{http.MethodGet, "/s/assets/{asset}", public, s.getSharedAsset},
		{http.MethodGet, shareBadge, keys.ScopeShare, s.getBadge},
		{http.MethodGet, "/s/{token}.json", keys.ScopeShare, bare(s.getSharedDocument)},
		{http.MethodGet, "/s/{token}/events", keys.ScopeShare, bare(s.getSharedEvents)},
		{http.MethodGet, sharePage, keys.ScopeShare, s.getShared},
	}
	if s.cfg.LegacyRoutes {
		routes = append(routes, s.legacyRoutes()...)
	}
	return routes
}

// newRouter returns a router for the table, and the row of each of its routes.
func (s *Server) newRouter() (*mux.Router, map[*mux.Route]route) {
	// Rooms of a tenant may be requested as tenant%2Froom, so the path is matched before it is unescaped.
	// Without SkipClean, mux redirects "//" to "/", and clients would end up at a room with another name.
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	table := map[*mux.Route]route{}
	for _, rt := range s.routes() {
		table[router.Path(rt.path).Name(rt.path).Methods(rt.methods()...).Handler(http.NotFoundHandler())] = rt
	}
	return router, table
}

// dispatch calls the handler of r's route, and answers with the error that it returns.
// It uses the router only to match: mux would not pass a *response to handlers, and copies each request twice.
func (s *Server) dispatch(w *response, r *http.Request) {
	defer s.endRequest(w)
	rt := route{path: unmatched, handler: notFound}
	var match mux.RouteMatch
	switch found := s.router.Match(r, &match); {
	case found:
		rt = s.table[match.Route]
	case errors.Is(match.MatchErr, mux.ErrMethodMismatch):
		rt.handler = s.methodNotAllowed
	}
	w.route, w.vars = rt.path, match.Vars
	var err error
	switch token := rt.legacyToken(r); {
	case rt.needs == public:
		err = s.welcome(r)
	case rt.needs == keys.ScopeShare:
		err = s.authorizeLink(w, r, w.vars["token"])
	case token != "":
		err = s.authorizeToken(w, r, token, rt.needs)
	default:
		err = s.authorize(w, r, rt.needs)
	}
	if err == nil {
		err = rt.handler(w, r)
	}
	if err != nil {
		s.writeError(w, r, err)
	}
}

// unmatched is the route in logs and metrics of a request without one.
const unmatched = "unmatched"

// methods returns the methods of the route.
func (rt route) methods() []string {
	if rt.method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{rt.method}
}

// notFound handles every path that is not in the table.
// It needs no key: the table is public (/openapi.json), and a client with a mistyped path should learn first that it doesn't exist.
func notFound(*response, *http.Request) error {
	return &problem{kind: kindNotFound, detail: "Unknown path: see /openapi.json, and write / in room names as %2F."}
}

// methodNotAllowed handles methods that a path in the table doesn't support.
// RFC 9110 §15.5.6 requires an Allow header. mux doesn't return the methods of a path, so this tries each.
func (s *Server) methodNotAllowed(_ *response, r *http.Request) error {
	var allowed []string
	for _, route := range s.routes() {
		for _, method := range route.methods() {
			var match mux.RouteMatch
			asked := *r
			asked.Method = method
			if !slices.Contains(allowed, method) && s.router.Match(&asked, &match) && match.MatchErr == nil {
				allowed = append(allowed, method)
			}
		}
	}
	return &problem{
		kind:   kindMethodNotAllowed,
		detail: "This path does not support the method: the Allow header lists those it supports.",
		header: http.Header{"Allow": {strings.Join(allowed, ", ")}},
	}
}
