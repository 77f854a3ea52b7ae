package api_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// links finds the links and files of a page.
var links = regexp.MustCompile(`(?:src|href|data-document)="([^"]*)"`)

func TestDocs_LoadsOnlyOwnFiles(t *testing.T) {
	s := start(t)
	for _, page := range []string{"/docs", "/docs/"} {
		t.Run(page, func(t *testing.T) {
			got := s.do(ask{target: page, header: http.Header{"X-Api-Key": nil}})
			if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatalf("got %d %s", got.status, got.header.Get("Content-Type"))
			}
			base := must(url.Parse(s.url(page)))(t)
			found := links.FindAllSubmatch(got.body, -1)
			if len(found) < 5 {
				t.Fatalf("got %d links in %s", len(found), got.body)
			}
			for _, link := range found {
				target, err := base.Parse(string(link[1]))
				if err != nil || target.Host != base.Host || strings.HasPrefix(string(link[1]), "/") {
					t.Errorf("link %s leads elsewhere, or wouldn't work below a proxy's path (%v)", link[1], err)
					continue
				}
				if file := s.do(ask{target: target.Path, header: http.Header{"X-Api-Key": nil}}); file.status != 200 || len(file.body) == 0 {
					t.Errorf("link %s: got %d", link[1], file.status)
				}
			}
			policy := got.header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "script-src 'self';", "connect-src 'self'"} {
				if !strings.Contains(policy, part) {
					t.Errorf("got policy %q, want %s", policy, part)
				}
			}
			if strings.Contains(policy, "http") || regexp.MustCompile(`<script>|<style| on\w+=`).Match(got.body) {
				t.Errorf("the page needs more than its policy %q should allow: %s", policy, got.body)
			}
		})
	}
}

func TestDocs_UsesNoRemoteValidator(t *testing.T) {
	if got := start(t).get("/docs/docs.js"); !bytes.Contains(got.body, []byte("validatorUrl: null")) {
		t.Errorf("got %s, want no validator: Swagger UI's default is validator.swagger.io", got.body)
	}
}

func TestFiles_CompressedOrNot(t *testing.T) {
	s := start(t)
	cases := []struct {
		name     string
		accepts  string
		wantGzip bool
	}{
		{"a browser", "gzip, deflate, br, zstd", true},
		{"upper case and a weight", "br;q=1.0, GZIP; q=0.5", true},
		{"a client that refuses gzip", "gzip;q=0", false},
		{"a client without Accept-Encoding", "", false},
		{"an unknown coding with a similar name", "x-gzip-not", false},
		{"an invalid weight", "gzip;q=high", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, file := range []string{"swagger-ui.css", "swagger-ui-bundle.js"} {
				got := s.do(ask{target: "/docs/" + file, header: http.Header{"Accept-Encoding": {c.accepts}}})
				body := got.body
				if zipped := got.header.Get("Content-Encoding") == "gzip"; zipped != c.wantGzip {
					t.Fatalf("got gzip: %t, want %t", zipped, c.wantGzip)
				} else if zipped {
					body = unzip(t, body)
				}
				if !bytes.Contains(body, []byte("swagger-ui")) || got.header.Get("Vary") != "Accept-Encoding" {
					t.Errorf("got %.40q, Vary %q", body, got.header.Get("Vary"))
				}
			}
		})
	}
}

func unzip(t *testing.T, data []byte) []byte {
	t.Helper()
	z := must(gzip.NewReader(bytes.NewReader(data)))(t)
	plain := must(io.ReadAll(z))(t)
	return plain
}

func TestFiles_Revalidation(t *testing.T) {
	s := start(t)
	tag := s.get("/openapi.json").header.Get("ETag")
	cases := []struct {
		name        string
		ifNoneMatch string
		wantStatus  int
	}{
		{"the current tag", tag, 304},
		{"the current tag as a strong one", strings.TrimPrefix(tag, "W/"), 304},
		{"one of several tags", `"other", ` + tag, 304},
		{"any", "*", 304},
		{"another", `W/"0000000000000000"`, 200},
		{"none", "", 200},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := s.do(ask{target: "/openapi.json", header: http.Header{"If-None-Match": {c.ifNoneMatch}}})
			if got.status != c.wantStatus || got.header.Get("ETag") != tag {
				t.Errorf("got %d %s, want %d %s", got.status, got.header.Get("ETag"), c.wantStatus, tag)
			}
		})
	}
}
