package api_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"ppch/api"
)

// tooLong is a query that makes any URI too long.
var tooLong = "?" + strings.Repeat("x", 8000)

// known is the header of a client that has every file.
var known = http.Header{"If-None-Match": {"*"}}

const (
	room         = "/api/rooms/{room_name}"
	participants = "/api/rooms/{room_name}/participants"
	lastHour     = "/api/stats/history"
	roomEvents   = "/api/rooms/{room_name}/events"
	hook         = "/api/webhooks/{webhook_id}"

	sharePage     = "/s/{token}"
	shareBadge    = "/s/{token}.svg"
	shareDocument = "/s/{token}.json"
	shareEvents   = "/s/{token}/events"
)

// noStreams leaves no place for event streams.
func withoutStreams(cfg *api.Config) { cfg.MaxStreams = -1 }

// methodsOf returns the methods of a request in the table.
func methodsOf(item *openapi3.PathItem, asked ask) []string {
	switch {
	case asked.method != "" && asked.method != http.MethodGet:
		return []string{asked.method}
	case item.Get == nil:
		return []string{http.MethodPost}
	}
	return []string{http.MethodGet, http.MethodHead}
}

// statusCase is a request that gets a status. For GET, HEAD is tested too.
type statusCase struct {
	path, status string
	given        func(*api.Config)
	asked        ask
}

// statuses has a request for each documented status that is specific to a path. See allStatuses for the others.
var statuses = []statusCase{
	{"/", "200", nil, ask{target: "/"}},
	{participants, "200", withRooms(occupied), ask{target: "/api/rooms/MyRoom/participants"}},
	{participants, "400", nil, ask{target: "/api/rooms/a%5Bb/participants"}},
	{participants, "503", withRooms(fails(away)), ask{target: "/api/rooms/MyRoom/participants"}},
	{participants, "default", withRooms(panics), ask{target: "/api/rooms/MyRoom/participants"}},
	{participants, "304", withPast(several()), ask{target: "/api/rooms/standup/participants", header: known}},
	{"/api/rooms", "200", withPast(several()), ask{target: "/api/rooms?limit=1"}},
	{"/api/rooms", "304", withPast(several()), ask{target: "/api/rooms?limit=1", header: known}},
	{"/api/rooms", "400", nil, ask{target: "/api/rooms?limit=many"}},
	{"/api/rooms", "503", withConnection(lostConnection()), ask{target: "/api/rooms"}},
	{room, "200", withPast(several()), ask{target: "/api/rooms/standup"}},
	{room, "304", withPast(several()), ask{target: "/api/rooms/standup", header: known}},
	{room, "400", nil, ask{target: "/api/rooms/standup?wiat=1s"}},
	{room, "503", withRooms(fails(away)), ask{target: "/api/rooms/standup"}},
	{room, "default", withRooms(panics), ask{target: "/api/rooms/standup"}},
	{"/api/stats", "200", withPast(several()), ask{target: "/api/stats"}},
	{"/api/stats", "400", nil, ask{target: "/api/stats?verbose"}},
	{"/api/stats", "503", withConnection(lostConnection()), ask{target: "/api/stats"}},
	{lastHour, "200", nil, ask{target: "/api/stats/history"}},
	{lastHour, "304", nil, ask{target: "/api/stats/history", header: known}},
	{lastHour, "400", nil, ask{target: "/api/stats/history?minutes=5"}},
	{"/api/meetings", "200", withMeetings, ask{target: "/api/meetings?limit=1"}},
	{"/api/meetings", "400", withMeetings, ask{target: "/api/meetings?verbose"}},
	{"/api/meetings", "404", nil, ask{target: "/api/meetings"}},
	{"/api/meetings", "503", withBrokenStore, ask{target: "/api/meetings"}},
	{meetingPath, "200", withMeetings, ask{target: "/api/meetings/" + meetingID}},
	{meetingPath, "400", withMeetings, ask{target: "/api/meetings/" + meetingID + "?verbose"}},
	{meetingPath, "404", nil, ask{target: "/api/meetings/" + meetingID}},
	{meetingPath, "503", withBrokenStore, ask{target: "/api/meetings/" + meetingID}},
	{attendancePath, "200", withMeetings, ask{target: "/api/meetings/" + meetingID + "/attendance"}},
	{attendancePath, "200", withSilentCollector, ask{target: "/api/meetings/" + meetingID + "/attendance?format=plain"}},
	{attendancePath, "400", withMeetings, ask{target: "/api/meetings/" + meetingID + "/attendance?verbose"}},
	{attendancePath, "404", nil, ask{target: "/api/meetings/" + meetingID + "/attendance"}},
	{attendancePath, "503", withBrokenStore, ask{target: "/api/meetings/" + meetingID + "/attendance"}},
	{"/api/rooms/{room_name}/meetings", "200", withMeetings, ask{target: "/api/rooms/standup/meetings"}},
	{"/api/rooms/{room_name}/meetings", "400", withMeetings, ask{target: "/api/rooms/standup/meetings?verbose"}},
	{"/api/rooms/{room_name}/meetings", "404", nil, ask{target: "/api/rooms/standup/meetings"}},
	{"/api/rooms/{room_name}/meetings", "503", withBrokenStore, ask{target: "/api/rooms/standup/meetings"}},
	{personPath, "200", withMeetings, ask{target: "/api/people/8a7c1f02"}},
	{personPath, "400", withMeetings, ask{target: "/api/people/8a7c1f02?verbose"}},
	{personPath, "404", nil, ask{target: "/api/people/8a7c1f02"}},
	{personPath, "503", withBrokenStore, ask{target: "/api/people/8a7c1f02"}},
	{stayPath, "204", withMeetings, ask{method: http.MethodDelete, target: "/api/meetings/" + meetingID + "/stays/" + stayID}},
	{stayPath, "404", withMeetings, ask{method: http.MethodDelete, target: "/api/meetings/" + meetingID + "/stays/" + meetingID}},
	{stayPath, "503", withBrokenStore, ask{method: http.MethodDelete, target: "/api/meetings/" + meetingID + "/stays/" + stayID}},
	{personPath, "200", withMeetings, ask{method: http.MethodDelete, target: "/api/people/8a7c1f02"}},
	{personPath, "404", nil, ask{method: http.MethodDelete, target: "/api/people/8a7c1f02"}},
	{personPath, "503", withBrokenStore, ask{method: http.MethodDelete, target: "/api/people/8a7c1f02"}},
	{lastHour, "404", nil, ask{target: "/api/stats/history?range=7d"}},
	{lastHour, "503", withBrokenStore, ask{target: "/api/stats/history?range=7d"}},
	{"/api/diagnostics", "200", nil, ask{target: "/api/diagnostics"}},
	{"/api/diagnostics", "400", nil, ask{target: "/api/diagnostics?verbose"}},
	{"/api/events", "200", nil, ask{target: "/api/events?snapshot=true", events: 1}},
	{"/api/events", "400", nil, ask{target: "/api/events?snapshots=true"}},
	{"/api/events", "403", nil, ask{target: "/api/events?ticket=guess", header: http.Header{"X-Api-Key": nil}}},
	{"/api/events", "503", withoutStreams, ask{target: "/api/events"}},
	{roomEvents, "200", nil, ask{target: "/api/rooms/MyRoom/events", events: 1}},
	{roomEvents, "400", nil, ask{target: "/api/rooms/a%5Bb/events"}},
	{roomEvents, "403", nil, ask{target: "/api/rooms/MyRoom/events?ticket=guess", header: http.Header{"X-Api-Key": nil}}},
	{roomEvents, "503", withoutStreams, ask{target: "/api/rooms/MyRoom/events"}},
	{"/api/events/recent", "200", nil, ask{target: "/api/events/recent"}},
	{"/api/events/recent", "400", nil, ask{target: "/api/events/recent?limit=0"}},
	{roomEvents + "/recent", "200", nil, ask{target: "/api/rooms/MyRoom/events/recent"}},
	{roomEvents + "/recent", "400", nil, ask{target: "/api/rooms/a%5Bb/events/recent"}},
	{"/api/events/ticket", "200", nil, ask{target: "/api/events/ticket"}},
	{"/api/webhooks", "200", withWebhooks, ask{target: "/api/webhooks"}},
	{"/api/webhooks", "201", withWebhooks, ask{method: http.MethodPost, target: "/api/webhooks", body: firstJoin, header: jsonBody}},
	{hook, "200", withWebhooks, ask{target: aWebhook}},
	{hook, "201", withWebhooks, ask{method: http.MethodPut, target: "/api/webhooks/second", body: firstJoin, header: jsonBody}},
	{hook, "200", withWebhooks, ask{method: http.MethodPut, target: aWebhook, body: firstJoin, header: jsonBody}},
	{hook, "204", withWebhooks, ask{method: http.MethodDelete, target: aWebhook}},
	{hook + "/test", "200", withWebhooks, ask{method: http.MethodPost, target: "/api/webhooks/closed/test"}},
	{hook + "/replay", "202", withWebhooks, ask{method: http.MethodPost, target: aWebhook + "/replay?from=2026-11-22T09:00:00Z&to=2026-11-22T10:00:00Z"}},
	{hook + "/deliveries", "200", withWebhooks, ask{target: aWebhook + "/deliveries"}},
	{hook + "/deliveries/{delivery_id}/replay", "202", withWebhooks, ask{method: http.MethodPost, target: aWebhook + "/deliveries/1/replay"}},
	{"/health", "200", nil, ask{target: "/health"}},
	{"/health", "503", withConnection(lostConnection()), ask{target: "/health"}},
	{"/livez", "200", nil, ask{target: "/livez"}},
	{"/readyz", "200", nil, ask{target: "/readyz"}},
	{"/readyz", "503", withConnection(lostConnection()), ask{target: "/readyz"}},
	{"/metrics", "200", nil, ask{target: "/metrics"}},
	{"/openapi.json", "200", nil, ask{target: "/openapi.json"}},
	{"/openapi.json", "304", nil, ask{target: "/openapi.json", header: known}},
	{"/docs", "200", nil, ask{target: "/docs"}},
	{"/docs", "304", nil, ask{target: "/docs", header: known}},
	{"/docs/", "200", nil, ask{target: "/docs/"}},
	{"/docs/", "304", nil, ask{target: "/docs/", header: known}},
	{"/docs/{asset}", "200", nil, ask{target: "/docs/swagger-ui.css"}},
	{"/docs/{asset}", "304", nil, ask{target: "/docs/swagger-ui.css", header: known}},
	{"/docs/{asset}", "404", nil, ask{target: "/docs/nothing.js"}},
	{"/dashboard", "308", nil, ask{target: "/dashboard"}},
	{"/dashboard/", "200", nil, ask{target: "/dashboard/"}},
	{"/dashboard/", "304", nil, ask{target: "/dashboard/", header: known}},
	{"/dashboard/{asset}", "200", nil, ask{target: "/dashboard/index.html"}},
	{"/dashboard/{asset}", "304", nil, ask{target: "/dashboard/index.html", header: known}},
	{sharePage, "200", withLink(""), ask{target: "/s/" + testToken}},
	{sharePage, "304", withLink(""), ask{target: "/s/" + testToken, header: known}},
	{sharePage, "404", nil, ask{target: "/s/" + testToken}},
	{sharePage, "410", withLink("expires=2025-12-31"), ask{target: "/s/" + testToken}},
	{sharePage, "429", withoutGuesses, ask{target: "/s/" + testToken}},
	{shareBadge, "200", withLink("room=myroom"), ask{target: "/s/" + testToken + ".svg"}},
	{shareBadge, "304", withLink("room=myroom"), ask{target: "/s/" + testToken + ".svg", header: known}},
	{shareBadge, "400", withLink("room=myroom"), ask{target: "/s/" + testToken + ".svg?lang=tlh"}},
	{shareBadge, "404", nil, ask{target: "/s/" + testToken + ".svg"}},
	{shareBadge, "410", withLink("expires=2025-12-31"), ask{target: "/s/" + testToken + ".svg"}},
	{shareBadge, "429", withoutGuesses, ask{target: "/s/" + testToken + ".svg"}},
	{shareBadge, "503", withBoth(withLink("room=myroom"), withConnection(lostConnection())), ask{target: "/s/" + testToken + ".svg"}},
	{shareDocument, "200", withLink("room=myroom"), ask{target: "/s/" + testToken + ".json"}},
	{shareDocument, "304", withLink("room=myroom"), ask{target: "/s/" + testToken + ".json", header: known}},
	{shareDocument, "404", nil, ask{target: "/s/" + testToken + ".json"}},
	{shareDocument, "410", withLink("expires=2025-12-31"), ask{target: "/s/" + testToken + ".json"}},
	{shareDocument, "429", withoutGuesses, ask{target: "/s/" + testToken + ".json"}},
	{shareDocument, "503", withBoth(withLink("room=myroom"), withConnection(lostConnection())), ask{target: "/s/" + testToken + ".json"}},
	{shareEvents, "200", withLink("room=myroom"), ask{target: "/s/" + testToken + "/events", events: 1}},
	{shareEvents, "404", nil, ask{target: "/s/" + testToken + "/events"}},
	{shareEvents, "410", withLink("expires=2025-12-31"), ask{target: "/s/" + testToken + "/events"}},
	{shareEvents, "429", withoutGuesses, ask{target: "/s/" + testToken + "/events"}},
	{shareEvents, "503", withBoth(withLink("room=myroom"), withoutStreams), ask{target: "/s/" + testToken + "/events"}},
	{"/s/assets/{asset}", "200", nil, ask{target: "/s/assets/share.js"}},
	{"/s/assets/{asset}", "304", nil, ask{target: "/s/assets/share.js", header: known}},
	{"/s/assets/{asset}", "404", nil, ask{target: "/s/assets/nothing.js"}},
	{"/dashboard/{asset}", "404", nil, ask{target: "/dashboard/nothing.js"}},
}

// allStatuses adds to statuses a request for each documented status that all paths share:
// without a key, with a wrong key, with a key over its limit, and with a URI that is too long.
func allStatuses(t *testing.T) []statusCase {
	t.Helper()
	cases := slices.Clone(statuses)
	for path, item := range contract(t).Paths.Map() {
		first := slices.IndexFunc(statuses, func(c statusCase) bool { return c.path == path })
		if first < 0 {
			t.Errorf("%s is documented, but the table has no request for it", path)
			continue
		}
		target, _, _ := strings.Cut(statuses[first].asked.target, "?")
		for method, operation := range item.Operations() {
			cases = append(cases, usualStatuses(path, ask{method: method, target: target}, operation)...)
		}
	}
	return cases
}

// usualStatuses has a request for each documented status of an operation that any path gets alike.
func usualStatuses(path string, asked ask, operation *openapi3.Operation) (cases []statusCase) {
	for status := range operation.Responses.Map() {
		c := statusCase{path, status, nil, asked}
		switch status {
		case "401":
			c.asked.header = http.Header{"X-Api-Key": nil}
		case "403":
			c.asked.header = http.Header{"X-Api-Key": {"guess"}}
		case "429":
			if strings.HasPrefix(path, "/s/") {
				continue // the table has it
			}
			c.given = withoutQuota
		case "default":
			c.asked.target += tooLong
		default:
			continue
		}
		cases = append(cases, c)
	}
	return cases
}

// startWith starts the service of a case. Where there may be webhooks, there is one.
func startWith(t *testing.T, c statusCase) *service {
	t.Helper()
	s := start(t, c.given)
	if s.store != nil {
		addDelivery(s)
		addClosedWebhook(s)
	}
	return s
}

func TestDocument_EveryStatusOccurs(t *testing.T) {
	given := map[string]bool{}
	for _, c := range allStatuses(t) {
		s := startWith(t, c)
		item := contract(t).Paths.Value(c.path)
		if item == nil {
			t.Errorf("%s is not documented", c.path)
			continue
		}
		for _, method := range methodsOf(item, c.asked) {
			c.asked.method = method
			got := strconv.Itoa(s.do(c.asked).status)
			if operationFor(item, method).Responses.Value(got) == nil {
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

func TestDocument_EveryHeaderOccurs(t *testing.T) {
	given := map[string]bool{}
	note := func(response string, a answer) {
		for name := range a.header {
			given[response+" "+name] = true
		}
	}
	for _, c := range allStatuses(t) {
		item := contract(t).Paths.Value(c.path)
		c.asked.method = methodsOf(item, c.asked)[0]
		response := item.GetOperation(c.asked.method).Responses.Value(c.status)
		note(response.Ref, startWith(t, c).do(c.asked))
	}
	note("#/components/responses/Attendance", start(t, withMeetings).do(ask{target: "/api/meetings/" + meetingID + "/attendance?format=plain"}))
	s := start(t, withLink(""))
	for response, target := range map[string]string{
		"DocsAsset": "/docs/swagger-ui.css", "DashboardPage": "/dashboard/", "DashboardAsset": "/dashboard/app.js", "Metrics": "/metrics",
		"SharePage": "/s/" + testToken, "InvalidSharePage": "/s/" + testToken[:len(testToken)-1] + "3",
	} {
		note("#/components/responses/"+response, s.do(ask{target: target, header: http.Header{"Accept-Encoding": {"gzip"}}}))
	}
	note("#/components/responses/Problem", s.do(ask{method: http.MethodPost, target: "/"}))
	for component, response := range contract(t).Components.Responses {
		for header := range response.Value.Headers {
			if name := "#/components/responses/" + component + " " + http.CanonicalHeaderKey(header); !given[name] {
				t.Errorf("%s is documented, but no response has it", name)
			}
		}
	}
}
