package api_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestRequestID_AcceptedOrReplaced(t *testing.T) {
	cases := []struct {
		name     string
		id       string
		wantSame bool
	}{
		{"a valid id is used", "Trace-01.a_b", true},
		{"an id of 64 characters is used", strings.Repeat("a", 64), true},
		{"a longer id is replaced", strings.Repeat("a", 65), false},
		{"a missing id is created", "", false},
		{"an id with a space is replaced", "a b", false},
		{"an id with markup is replaced", "<b>", false},
		{"an id outside ASCII is replaced", "é", false},
	}
	s := start(t)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := s.do(ask{target: "/nowhere", header: http.Header{"X-Request-Id": {c.id}}})
			id := got.header.Get("X-Request-ID")
			if (id == c.id) != c.wantSame || !regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`).MatchString(id) {
				t.Errorf("got %q for %q", id, c.id)
			}
			problem := got.wantProblem(t, http.StatusNotFound, "not-found")
			if problem["request_id"] != id || problem["instance"] != "urn:ppch:request:"+id {
				t.Errorf("got %v and %v, want %s", problem["request_id"], problem["instance"], id)
			}
			if record := s.log.records(t, i+1)[i]; record["request_id"] != id {
				t.Errorf("logged %v, want %s", record["request_id"], id)
			}
		})
	}
}

func TestLog_Request(t *testing.T) {
	cases := []struct {
		name      string
		asked     ask
		wantRoute string
		wantCode  float64
		wantLevel string
	}{
		{"an answer", ask{target: "/api/rooms/Secret%20Plan/participants"}, "/api/rooms/{room_name}/participants", 200, "DEBUG"},
		{"HEAD", ask{method: http.MethodHead, target: "/api/rooms/Secret%20Plan/participants"}, "/api/rooms/{room_name}/participants", 200, "DEBUG"},
		{"an impossible name", ask{target: "/api/rooms/Secret%5BPlan/participants"}, "/api/rooms/{room_name}/participants", 400, "INFO"},
		{"an unknown path", ask{target: "/Secret%20Plan"}, "unmatched", 404, "INFO"},
		{"an unsupported method", ask{method: http.MethodPut, target: "/health"}, "unmatched", 405, "INFO"},
		{"a URI that never reached the router", ask{target: "/" + tooLong}, "unmatched", 414, "INFO"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, withDebugLog)
			got := s.do(c.asked)
			record := s.log.records(t, 1)[0]
			if record["route"] != c.wantRoute || record["status"] != c.wantCode || record["level"] != c.wantLevel || record["msg"] != "request answered" {
				t.Errorf("got %v, want route %s, status %v and %s", record, c.wantRoute, c.wantCode, c.wantLevel)
			}
			if c.asked.method == "" && record["bytes"] != float64(len(got.body)) {
				t.Errorf("got %v bytes, want %d", record["bytes"], len(got.body))
			}
			for _, key := range []string{"method", "duration", "request_id", "remote"} {
				if record[key] == nil {
					t.Errorf("%s is missing: %v", key, record)
				}
			}
		})
	}
}

func TestLog_NoRoomAtInfo(t *testing.T) {
	s := start(t)
	s.get("/api/rooms/Secret%20Plan/participants")
	s.get("/api/rooms/Secret%5BPlan/participants")
	if s.log.records(t, 1); strings.Contains(s.log.String(), "Secret") {
		t.Errorf("the log names the room at Info: %s", s.log)
	}
}

func TestLog_RoomAtDebug(t *testing.T) {
	s := start(t, withDebugLog)
	s.get("/api/rooms/Secret%20Plan%0a/participants")
	if record := s.log.records(t, 1)[0]; record["path"] != "/api/rooms/Secret%20Plan%0a/participants" {
		t.Errorf("got %v, want the escaped path", record)
	}
}

func TestServer_KeepsConnections(t *testing.T) {
	s := start(t, withDebugLog)
	var remotes []any
	for range 5 {
		s.get("/livez")
		s.get("/nowhere")
	}
	for _, record := range s.log.records(t, 10) {
		remotes = append(remotes, record["remote"])
	}
	if got := len(slices.CompactFunc(remotes, func(a, b any) bool { return a == b })); got != 1 {
		t.Errorf("got %d connections, want 1", got)
	}
}
