package api_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"

	"ppch/api"
	"ppch/api/keys"
)

// document returns the OpenAPI document as the service serves it.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	server, err := api.New(api.Config{Addr: "127.0.0.1:0", Keys: keyring(keys.KeyringConfig{Key: testKey}), Directory: healthyConnection().directory()})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get("http://" + server.Addr().String() + "/openapi.json")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// contract is document for a test.
func contract(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	return doc
}

// A stream is text to the document, whose events have schemas of their own.
func init() {
	for _, table := range []string{"text/csv", "text/tab-separated-values"} {
		openapi3filter.RegisterBodyDecoder(table, openapi3filter.PlainBodyDecoder)
	}
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
}

// everywhere are the headers of every response, which the document explains once, in its text.
var everywhere = []string{"Content-Security-Policy", "Cross-Origin-Resource-Policy", "Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options"}

// sometimes are headers that any response may have, which the document explains once, in its text.
var sometimes = []string{"Ratelimit", "Ratelimit-Policy", "Retry-After"}

// transfer are the headers of HTTP itself, and those for browsers only.
var transfer = []string{
	"Connection", "Content-Length", "Content-Type", "Date",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers",
}

// checkContract checks a response against the document: status, headers and fields.
// A response to a request without an operation in the document must be the common problem document.
func checkContract(t testing.TB, req *http.Request, a answer) {
	t.Helper()
	if isLegacy(req) && a.status < http.StatusForbidden {
		return // README.md documents these routes, which most services lack
	}
	doc := contract(t)
	// The document explains once, in its text, that responses depend on the origin of a page.
	a.header = a.header.Clone()
	if vary := slices.DeleteFunc(a.header["Vary"], func(v string) bool { return v == "Origin" }); len(vary) == 0 {
		a.header.Del("Vary")
	} else {
		a.header["Vary"] = vary
	}
	response := doc.Components.Responses["Problem"].Value
	if operation := operationOf(doc, req); operation != nil {
		if response = responseOf(operation, a.status); response == nil {
			t.Fatalf("contract: %s: status %d is not documented", describe(req), a.status)
		}
	}
	// kin-openapi ignores the headers of HEAD and of 304, so it gets neither.
	input := &openapi3filter.ResponseValidationInput{
		Status:  http.StatusOK,
		Header:  a.header,
		Body:    io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{},
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: &http.Request{Method: http.MethodGet},
			Route: &routers.Route{Spec: doc, Operation: &openapi3.Operation{
				Responses: openapi3.NewResponses(openapi3.WithStatus(http.StatusOK, &openapi3.ResponseRef{Value: response})),
			}},
		},
	}
	if bodiless := a.status == http.StatusNotModified || req != nil && req.Method == http.MethodHead; bodiless {
		if len(a.body) != 0 {
			t.Errorf("contract: %s: got a body of %d bytes, want none", describe(req), len(a.body))
		}
		input.Options.ExcludeResponseBody = true
	}
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		t.Errorf("contract: %s: %v\n%s", describe(req), err, a.body)
	}
	for _, name := range everywhere {
		if a.header.Get(name) == "" && (name != "X-Frame-Options" || strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'")) {
			t.Errorf("contract: %s: header %s is missing", describe(req), name)
		}
	}
	for name := range a.header {
		if !documented(response, name) && !slices.Contains(slices.Concat(everywhere, sometimes, transfer), name) {
			t.Errorf("contract: %s: header %s of %d is not documented", describe(req), name, a.status)
		}
	}
}

// operationOf returns the operation for req in the document, or nil.
func operationOf(doc *openapi3.T, req *http.Request) *openapi3.Operation {
	if req == nil {
		return nil
	}
	asked := strings.Split(req.URL.EscapedPath(), "/")
	best := ""
	for _, template := range doc.Paths.InMatchingOrder() {
		segments := strings.Split(template, "/")
		same := slices.EqualFunc(segments, asked, func(segment, name string) bool {
			_, end, ok := strings.Cut(segment, "}")
			return segment == name || ok && name != "" && strings.HasSuffix(name, end)
		})
		if same && best == "" || same && strings.HasPrefix(template, best) { // /s/{token}.svg before /s/{token}
			best = template
		}
	}
	if best == "" {
		return nil
	}
	return operationFor(doc.Paths.Value(best), req.Method)
}

// operationFor returns the operation for a method. The document explains once, in its text, that HEAD answers like GET.
func operationFor(item *openapi3.PathItem, method string) *openapi3.Operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return item.GetOperation(method)
}

// responseOf returns the response of the operation for a status.
func responseOf(operation *openapi3.Operation, status int) *openapi3.Response {
	if ref := operation.Responses.Status(status); ref != nil {
		return ref.Value
	}
	if ref := operation.Responses.Default(); ref != nil && status >= 400 {
		return ref.Value
	}
	return nil
}

func documented(response *openapi3.Response, header string) bool {
	for name := range response.Headers {
		if http.CanonicalHeaderKey(name) == header {
			return true
		}
	}
	return false
}

func describe(req *http.Request) string {
	if req == nil {
		return "raw request"
	}
	return req.Method + " " + req.URL.EscapedPath()
}

func TestDocument_HasAllRoutes(t *testing.T) {
	var documented, routed []string
	for path, item := range contract(t).Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
			if method == http.MethodGet {
				documented = append(documented, http.MethodHead+" "+path)
			}
		}
	}
	err := start(t).Router().Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		methods, err := route.GetMethods()
		for _, method := range methods {
			routed = append(routed, method+" "+route.GetName())
		}
		return err
	})
	check(t, err)
	slices.Sort(documented)
	slices.Sort(routed)
	if diff := cmp.Diff(documented, routed); diff != "" {
		t.Errorf("- openapi.yaml, + routes.go:\n%s", diff)
	}
}

func TestDocument_ScopesMatchRoutes(t *testing.T) {
	documented := map[string]string{}
	for path, item := range contract(t).Paths.Map() {
		for method, operation := range item.Operations() {
			var scopes []string
			for _, way := range *operation.Security {
				for _, needed := range way {
					scopes = append(scopes, needed...)
				}
			}
			scopes = slices.Compact(scopes) // equal for both ways of sending the key
			if needed, ok := documented[path]; len(scopes) > 1 || ok && needed != strings.Join(scopes, "") {
				t.Errorf("%s %s: got the scopes %v, want one, and that of the other methods", method, path, scopes)
			}
			documented[path] = strings.Join(scopes, "")
		}
	}
	if diff := cmp.Diff(documented, start(t).Scopes()); diff != "" {
		t.Errorf("- openapi.yaml, + routes.go:\n%s", diff)
	}
}

func TestDocument_HasAllProblemTypes(t *testing.T) {
	source := must(os.ReadFile("problem.go"))(t)
	var written []string
	for _, match := range regexp.MustCompile(`problemKind\{"([a-z-]+)"`).FindAllSubmatch(source, -1) {
		written = append(written, api.TypeBase+string(match[1]))
	}
	property := contract(t).Components.Schemas["Problem"].Value.Properties["type"].Value
	var documented []string
	for _, value := range property.Enum {
		documented = append(documented, value.(string))
		code := strings.TrimPrefix(value.(string), api.TypeBase)
		if !strings.Contains(property.Description, "`"+code+"`") {
			t.Errorf("the description of type doesn't explain %s", code)
		}
		if _, ok := examples[code]; !ok {
			t.Errorf("there is no example of %s", code)
		}
	}
	slices.Sort(written)
	slices.Sort(documented)
	if diff := cmp.Diff(documented, written); diff != "" {
		t.Errorf("- openapi.yaml, + problem.go:\n%s", diff)
	}
	readme := must(os.ReadFile("README.md"))(t)
	for _, kind := range written {
		if code := strings.TrimPrefix(kind, api.TypeBase); !regexp.MustCompile(`(?m)^\| [0-9, ]+ \| .*` + "`" + code + "`").Match(readme) {
			t.Errorf("the table of errors in README.md lacks %s", code)
		}
	}
}

func TestDocument_ObjectsAreClosed(t *testing.T) {
	for name, schema := range contract(t).Components.Schemas {
		closed := schema.Value.AdditionalProperties.Has
		if schema.Value.Type.Is("object") && (closed == nil || *closed) {
			t.Errorf("schema %s allows undocumented fields", name)
		}
	}
}

func TestDocument_RequiredFields(t *testing.T) {
	var optional []string
	for name, schema := range contract(t).Components.Schemas {
		for field := range schema.Value.Properties {
			if !slices.Contains(schema.Value.Required, field) {
				optional = append(optional, name+" "+field)
			}
		}
	}
	slices.Sort(optional)
	want := []string{
		"Attendance unanswered", "Diagnostics not_counted", "Meeting unanswered", "Meetings unanswered", "Occupant connection", "Occupant duration_seconds", "Occupant moved_from",
		"Occupant rule", "Occupant shard", "ParticipantEvent alternate_room_jid", "ParticipantEvent reason", "PersonRecord unanswered", "Problem at_least", "Problem reason", "Problem retry_after",
		"Problem unanswered", "Problem unknown_shards", "Room asked_as", "Room duration_seconds", "Room meeting_id", "Room members_only", "Room name_note", "Room note", "Room occupants",
		"Room parent_room_jid", "Room participants", "Room parts", "Room password_protected", "Room split", "Room subject", "Room tenant", "Room type", "Room unknown_shards",
		"Room visitor_occupants", "Room visitors_source", "RoomEvent alternate_room_jid", "RoomFacts visitors_watched", "Stats shards", "StatsHistory exact", "StatsHistory unanswered",
		"StatusEvent visitors_of", "Stay rule", "Webhook secret", "WebhookRequest enabled", "WebhookRequest events", "WebhookRequest format", "WebhookRequest headers", "WebhookRequest names",
		"WebhookRequest rooms", "WebhookRequest secret", "WebhookRequest template",
	}
	if diff := cmp.Diff(want, optional); diff != "" {
		t.Errorf("- want, + openapi.yaml:\n%s", diff)
	}
}
