package api

import (
	"net/http"
	"slices"

	"github.com/rs/cors"
)

// preflight stands in logs and metrics for the route of a browser's question whether a page may ask at all.
const preflight = "preflight"

// preflightAge is for how many seconds a browser may take an answer for the next: as long as somebody who withdraws an origin may have to wait.
const preflightAge = 600

// admit lets pages of the given origins read the answers of next, and use the headers that this API has (Fetch standard, CORS protocol).
//
// Nothing is admitted by the browser's own credentials: we have no cookies, and a page that has a key sends it itself.
func (s *Server) admit(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	var methods []string
	for _, route := range s.routes() {
		methods = append(methods, route.methods()...)
	}
	slices.Sort(methods)
	rules := cors.New(cors.Options{
		// Exactly these: as AllowedOrigins a * would have a meaning.
		AllowOriginFunc: func(origin string) bool { return slices.Contains(origins, origin) },
		AllowedMethods:  slices.Compact(methods),
		AllowedHeaders:  []string{"X-API-Key", "Authorization", "If-None-Match", "Last-Event-ID", "X-Request-ID"},
		ExposedHeaders:  []string{"ETag", "Link", "PPCH-As-Of", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"},
		MaxAge:          preflightAge,
	})
	admitted := rules.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			exchangeOf(w).route = preflight
		}
		admitted.ServeHTTP(w, r)
	})
}
