package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"
	"go.uber.org/goleak"

	"ppch/prosody/prosodytest"
)

// essentials returns the main fields of a room.
func essentials(a answer) map[string]any {
	few := map[string]any{"status": a.status}
	for _, field := range []string{"room_name", "exists", "participant_count", "has_participants", "room_jid", "source", "exact", "code", "reason"} {
		if v, ok := a.data[field]; ok {
			few[field] = v
		}
	}
	return few
}

func wantRoom(t *testing.T, got answer, want map[string]any) {
	t.Helper()
	if diff := cmp.Diff(want, essentials(got)); diff != "" {
		t.Errorf("the answer differs (-want +got):\n%s\nin all: %s", diff, got.body)
	}
}

// With rooms that are open to disco, any form of a room's name returns a count. It includes focus, and the response says so.
func TestServe_OpenRooms(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{DomainMapper: true})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada", "Bob")
	meeting(t, cast, srv.Room("our%20weekly%20call"), "Ada")
	meeting(t, cast, srv.TenantRoom("acme", "stand%20up"), "Ada", "Bob", "Cy")
	meeting(t, cast, srv.Room("%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82"), "Ада")
	meeting(t, cast, "x@"+srv.Domains.Breakout)
	s := runService(t, envFor(srv)).ready()

	for _, tt := range []struct {
		path, name, jid string
		count           float64
	}{
		{"planning", "planning", srv.Room("planning"), 3},
		{"Planning", "Planning", srv.Room("planning"), 3},
		{"planning@muc.meet.jitsi", "planning@muc.meet.jitsi", srv.Room("planning"), 3},
		{"Our%20Weekly%20Call", "Our Weekly Call", srv.Room("our%20weekly%20call"), 2},
		{"our%2520weekly%2520call", "our%20weekly%20call", srv.Room("our%20weekly%20call"), 2},
		{"acme%2FStand%20Up", "acme/Stand Up", srv.Room("[acme]stand%20up"), 4},
		{"%5Bacme%5Dstand%20up", "[acme]stand up", srv.Room("[acme]stand%20up"), 4},
		{"stand%20up@muc.acme.meet.jitsi", "stand up@muc.acme.meet.jitsi", srv.Room("[acme]stand%20up"), 4},
		{"%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82", "Привет", srv.Room("%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82"), 2},
		{"Привет", "Привет", srv.Room("%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82"), 2},
		{"x@breakout.meet.jitsi", "x@breakout.meet.jitsi", "x@" + srv.Domains.Breakout, 1},
	} {
		t.Run(tt.path, func(t *testing.T) {
			asked := time.Now()
			got := s.room(tt.path)
			wantRoom(t, got, map[string]any{
				"status": 200, "room_name": tt.name, "exists": true, "participant_count": tt.count, "has_participants": true,
				"room_jid": tt.jid, "source": "disco", "exact": false,
			})
			// A response is cached for a second, so it is no older, and not from the future.
			asOf, err := time.Parse(time.RFC3339, got.data["as_of"].(string))
			if age := asked.Sub(asOf); err != nil || age > 2*time.Second || time.Now().Before(asOf) {
				t.Errorf("as_of got %v, %v want the last second", got.data["as_of"], err)
			}
		})
	}
	for _, empty := range []string{"empty", "stand%20up", "acme%2Fplanning", "__jicofo-health-check-1"} {
		got := s.room(empty)
		wantRoom(t, got, map[string]any{
			"status": 200, "room_name": strings.NewReplacer("%20", " ", "%2F", "/").Replace(empty), "exists": false, "participant_count": 0.0,
			"has_participants": false, "room_jid": nil, "source": "disco", "exact": true,
		})
	}
	if got := s.get("/health"); got.status != 200 || got.data["status"] != "ok" || got.data["prosody_status"] != "ok" {
		t.Errorf("/health got %d %s want ok", got.status, got.body)
	}
}

// On a current Jitsi without the module, the service reports a room that does not exist.
// For one that does, the count is hidden: a 503 with the fix, never 0.
func TestServe_HiddenRooms(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{HideRooms: true, DomainMapper: true})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada")
	meeting(t, cast, srv.TenantRoom("acme", "planning"), "Ada")
	s := runService(t, envFor(srv)).ready()

	wantRoom(t, s.room("empty"), map[string]any{
		"status": 200, "room_name": "empty", "exists": false, "participant_count": 0.0, "has_participants": false,
		"room_jid": nil, "source": "existence", "exact": true,
	})
	for _, room := range []string{"planning", "acme%2Fplanning"} {
		got := s.room(room)
		wantRoom(t, got, map[string]any{"status": 503, "code": "count-unknown", "reason": "module-missing"})
		wantProblem(t, got, "mod_room_participants_api")
	}
	health := s.get("/health")
	if status, _ := health.data["prosody_status"].(string); health.status != 503 || !strings.HasPrefix(status, "error: ") || !strings.Contains(status, "mod_room_participants_api") {
		t.Errorf("/health got %d %s want the module named", health.status, health.body)
	}
	// Requests are answered, so a restart would not help.
	if got := s.get("/readyz"); got.status != 200 {
		t.Errorf("/readyz got %d %s want 200", got.status, got.body)
	}
}

// wantProblem requires a complete 503 for programs and people.
func wantProblem(t *testing.T, got answer, naming string) {
	t.Helper()
	detail, _ := got.data["detail"].(string)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(detail, naming) {
		t.Errorf("got %d %s: %s want a problem naming %s", got.status, got.header.Get("Content-Type"), got.body, naming)
	}
	if got.header.Get("Retry-After") == "" {
		t.Errorf("got no Retry-After with %s", got.body)
	}
	for _, field := range []string{"exists", "participant_count", "has_participants"} {
		if v, ok := got.data[field]; ok {
			t.Errorf("got %s %v of a room that nothing is known of", field, v)
		}
	}
}

// With a wrong secret, all outputs name the variable to fix, and the process keeps running: a restart would not help.
func TestServe_WrongSecret(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	env := envFor(srv)
	env["PPCH_COMPONENT_SECRET"] = "not-the-secret"
	s := runService(t, env)

	const naming = "PPCH_COMPONENT_SECRET"
	eventually(t, 10*time.Second, "the secret is refused", func() bool { return strings.Contains(s.get("/health").body, naming) })
	wantProblem(t, s.room("planning"), naming)
	health := s.get("/health")
	if status, _ := health.data["prosody_status"].(string); health.status != 503 || health.data["status"] != "error" || !strings.HasPrefix(status, "error: ") || !strings.Contains(status, naming) {
		t.Errorf("/health got %d %s want an error naming %s", health.status, health.body, naming)
	}
	if got := s.get("/readyz"); got.status != 503 || !strings.Contains(got.body, naming) {
		t.Errorf("/readyz got %d %s want 503 naming %s", got.status, got.body, naming)
	}
	if got := s.get("/livez"); got.status != 200 {
		t.Errorf("/livez got %d %s want 200", got.status, got.body)
	}
	if got := s.log.String(); !strings.Contains(got, naming) || strings.Contains(got, "not-the-secret") {
		t.Errorf("the log got %s want %s named and not shown", got, naming)
	}
}

func TestServe_TakenPort(t *testing.T) {
	t.Parallel()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	var log logBuffer
	env := withoutProsody()
	env["PPCH_PORT"] = port
	err := run(t.Context(), envconfig.MapLookuper(env), &log)
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v want the address that is in use", err)
	}
	if strings.Contains(log.String(), "ppch started") {
		t.Errorf("the log got %s want no word of a start", log.String())
	}
}

func TestServe_BadConfiguration(t *testing.T) {
	t.Parallel()
	var log logBuffer
	keys := written(t, "keys", "nonsense\n")
	err := run(t.Context(), envconfig.MapLookuper(variables{"PPCH_PORT": "none", "PPCH_API_KEYS_FILE": keys}), &log)
	if err == nil || strings.Count(err.Error(), "\n") != 4 || !strings.Contains(err.Error(), "line 1: ") || log.String() != "" {
		t.Errorf("got %v and the log %q want the port, the secret, the line of the keys file and no log", err, log.String())
	}
}

// This test is not parallel: leftovers must be its own.
func TestStop_LeavesNothing(t *testing.T) {
	srv := prosodytest.New(t, prosodytest.Options{})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada")
	before := goleak.IgnoreCurrent()
	s := runService(t, envFor(srv)).ready()
	for _, room := range []string{"planning", "empty"} {
		if got := s.room(room); got.status != 200 {
			t.Errorf("%s: got %d %s", room, got.status, got.body)
		}
	}
	// An idle keep-alive connection must not delay the stop.
	if err := s.stop(); err != nil {
		t.Errorf("run got %v want nil", err)
	}
	s.client.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}
