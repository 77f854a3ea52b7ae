package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
)

// oldClient reads a response like programs written for version 1:
// it ignores the status, parses the body, and expects two fields.
// A missing field is a KeyError in Python and null in jq, so never a number.
func oldClient(body []byte) (has, count any, ok bool) {
	var data map[string]any
	if err := json.Unmarshal(body, &data); err != nil {
		return nil, nil, false
	}
	has, okHas := data["has_participants"]
	count, okCount := data["participant_count"]
	return has, count, okHas && okCount
}

func TestErrors_ClientsThatIgnoreTheStatus(t *testing.T) {
	cases := []struct {
		name      string
		rooms     fakeRooms
		asked     ask
		wantHas   any
		wantCount any
		wantOK    bool
	}{
		{"a meeting is going on", occupied, ask{target: "/api/rooms/MyRoom/participants"}, true, 3.0, true},
		{"the room does not exist", absent, ask{target: "/api/rooms/MyRoom/participants"}, false, 0.0, true},
		{"Prosody is down", fails(away), ask{target: "/api/rooms/MyRoom/participants"}, nil, nil, false},
		{"rooms are loading", fails(syncing), ask{target: "/api/rooms/MyRoom/participants"}, nil, nil, false},
		{"Prosody hides the count", fails(hides), ask{target: "/api/rooms/MyRoom/participants"}, nil, nil, false},
		{"a fault", panics, ask{target: "/api/rooms/MyRoom/participants"}, nil, nil, false},
		{"the key is wrong", occupied, ask{target: "/api/rooms/MyRoom/participants", header: http.Header{"X-Api-Key": {"old"}}}, nil, nil, false},
		{"the key is missing", occupied, ask{target: "/api/rooms/MyRoom/participants", header: http.Header{"X-Api-Key": nil}}, nil, nil, false},
		{"the path is mistyped", occupied, ask{target: "/api/room/MyRoom/participants"}, nil, nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := start(t, withRooms(c.rooms)).do(c.asked)
			has, count, ok := oldClient(got.body)
			if has != c.wantHas || count != c.wantCount || ok != c.wantOK {
				t.Errorf("got %v, %v, %t, want %v, %v, %t", has, count, ok, c.wantHas, c.wantCount, c.wantOK)
			}
			if detail, isText := got.object(t)["detail"].(string); !ok && (!isText || detail == "") {
				t.Errorf("got no detail, which errors of version 1 always have: %s", got.body)
			}
		})
	}
}

func TestHead_IsGetWithoutBody(t *testing.T) {
	s := start(t, withRooms(occupied))
	for _, target := range []string{"/", "/health", "/livez", "/readyz?verbose", "/api/rooms/r/participants", "/api/rooms/r", "/api/rooms?name=r", "/openapi.json", "/docs", "/docs/", "/docs/docs.js", "/nowhere"} {
		t.Run(target, func(t *testing.T) {
			get, head := s.get(target), s.do(ask{method: http.MethodHead, target: target})
			if head.status != get.status || len(head.body) != 0 {
				t.Errorf("got %d and %d bytes, want %d and none", head.status, len(head.body), get.status)
			}
			for _, name := range []string{"Content-Type", "Content-Length", "ETag", "Cache-Control"} {
				if head.header.Get(name) != get.header.Get(name) {
					t.Errorf("got %s %q, want %q", name, head.header.Get(name), get.header.Get(name))
				}
			}
		})
	}
}

func TestHeaders_UnknownAreIgnored(t *testing.T) {
	s := start(t)
	plain := s.get("/health")
	for name, header := range map[string]http.Header{
		"an unsupported Accept": {"Accept": {"application/xml"}},
		"an odd user agent":     {"User-Agent": {"() { :;}; echo \xff"}},
		"proxy headers":         {"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"https"}, "Forwarded": {"for=x"}},
		"a foreign origin":      {"Origin": {"https://evil.example"}, "Referer": {"https://evil.example"}},
		"a range":               {"Range": {"bytes=0-1"}},
		"a hundred cookies":     {"Cookie": {string(bytes.Repeat([]byte("a=b; "), 100))}},
		"an upgrade":            {"Upgrade": {"websocket"}, "Connection": {"Upgrade"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.do(ask{target: "/health", header: header}); got.status != 200 || !bytes.Equal(got.body, plain.body) {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
}
