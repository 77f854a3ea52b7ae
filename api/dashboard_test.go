package api_test

import (
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
)

// anybody sends no key.
var anybody = http.Header{"X-Api-Key": nil}

// inline finds inline scripts, styles and event handlers of a page.
var inline = regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style| style=| on\w+=|javascript:`)

func TestDashboard_NeedsNoKeyAndLoadsOnlyOwnFiles(t *testing.T) {
	s := start(t)
	page := s.do(ask{target: "/dashboard/", header: anybody})
	if page.status != 200 || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("got %d %s", page.status, page.header.Get("Content-Type"))
	}
	found := links.FindAllSubmatch(page.body, -1)
	if len(found) < 2 {
		t.Fatalf("got %d links in %s", len(found), page.body)
	}
	for _, link := range found {
		if strings.HasPrefix(string(link[1]), "#") {
			continue
		}
		// Links must also work below a proxy's path, where the page is one folder deeper.
		at, err := (&url.URL{Path: "/below/dashboard/"}).Parse(string(link[1]))
		if err != nil || at.Host != "" || !strings.HasPrefix(at.Path, "/below/") {
			t.Errorf("link %s leads elsewhere, or wouldn't work below a proxy's path (%v)", link[1], err)
			continue
		}
		if got := s.do(ask{target: strings.TrimPrefix(at.Path, "/below"), header: anybody}); got.status != 200 || len(got.body) == 0 {
			t.Errorf("link %s: got %d", link[1], got.status)
		}
	}
	if bad := inline.Find(page.body); bad != nil {
		t.Errorf("the page has %q, which its policy forbids", bad)
	}
}

func TestDashboard_ContentTypes(t *testing.T) {
	s := start(t)
	files, err := os.ReadDir("web/dashboard")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml", "png": "image/png"}
	elsewhere := regexp.MustCompile(`https?://[^\s"'()]+`)
	weight := 0
	for _, file := range files {
		data, err := os.ReadFile("web/dashboard/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		zipped := s.do(ask{target: "/dashboard/" + file.Name(), header: http.Header{"X-Api-Key": nil, "Accept-Encoding": {"gzip"}}})
		if zipped.header.Get("Content-Encoding") != "gzip" || string(unzip(t, zipped.body)) != string(data) {
			t.Errorf("%s: got another file with gzip", file.Name())
		}
		weight += len(zipped.body)
		got := s.do(ask{target: "/dashboard/" + file.Name(), header: anybody})
		_, kind, _ := strings.Cut(file.Name(), ".")
		if got.status != 200 || string(got.body) != string(data) || got.header.Get("Content-Type") != types[kind] {
			t.Errorf("%s: got %d %s, %d of %d bytes", file.Name(), got.status, got.header.Get("Content-Type"), len(got.body), len(data))
		}
		for _, part := range []string{
			"default-src 'none';", "script-src 'self';", "style-src 'self';", "img-src 'self';", "connect-src 'self';",
			"base-uri 'none';", "form-action 'none';", "frame-ancestors 'none'",
		} {
			if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, part) || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: got policy %q, want %s", file.Name(), policy, part)
			}
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: got %v", file.Name(), got.header)
		}
		for _, address := range elsewhere.FindAllString(string(data), -1) {
			if !strings.HasPrefix(address, "http://www.w3.org/") { // the names of SVG and XLink, which are never loaded
				t.Errorf("%s has the address %s", file.Name(), address)
			}
		}
	}
	if weight > 80_000 {
		t.Errorf("a browser loads %d bytes of files, want at most 80 kB", weight)
	}
}

func TestDashboard_RelativeLinks(t *testing.T) {
	got := start(t).do(ask{target: "/dashboard", header: anybody})
	if got.status != http.StatusPermanentRedirect || got.header.Get("Location") != "dashboard/" {
		t.Errorf("got %d to %q", got.status, got.header.Get("Location"))
	}
}

func TestDashboard_UnknownFiles(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/dashboard/nothing.js", "/dashboard/..%2Fopenapi.yaml", "/dashboard/%2e%2e", "/dashboard//", "/dashboard/a/b", "/dashboards"} {
		s.do(ask{target: path, header: anybody}).wantProblem(t, 404, "not-found")
	}
	for _, path := range []string{"/dashboard", "/dashboard/", "/dashboard/index.html"} {
		s.do(ask{method: http.MethodPost, target: path, header: anybody}).wantProblem(t, 405, "method-not-allowed")
	}
}
