package api_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"ppch/api"
)

// tooLong is a query that makes any URI too long.
var tooLong = "?" + strings.Repeat("x", 8000)

// known is the header of a client that has every file already.
var known = http.Header{"If-None-Match": {"*"}}

const (
	room         = "/api/rooms/{room_name}"
	participants = "/api/rooms/{room_name}/participants"
	history      = "/api/stats/history"
	roomEvents   = "/api/rooms/{room_name}/events"
)

// noStreams leaves no place for event streams.
func noStreams(cfg *api.Config) { cfg.MaxStreams = -1 }

// methodsOf returns the methods by which an answer of the table can be asked for.
func methodsOf(item *openapi3.PathItem) []string {
	if item.Post != nil {
		return []string{http.MethodPost}
	}
	return []string{http.MethodGet, http.MethodHead}
}

// statuses has a request for every status of every path of the document; HEAD is asked as GET is.
var statuses = []struct {
	path, status string
	given        func(*api.Config)
	asked        ask
}{
	{"/", "200", nil, ask{target: "/"}},
	{"/", "default", nil, ask{target: "/" + tooLong}},
	{participants, "200", with(occupied), ask{target: "/api/rooms/MyRoom/participants"}},
	{participants, "400", nil, ask{target: "/api/rooms/a%5Bb/participants"}},
	{participants, "401", nil, ask{target: "/api/rooms/MyRoom/participants", header: http.Header{"X-Api-Key": nil}}},
	{participants, "403", nil, ask{target: "/api/rooms/MyRoom/participants", header: http.Header{"X-Api-Key": {"guess"}}}},
	{participants, "429", usedUp, ask{target: "/api/rooms/MyRoom/participants"}},
	{participants, "503", with(fails(away)), ask{target: "/api/rooms/MyRoom/participants"}},
	{participants, "default", with(panics), ask{target: "/api/rooms/MyRoom/participants"}},
	{participants, "304", told(several()), ask{target: "/api/rooms/standup/participants", header: known}},
	{"/api/rooms", "200", told(several()), ask{target: "/api/rooms?limit=1"}},
	{"/api/rooms", "304", told(several()), ask{target: "/api/rooms?limit=1", header: known}},
	{"/api/rooms", "400", nil, ask{target: "/api/rooms?limit=many"}},
	{"/api/rooms", "401", nil, ask{target: "/api/rooms", header: http.Header{"X-Api-Key": nil}}},
	{"/api/rooms", "403", nil, ask{target: "/api/rooms", header: http.Header{"X-Api-Key": {"guess"}}}},
	{"/api/rooms", "429", usedUp, ask{target: "/api/rooms"}},
	{"/api/rooms", "503", linked(lostConnection()), ask{target: "/api/rooms"}},
	{"/api/rooms", "default", nil, ask{target: "/api/rooms" + tooLong}},
	{room, "200", told(several()), ask{target: "/api/rooms/standup"}},
	{room, "304", told(several()), ask{target: "/api/rooms/standup", header: known}},
	{room, "400", nil, ask{target: "/api/rooms/standup?wiat=1s"}},
	{room, "401", nil, ask{target: "/api/rooms/standup", header: http.Header{"X-Api-Key": nil}}},
	{room, "403", nil, ask{target: "/api/rooms/standup", header: http.Header{"X-Api-Key": {"guess"}}}},
	{room, "429", usedUp, ask{target: "/api/rooms/standup"}},
	{room, "503", with(fails(away)), ask{target: "/api/rooms/standup"}},
	{room, "default", with(panics), ask{target: "/api/rooms/standup"}},
	{"/api/stats", "200", told(several()), ask{target: "/api/stats"}},
	{"/api/stats", "400", nil, ask{target: "/api/stats?verbose"}},
	{"/api/stats", "401", nil, ask{target: "/api/stats", header: http.Header{"X-Api-Key": nil}}},
	{"/api/stats", "403", nil, ask{target: "/api/stats", header: http.Header{"X-Api-Key": {"guess"}}}},
	{"/api/stats", "429", usedUp, ask{target: "/api/stats"}},
	{"/api/stats", "503", linked(lostConnection()), ask{target: "/api/stats"}},
	{"/api/stats", "default", nil, ask{target: "/api/stats" + tooLong}},
	{history, "200", nil, ask{target: "/api/stats/history"}},
	{history, "304", nil, ask{target: "/api/stats/history", header: known}},
	{history, "400", nil, ask{target: "/api/stats/history?minutes=5"}},
	{history, "401", nil, ask{target: "/api/stats/history", header: http.Header{"X-Api-Key": nil}}},
	{history, "403", nil, ask{target: "/api/stats/history", header: http.Header{"X-Api-Key": {"guess"}}}},
	{history, "429", usedUp, ask{target: "/api/stats/history"}},
	{history, "default", nil, ask{target: "/api/stats/history" + tooLong}},
	{"/api/diagnostics", "200", nil, ask{target: "/api/diagnostics"}},
	{"/api/diagnostics", "400", nil, ask{target: "/api/diagnostics?verbose"}},
	{"/api/diagnostics", "401", nil, ask{target: "/api/diagnostics", header: http.Header{"X-Api-Key": nil}}},
	{"/api/diagnostics", "403", nil, ask{target: "/api/diagnostics", header: http.Header{"X-Api-Key": {"guess"}}}},
	{"/api/diagnostics", "429", usedUp, ask{target: "/api/diagnostics"}},
	{"/api/diagnostics", "default", nil, ask{target: "/api/diagnostics" + tooLong}},
	{"/api/events", "200", nil, ask{target: "/api/events?snapshot=true", events: 1}},
	{"/api/events", "400", nil, ask{target: "/api/events?snapshots=true"}},
	{"/api/events", "401", nil, ask{target: "/api/events", header: http.Header{"X-Api-Key": nil}}},
	{"/api/events", "403", nil, ask{target: "/api/events?ticket=guess", header: http.Header{"X-Api-Key": nil}}},
	{"/api/events", "429", usedUp, ask{target: "/api/events"}},
	{"/api/events", "503", noStreams, ask{target: "/api/events"}},
	{"/api/events", "default", nil, ask{target: "/api/events" + tooLong}},
	{roomEvents, "200", nil, ask{target: "/api/rooms/MyRoom/events", events: 1}},
	{roomEvents, "400", nil, ask{target: "/api/rooms/a%5Bb/events"}},
	{roomEvents, "401", nil, ask{target: "/api/rooms/MyRoom/events", header: http.Header{"X-Api-Key": nil}}},
	{roomEvents, "403", nil, ask{target: "/api/rooms/MyRoom/events?ticket=guess", header: http.Header{"X-Api-Key": nil}}},
	{roomEvents, "429", usedUp, ask{target: "/api/rooms/MyRoom/events"}},
	{roomEvents, "503", noStreams, ask{target: "/api/rooms/MyRoom/events"}},
	{roomEvents, "default", nil, ask{target: "/api/rooms/MyRoom/events" + tooLong}},
	{"/api/events/ticket", "200", nil, ask{target: "/api/events/ticket"}},
	{"/api/events/ticket", "401", nil, ask{target: "/api/events/ticket", header: http.Header{"X-Api-Key": nil}}},
	{"/api/events/ticket", "403", nil, ask{target: "/api/events/ticket", header: http.Header{"X-Api-Key": {"guess"}}}},
	{"/api/events/ticket", "429", usedUp, ask{target: "/api/events/ticket"}},
	{"/api/events/ticket", "default", nil, ask{target: "/api/events/ticket" + tooLong}},
	{"/health", "200", nil, ask{target: "/health"}},
	{"/health", "503", linked(lostConnection()), ask{target: "/health"}},
	{"/health", "default", nil, ask{target: "/health" + tooLong}},
	{"/livez", "200", nil, ask{target: "/livez"}},
	{"/livez", "default", nil, ask{target: "/livez" + tooLong}},
	{"/readyz", "200", nil, ask{target: "/readyz"}},
	{"/readyz", "503", linked(lostConnection()), ask{target: "/readyz"}},
	{"/readyz", "default", nil, ask{target: "/readyz" + tooLong}},
	{"/metrics", "200", nil, ask{target: "/metrics"}},
	{"/metrics", "401", nil, ask{target: "/metrics", header: http.Header{"X-Api-Key": nil}}},
	{"/metrics", "403", nil, ask{target: "/metrics", header: http.Header{"X-Api-Key": {"guess"}}}},
	{"/metrics", "429", usedUp, ask{target: "/metrics"}},
	{"/metrics", "default", nil, ask{target: "/metrics" + tooLong}},
	{"/openapi.json", "200", nil, ask{target: "/openapi.json"}},
	{"/openapi.json", "304", nil, ask{target: "/openapi.json", header: known}},
	{"/openapi.json", "default", nil, ask{target: "/openapi.json" + tooLong}},
	{"/docs", "200", nil, ask{target: "/docs"}},
	{"/docs", "304", nil, ask{target: "/docs", header: known}},
	{"/docs", "default", nil, ask{target: "/docs" + tooLong}},
	{"/docs/", "200", nil, ask{target: "/docs/"}},
	{"/docs/", "304", nil, ask{target: "/docs/", header: known}},
	{"/docs/", "default", nil, ask{target: "/docs/" + tooLong}},
	{"/docs/{asset}", "200", nil, ask{target: "/docs/swagger-ui.css"}},
	{"/docs/{asset}", "304", nil, ask{target: "/docs/swagger-ui.css", header: known}},
	{"/docs/{asset}", "404", nil, ask{target: "/docs/nothing.js"}},
	{"/docs/{asset}", "default", nil, ask{target: "/docs/docs.js" + tooLong}},
	{"/dashboard", "308", nil, ask{target: "/dashboard"}},
	{"/dashboard", "default", nil, ask{target: "/dashboard" + tooLong}},
	{"/dashboard/", "200", nil, ask{target: "/dashboard/"}},
	{"/dashboard/", "304", nil, ask{target: "/dashboard/", header: known}},
	{"/dashboard/", "default", nil, ask{target: "/dashboard/" + tooLong}},
	{"/dashboard/{asset}", "200", nil, ask{target: "/dashboard/index.html"}},
	{"/dashboard/{asset}", "304", nil, ask{target: "/dashboard/index.html", header: known}},
	{"/dashboard/{asset}", "404", nil, ask{target: "/dashboard/nothing.js"}},
	{"/dashboard/{asset}", "default", nil, ask{target: "/dashboard/index.html" + tooLong}},
}

func TestEveryDocumentedStatusIsGiven(t *testing.T) {
	given := map[string]bool{}
	for _, c := range statuses {
		s := start(t, c.given)
		item := contract(t).Paths.Value(c.path)
		if item == nil {
			t.Errorf("%s is not documented", c.path)
			continue
		}
		for _, method := range methodsOf(item) {
			c.asked.method = method
			got := strconv.Itoa(s.do(c.asked).status)
			if item.GetOperation(method).Responses.Value(got) == nil {
				got = "default"
			}
			if got != c.status {
				t.Errorf("%s %s: got %s, want %s", method, c.path, got, c.status)
			}
			given[method+" "+c.path+" "+c.status] = true
		}
	}
	for path, item := range contract(t).Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				if name := method + " " + path + " " + status; !given[name] {
					t.Errorf("%s is documented, but the table has no request for it", name)
				}
			}
		}
	}
}

func TestEveryDocumentedHeaderIsGiven(t *testing.T) {
	given := map[string]bool{}
	note := func(response string, a answer) {
		for name := range a.header {
			given[response+" "+name] = true
		}
	}
	for _, c := range statuses {
		item := contract(t).Paths.Value(c.path)
		c.asked.method = methodsOf(item)[0]
		response := item.GetOperation(c.asked.method).Responses.Value(c.status)
		note(response.Ref, start(t, c.given).do(c.asked))
	}
	s := start(t)
	note("#/components/responses/DocsAsset", s.do(ask{target: "/docs/swagger-ui.css", header: http.Header{"Accept-Encoding": {"gzip"}}}))
	note("#/components/responses/Metrics", s.do(ask{target: "/metrics", header: http.Header{"Accept-Encoding": {"gzip"}}}))
	note("#/components/responses/Problem", s.do(ask{method: http.MethodPost, target: "/"}))
	for component, response := range contract(t).Components.Responses {
		for header := range response.Value.Headers {
			if name := "#/components/responses/" + component + " " + http.CanonicalHeaderKey(header); !given[name] {
				t.Errorf("%s is documented, but never given", name)
			}
		}
	}
}
