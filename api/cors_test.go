package api_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/api"
)

const dashboard = "https://dashboard.example.com"

// withOrigins allows pages of two origins to read responses.
func withOrigins(cfg *api.Config) { cfg.Origins = []string{dashboard, "http://localhost:3000"} }

// corsOf returns the CORS headers, without the other values of Vary.
func corsOf(h http.Header) map[string]string {
	few := map[string]string{}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			few[name] = h.Get(name)
		}
	}
	return few
}

// preflight sends a browser's preflight.
func (s *service) preflight(target string, header http.Header) *http.Response {
	s.t.Helper()
	req := must(http.NewRequest(http.MethodOptions, s.url(target), nil))(s.t)
	req.Header = header
	resp := must(s.client.Do(req))(s.t)
	resp.Body.Close()
	return resp
}

func TestCORS_AllowedOrigins(t *testing.T) {
	s := start(t, withOrigins)
	const room = "/api/rooms/MyRoom/participants"
	for _, c := range []struct {
		name                    string
		origin, method, headers string
		want                    map[string]string // nil if the browser must refuse
	}{
		{"with a key", dashboard, "GET", "x-api-key", map[string]string{"Access-Control-Allow-Headers": "x-api-key"}},
		{
			"with all headers of a client", dashboard, "GET", "authorization,if-none-match,last-event-id,x-api-key,x-request-id",
			map[string]string{"Access-Control-Allow-Headers": "authorization,if-none-match,last-event-id,x-api-key,x-request-id"},
		},
		{"the other allowed origin", "http://localhost:3000", "GET", "", map[string]string{}},
		{"HEAD", dashboard, "HEAD", "", map[string]string{"Access-Control-Allow-Methods": "HEAD"}},
		{"a method that no route has", dashboard, "TRACE", "", nil},
		{"an unsupported header", dashboard, "GET", "x-evil", nil},
		{"another origin", "https://evil.example", "GET", "x-api-key", nil},
		{"an origin with the same prefix", dashboard + ".evil.example", "GET", "x-api-key", nil},
		{"the same host by another scheme", "http://dashboard.example.com", "GET", "x-api-key", nil},
		{"the same host at another port", dashboard + ":8443", "GET", "x-api-key", nil},
		{"a sandboxed page", "null", "GET", "x-api-key", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{"Origin": {c.origin}, "Access-Control-Request-Method": {c.method}}
			if c.headers != "" {
				header.Set("Access-Control-Request-Headers", c.headers)
			}
			got := s.preflight(room, header)
			want := map[string]string{}
			if c.want != nil {
				want = map[string]string{"Access-Control-Allow-Origin": c.origin, "Access-Control-Allow-Methods": "GET", "Access-Control-Max-Age": "600"}
				maps.Copy(want, c.want)
			}
			if diff := cmp.Diff(want, corsOf(got.Header)); diff != "" || got.StatusCode != http.StatusNoContent {
				t.Errorf("got %d, -want +got:\n%s", got.StatusCode, diff)
			}
			if vary := strings.Join(got.Header["Vary"], ", "); !strings.Contains(vary, "Origin") {
				t.Errorf("got Vary %q: a cache would mix up origins", vary)
			}
		})
	}
}

func TestCORS_EveryResponse(t *testing.T) {
	s := start(t, withOrigins)
	for _, c := range []struct {
		target string
		header http.Header
		status int
	}{
		{"/api/rooms/MyRoom/participants", nil, 200},
		{"/api/rooms/MyRoom/participants", http.Header{"X-Api-Key": nil}, 401},
		{"/api/rooms/a%5Bb/participants", nil, 400},
		{"/openapi.json", nil, 200},
		{"/docs/swagger-ui.css", http.Header{"Accept-Encoding": {"gzip"}}, 200},
		{"/nothing", nil, 404},
		{"/" + tooLong, nil, 414},
	} {
		header := http.Header{"Origin": {dashboard}}
		maps.Copy(header, c.header)
		got := s.do(ask{target: c.target, header: header})
		want := map[string]string{
			"Access-Control-Allow-Origin":   dashboard,
			"Access-Control-Expose-Headers": "Content-Disposition, Etag, Link, Ppch-As-Of, Ppch-Unanswered, Ratelimit, Ratelimit-Policy, Retry-After, X-Request-Id",
		}
		if diff := cmp.Diff(want, corsOf(got.header)); diff != "" || got.status != c.status {
			t.Errorf("%.40s: got %d, -want +got:\n%s", c.target, got.status, diff)
		}
		if vary := strings.Join(got.header["Vary"], ", "); !strings.Contains(vary, "Origin") {
			t.Errorf("%.40s: got Vary %q", c.target, vary)
		}
		header["Origin"] = []string{"https://evil.example"}
		if got := s.do(ask{target: c.target, header: header}); len(corsOf(got.header)) > 0 {
			t.Errorf("%.40s: a page of another origin got %v", c.target, corsOf(got.header))
		}
	}
}

func TestCORS_EveryDocumentedHeader(t *testing.T) {
	s := start(t, withOrigins)
	exposed := s.do(ask{target: "/health", header: http.Header{"Origin": {dashboard}}}).header.Get("Access-Control-Expose-Headers")
	// Headers that a browser always shows or handles itself, and those for proxies or people only.
	exempt := []string{"Allow", "Cache-Control", "Content-Encoding", "Location", "Vary", "Www-Authenticate", "X-Accel-Buffering"}
	for name, response := range contract(t).Components.Responses {
		for header := range response.Value.Headers {
			header = http.CanonicalHeaderKey(header)
			if !slices.Contains(exempt, header) && !slices.Contains(strings.Split(exposed, ", "), header) {
				t.Errorf("%s of %s is kept from pages", header, name)
			}
		}
	}
}

func TestCORS_OffByDefault(t *testing.T) {
	s := start(t)
	got := s.do(ask{target: "/health", header: http.Header{"Origin": {dashboard}}})
	if len(corsOf(got.header)) > 0 || got.header.Get("Vary") != "" {
		t.Errorf("got %v", got.header)
	}
	// Without allowed origins, OPTIONS is not supported.
	s.do(ask{method: http.MethodOptions, target: "/health", header: http.Header{"Origin": {dashboard}, "Access-Control-Request-Method": {"GET"}}}).
		wantProblem(t, 405, "method-not-allowed")
}

func TestCORS_PreflightInLogAndMetrics(t *testing.T) {
	s := withOwnMetrics(t, withOrigins, withDebugLog)
	s.preflight("/api/rooms/MyRoom/participants", http.Header{"Origin": {dashboard}, "Access-Control-Request-Method": {"GET"}, "X-Request-Id": {testID}})
	record := s.log.records(t, 1)[0]
	if record["route"] != "preflight" || record["status"] != 204.0 || record["request_id"] != testID {
		t.Errorf("got record %v", record)
	}
	s.wantSeries(`http_request_duration_seconds_count{code="204",method="OPTIONS",route="preflight"} 1`)
	// Without Access-Control-Request-Method it is an ordinary request.
	s.do(ask{method: http.MethodOptions, target: "/health", header: http.Header{"Origin": {dashboard}}}).wantProblem(t, 405, "method-not-allowed")
}
