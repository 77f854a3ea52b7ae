package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"ppch/api/keys"
)

// handlerFunc answers a request, or returns why it can't; the adapter then makes that a problem document.
type handlerFunc func(http.ResponseWriter, *http.Request) error

// public is the scope of a route that needs no key.
const public keys.Scope = 0

// route is one row of the table of routes.
type route struct {
	method  string
	path    string
	needs   keys.Scope // of the key; public asks for none
	handler handlerFunc
}

// routes returns everything that the service answers to.
// HEAD goes wherever GET goes.
func (s *Server) routes() []route {
	return []route{
		// The router tries one after the other, so what is asked most stands first.
		{http.MethodGet, "/api/rooms/{room_name}/participants", keys.ScopeCount, s.getParticipants},
		{http.MethodGet, "/", public, s.getInfo},
		{http.MethodGet, "/api/rooms", keys.ScopeCount, s.getRooms},
		{http.MethodGet, "/api/rooms/{room_name}", keys.ScopeCount, s.getRoom},
		{http.MethodGet, "/api/rooms/{room_name}/events", keys.ScopeEvents, s.getRoomEvents},
		{http.MethodGet, "/api/events", keys.ScopeEvents, s.getEvents},
		{http.MethodPost, "/api/events/ticket", keys.ScopeEvents, s.postTicket},
		{http.MethodGet, "/api/stats", keys.ScopeCount, s.getStats},
		{http.MethodGet, "/api/stats/history", keys.ScopeCount, s.getStatsHistory},
		{http.MethodGet, "/api/diagnostics", keys.ScopeMetrics, s.getDiagnostics},
		{http.MethodGet, "/health", public, s.getHealth},
		{http.MethodGet, "/livez", public, s.getLive},
		{http.MethodGet, "/readyz", public, s.getReady},
		{http.MethodGet, "/metrics", s.metricsNeed, s.getMetrics},
		{http.MethodGet, "/openapi.json", public, s.getDocument},
		{http.MethodGet, "/docs", public, s.getDocs},
		{http.MethodGet, "/docs/", public, s.getDocs},
		{http.MethodGet, "/docs/{asset}", public, s.getDocsAsset},
		{http.MethodGet, "/dashboard", public, s.redirectToDashboard},
		{http.MethodGet, "/dashboard/", public, s.getDashboard},
		{http.MethodGet, "/dashboard/{asset}", public, s.getDashboardAsset},
	}
}

// newRouter returns a router for the table.
func (s *Server) newRouter() *mux.Router {
	// Rooms of a tenant may be asked for as tenant%2Froom, so the path is matched before it is unescaped.
	// Without SkipClean mux answers "//" with a 301, which clients follow to a room of another name.
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for _, route := range s.routes() {
		router.Path(route.path).Name(route.path).Methods(route.methods()...).Handler(s.handle(route))
	}
	router.NotFoundHandler = s.handle(route{path: unmatched, handler: notFound})
	router.MethodNotAllowedHandler = s.handle(route{path: unmatched, handler: s.methodNotAllowed})
	return router
}

// wrap returns next inside of what every request goes through, matched by a route or not.
func (s *Server) wrap(next http.Handler) http.Handler {
	return s.observe(secure(s.admit(s.origins, s.rescue(s.limit(next)))))
}

// unmatched stands in logs for the template of a route where there is none.
const unmatched = "unmatched"

// methods returns the methods that the route answers to.
func (rt route) methods() []string {
	if rt.method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{rt.method}
}

// handle returns the route as an http.Handler: it looks whether the request may be answered, and writes the error that the handler returns.
func (s *Server) handle(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchangeOf(w)
		x.route = rt.path
		defer s.endRequest(x)
		var err error
		if rt.needs == public {
			err = s.welcome(r)
		} else {
			err = s.authorize(w, r, rt.needs)
		}
		if err == nil {
			err = rt.handler(w, r)
		}
		if err != nil {
			s.writeError(w, r, err)
		}
	})
}

// notFound handles every path that is not in the table.
// It asks for no key, under /api either: the table is public (see /openapi.json), so a 401 would hide nothing,
// and whoever mistypes a path should hear of that first.
func notFound(http.ResponseWriter, *http.Request) error {
	return &problem{kind: kindNotFound, detail: "Unknown path: see /openapi.json, and write / in room names as %2F."}
}

// methodNotAllowed handles every method that a path in the table doesn't have.
// RFC 9110 §15.5.6 demands an Allow header; mux tells no handler what would have matched, so each method is tried.
func (s *Server) methodNotAllowed(_ http.ResponseWriter, r *http.Request) error {
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
