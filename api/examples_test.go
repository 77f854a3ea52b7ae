package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"ppch/api"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// examples has the request for each example of the document, by name.
var examples = map[string]struct {
	given func(*api.Config)
	asked ask
	raw   string         // instead of asked
	been  func(*service) // before it runs
}{
	"info":                 {asked: ask{target: "/"}},
	"exact":                {given: withRooms(withBot), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"count-only":           {given: withBoth(withRooms(occupied), withKeys("scope=count")), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"no-room":              {asked: ask{target: "/api/rooms/C++/participants"}},
	"inexact":              {given: withRooms(inexact), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"split":                {given: withPast(split()), asked: ask{target: "/api/rooms/Standup/participants"}},
	"unknown-shard":        {given: withPast(split()), asked: ask{target: "/api/rooms?type=all"}},
	"list":                 {given: withPast(several()), asked: ask{target: "/api/rooms?limit=1"}},
	"expanded-list":        {given: withPast(several()), asked: ask{target: "/api/rooms?type=breakout&expand=occupants"}},
	"named":                {given: withPast(several()), asked: ask{target: "/api/rooms?name=Standup&name=standup&name=acme/C%2B%2B"}},
	"room":                 {given: withPast(severalWithBot()), asked: ask{target: "/api/rooms/acme%2FPlanning"}},
	"no-such-room":         {given: withPast(several()), asked: ask{target: "/api/rooms/C++"}},
	"inexact-list":         {given: withRooms(inexact), asked: ask{target: "/api/rooms?name=MyRoom"}},
	"inexact-room":         {given: withRooms(inexact), asked: ask{target: "/api/rooms/MyRoom"}},
	"stats":                {given: withPast(several()), asked: ask{target: "/api/stats"}},
	"history":              {given: withHistory, been: playHistory, asked: ask{target: "/api/stats/history"}},
	"meetings":             {given: withSilentCollector, asked: ask{target: "/api/meetings?limit=1"}},
	"meeting":              {given: withSilentCollector, asked: ask{target: "/api/meetings/" + meetingID}},
	"attendance":           {given: withSilentCollector, asked: ask{target: "/api/meetings/" + meetingID + "/attendance"}},
	"attendance-plain":     {given: withMeetings, asked: ask{target: "/api/meetings/" + meetingID + "/attendance?format=plain&tz=Europe/Berlin"}},
	"attendance-zoom":      {given: withMeetings, asked: ask{target: "/api/meetings/" + meetingID + "/attendance?format=zoom&tz=America/New_York"}},
	"attendance-teams":     {given: withMeetings, asked: ask{target: "/api/meetings/" + meetingID + "/attendance?format=teams"}},
	"person":               {given: withSilentCollector, asked: ask{target: "/api/people/8a7c1f02"}},
	"erased":               {given: withMeetings, asked: ask{method: http.MethodDelete, target: "/api/people/8a7c1f02"}},
	"history-off":          {asked: ask{target: "/api/meetings"}},
	"no-such-meeting":      {given: withMeetings, asked: ask{target: "/api/meetings/none"}},
	"history-incomplete":   {given: withSilentCollector, asked: ask{target: "/api/meetings/" + strings.Repeat("0", 32)}},
	"store-unavailable":    {given: withBrokenStore, asked: ask{target: "/api/meetings"}},
	"diagnostics":          {asked: ask{target: "/api/diagnostics"}},
	"diagnostics-down":     {given: withDiagnostics(lostConnection(), diagnosticsOf(occupancy.DomainDiagnostics{})), asked: ask{target: "/api/diagnostics"}},
	"visited-room":         {given: withPast(visited()), asked: ask{target: "/api/rooms/Standup?expand=visitors"}},
	"diagnostics-shards":   {given: withNATS, asked: ask{target: "/api/diagnostics"}},
	"bad-parameter":        {asked: ask{target: "/api/rooms?limit=many"}},
	"bad-room-name":        {asked: ask{target: "/api/rooms/a%5Bb/participants"}},
	"domain-not-watched":   {given: withRooms(fails(fmt.Errorf("wrapped: %w", occupancy.ErrNotWatched))), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"missing-key":          {asked: ask{target: "/api/rooms/MyRoom/participants", header: http.Header{"X-Api-Key": nil}}},
	"wrong-key":            {asked: ask{target: "/api/rooms/MyRoom/participants", header: http.Header{"X-Api-Key": {"guess"}}}},
	"key-expired":          {given: withKeys("scope=all expires=2025-12-31"), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"scope-missing":        {given: withKeys("scope=metrics"), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"room-not-allowed":     {given: withKeys("scope=all room=acme/*"), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"rate-limited":         {given: withoutQuota, asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"too-much-unread":      {been: unreadOf(testKey), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"overloaded":           {been: unreadOf("others"), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"prosody-unavailable":  {given: withRooms(fails(away)), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"syncing":              {given: withRooms(fails(syncing)), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"count-unknown":        {given: withRooms(fails(hides)), asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"events":               {given: withMeeting, asked: ask{target: "/api/events?snapshot=true", header: http.Header{"Last-Event-Id": {"other-1"}}, events: 10, then: playMeeting}},
	"recent":               {asked: ask{target: "/api/rooms/MyRoom/events/recent"}},
	"ticket":               {asked: ask{method: http.MethodPost, target: "/api/events/ticket"}},
	"wrong-ticket":         {asked: ask{target: "/api/events?ticket=guess", header: http.Header{"X-Api-Key": nil}}},
	"too-many-streams":     {given: withoutStreams, asked: ask{target: "/api/events"}},
	"settings-unavailable": {given: withoutList, asked: ask{target: "/api/rooms/MyRoom/participants"}},
	"too-many-requests":    {given: func(cfg *api.Config) { cfg.MaxConnections = 1 }, asked: ask{target: "/api/stats"}},
	"too-many-streams-of-key": {
		given: withKeys("scope=all streams=1"), been: func(s *service) { s.OpenStream(testKey) }, asked: ask{target: "/api/events"},
	},
	"webhooks":          {given: withWebhooks, been: addDelivery, asked: ask{target: "/api/webhooks"}},
	"webhook":           {given: withWebhooks, been: addDelivery, asked: ask{target: aWebhook}},
	"webhook-created":   {given: withWebhooks, asked: ask{method: http.MethodPut, target: aWebhook, body: firstJoin, header: jsonBody}},
	"webhook-test":      {given: withWebhooks, been: addClosedWebhook, asked: ask{method: http.MethodPost, target: "/api/webhooks/closed/test"}},
	"deliveries":        {given: withWebhooks, been: addDelivery, asked: ask{target: aWebhook + "/deliveries"}},
	"replayed":          {given: withWebhooks, been: addDelivery, asked: ask{method: http.MethodPost, target: aWebhook + "/deliveries/1/replay"}},
	"webhooks-off":      {asked: ask{target: "/api/webhooks"}},
	"no-such-webhook":   {given: withWebhooks, asked: ask{target: aWebhook}},
	"too-many-webhooks": {given: withWebhooks, been: addManyWebhooks, asked: ask{method: http.MethodPost, target: "/api/webhooks", body: firstJoin, header: jsonBody}},
	"webhook-stopped":   {given: withWebhooks, been: addClosedWebhook, asked: ask{method: http.MethodPost, target: "/api/webhooks/closed/deliveries/1/replay"}},
	"body-erased":       {given: withWebhooks, been: eraseDelivery, asked: ask{method: http.MethodPost, target: aWebhook + "/deliveries/1/replay"}},
	"position-not-reached": {
		been: func(s *service) { s.WaitForPositions(time.Millisecond) }, asked: ask{target: "/api/rooms/MyRoom?at_least=main:20261122T080000Z-k3x7aq:43"},
	},
	"healthy":               {asked: ask{target: "/health"}},
	"healthy-without-store": {given: withBrokenStore, asked: ask{target: "/health"}},
	"unhealthy-settings":    {given: withoutList, asked: ask{target: "/health"}},
	"unhealthy":             {given: withConnection(lostConnection()), asked: ask{target: "/health"}},
	"learning":              {given: withConnection(syncingConnection()), asked: ask{target: "/health"}},
	"live":                  {asked: ask{target: "/livez"}},
	"live-verbose":          {asked: ask{target: "/livez?verbose"}},
	"ready":                 {asked: ask{target: "/readyz"}},
	"ready-verbose":         {asked: ask{target: "/readyz?verbose"}},
	"not-ready":             {given: withConnection(lostConnection()), asked: ask{target: "/readyz"}},
	"metrics":               {given: withMetrics, asked: ask{target: "/metrics"}},
	"room-not-open":         {given: withLegacyRoutes, asked: ask{target: "/room-size?room=C%2B%2B"}},
	"not-found":             {asked: ask{target: "/api/room/MyRoom"}},
	"method-not-allowed":    {asked: ask{method: http.MethodPost, target: "/health"}},
	"body-too-large":        {asked: ask{target: "/health", body: strings.Repeat("x", 256<<10+1)}},
	"uri-too-long":          {asked: ask{target: "/health" + tooLong}},
	"host-not-allowed":      {raw: "GET / HTTP/1.1\r\nHost: ppch.example.com\r\n\r\n"},
	"shared":                {given: withBoth(withRooms(occupied), withLink("room=myroom scope=share,participants")), asked: ask{target: "/s/" + testToken + ".json"}},
	"share-minimum":         {given: withBoth(withLostShard, withLink("room=daily scope=share,participants")), asked: ask{target: "/s/" + testToken + ".json"}},
	"wrong-share-link":      {asked: ask{target: "/s/" + testToken + ".json"}},
	"share-link-expired":    {given: withLink("expires=2025-12-31"), asked: ask{target: "/s/" + testToken + ".json"}},
	"internal":              {given: withRooms(panics), asked: ask{target: "/api/rooms/MyRoom/participants"}},
}

// unreadOf fills the memory for unread responses of one key, or of many keys.
func unreadOf(key string) func(*service) {
	return func(s *service) {
		for i := range 4 {
			if key == testKey {
				s.LeaveUnread(key)
				return
			}
			s.LeaveUnread(fmt.Sprint(key, i))
		}
	}
}

// madeID matches a request id that the service created.
var madeID = regexp.MustCompile(`[A-Z2-7]{26}`)

// These values differ each time: times, instance ids, retry intervals, tickets and cursors.
var (
	madeTime     = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	madeInstance = regexp.MustCompile(`id: 1\.[A-Za-z0-9_-]+`)
	madeRetry    = regexp.MustCompile(`retry: \d{4}\b`)
	madeCursor   = regexp.MustCompile(`(cursor(?:=|":"))[A-Za-z0-9_-]{60,}`)
	madeSecret   = regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`)
	madeDuration = regexp.MustCompile(`"duration_ms":\d+`)
	madeStore    = regexp.MustCompile(regexp.QuoteMeta(stores) + `/\d+`)
	madeEpoch    = regexp.MustCompile(`\d{8}T\d{6}Z-[A-Z2-7]{8}:\d+`)
	madeAccess   = regexp.MustCompile(`"at":"[^"]*"`)
	madeTicket   = regexp.MustCompile(`[A-Za-z0-9_-]{107}`)
)

// steady returns a body with these values replaced by constants.
func steady(body []byte) []byte {
	body = madeTime.ReplaceAll(body, []byte(now.Format("2006-01-02T15:04:05.000Z")))
	body = madeInstance.ReplaceAll(body, []byte("id: 1.k3x7aq2QBAA"))
	body = madeRetry.ReplaceAll(body, []byte("retry: 3000"))
	body = madeTicket.ReplaceAll(body, []byte(testID))
	body = madeSecret.ReplaceAll(body, []byte("whsec_k3x7aq"))
	body = madeDuration.ReplaceAll(body, []byte(`"duration_ms":12`))
	return madeID.ReplaceAll(body, []byte(testID))
}

func TestDocument_ExamplesAreRealResponses(t *testing.T) {
	documented := documentedExamples(t)
	for name, c := range examples {
		t.Run(name, func(t *testing.T) {
			s := prepare(t, c.given)
			if c.been != nil {
				c.been(s)
			}
			s.run()
			var got answer
			if c.raw != "" {
				got = s.raw(c.raw)
				got.body = madeID.ReplaceAll(got.body, []byte(testID))
			} else {
				got = s.do(c.asked)
			}
			got.body = madeStore.ReplaceAll(got.body, nil)
			got.body = madeEpoch.ReplaceAll(got.body, []byte("20261122T080000Z-k3x7aq:1"))
			got.body = madeAccess.ReplaceAll(got.body, []byte(`"at":"`+now.Format(view.Timestamp)+`"`))
			got.body = madeCursor.ReplaceAll(got.body, []byte("${1}tLq4UYXyGgqKkS1v"))
			if link := got.header.Get("Link"); link != "" {
				got.header.Set("Link", madeCursor.ReplaceAllString(link, "${1}tLq4UYXyGgqKkS1v"))
			}
			if name == "events" || name == "recent" || name == "ticket" || strings.HasPrefix(name, "webhook") || name == "deliveries" {
				got.body = steady(got.body)
			}
			checkGolden(t, name, got)
			example, ok := documented[name]
			if !ok {
				t.Fatal("the document has no such example")
			}
			if diff := cmp.Diff(example, decoded(t, got)); diff != "" {
				t.Errorf("- openapi.yaml, + live answer:\n%s", diff)
			}
		})
	}
	for name := range documented {
		if _, ok := examples[name]; !ok {
			t.Errorf("example %s is documented, but the table has no request for it", name)
		}
	}
}

// documentedExamples returns the examples of all responses, each of which must obey its own schema.
func documentedExamples(t *testing.T) map[string]any {
	t.Helper()
	all := map[string]any{}
	for component, response := range contract(t).Components.Responses {
		for mediaType, content := range response.Value.Content {
			if len(content.Examples) == 0 && content.Schema != nil && component != "Document" {
				t.Errorf("response %s has no example", component)
			}
			for name, example := range content.Examples {
				if _, double := all[name]; double {
					t.Errorf("there are two examples called %s", name)
				}
				all[name] = example.Value.Value
				if err := content.Schema.Value.VisitJSON(example.Value.Value, openapi3.EnableJSONSchema2020()); err != nil {
					t.Errorf("example %s of %s: %v", name, mediaType, err)
				}
			}
		}
	}
	return all
}

func TestDocument_EveryFieldOccurs(t *testing.T) {
	given := map[string]bool{}
	for name, c := range examples {
		if c.raw != "" {
			continue
		}
		s := prepare(t, c.given)
		if c.been != nil {
			c.been(s)
		}
		s.run()
		got := s.do(c.asked)
		for _, response := range contract(t).Components.Responses {
			for mediaType, content := range response.Value.Content {
				if content.Examples[name] != nil && strings.HasPrefix(got.header.Get("Content-Type"), mediaType) {
					noteFields(content.Schema, decoded(t, got), given)
					noteEvents(t, got, given)
				}
			}
		}
	}
	for name, schema := range contract(t).Components.Schemas {
		if name == "WebhookRequest" {
			continue // the schema of a request
		}
		for field := range schema.Value.Properties {
			if name == "StatsHistory" && (field == "exact" || field == "unanswered") {
				continue // of long ranges, whose steps depend on the present time
			}
			if ref := "#/components/schemas/" + name + " " + field; !given[ref] {
				t.Errorf("%s is documented, but no example has it", ref)
			}
		}
	}
}

// noteFields adds the fields of value to given, each with the reference to its schema.
func noteFields(schema *openapi3.SchemaRef, value any, given map[string]bool) {
	for _, option := range schema.Value.OneOf {
		noteFields(option, value, given)
	}
	switch value := value.(type) {
	case map[string]any:
		for field := range value {
			given[schema.Ref+" "+field] = true
			if property := schema.Value.Properties[field]; property != nil {
				noteFields(property, value[field], given)
			}
		}
	case []any:
		for _, item := range value {
			noteFields(schema.Value.Items, item, given)
		}
	}
}

// decoded returns the body as in the document: text as a string, JSON decoded.
func decoded(t *testing.T, a answer) any {
	t.Helper()
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/") {
		return string(a.body)
	}
	return any(a.object(t))
}

// checkGolden compares the whole response with testdata/name.golden, or writes that file with -update.
func checkGolden(t *testing.T, name string, a answer) {
	t.Helper()
	var got bytes.Buffer
	fmt.Fprintf(&got, "%d %s\n", a.status, a.header.Get("Content-Type"))
	for _, header := range []string{"Allow", "Link", "Retry-After", "WWW-Authenticate"} {
		if value := a.header.Get(header); value != "" {
			fmt.Fprintf(&got, "%s: %s\n", header, value)
		}
	}
	got.WriteByte('\n')
	if json.Valid(a.body) {
		check(t, json.Indent(&got, a.body, "", "  "))
	} else {
		got.Write(a.body)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		check(t, os.WriteFile(file, got.Bytes(), 0o666))
		return
	}
	want := must(os.ReadFile(file))(t)
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("- %s, + live answer (see -update):\n%s", file, diff)
	}
}
