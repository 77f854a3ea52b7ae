package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"ppch/api"
)

func withLegacyRoutes(cfg *api.Config) { cfg.LegacyRoutes = true }

// isLegacy reports whether a request is for one of the legacy routes.
func isLegacy(req *http.Request) bool {
	return req != nil && slices.Contains([]string{"/room-size", "/room", "/room-census"}, req.URL.Path)
}

// legacy returns a service with the legacy routes, meetings, and other options.
func legacy(t *testing.T, options ...func(*api.Config)) *service {
	t.Helper()
	return start(t, append([]func(*api.Config){withPast(several()), withLegacyRoutes}, options...)...)
}

// withToken is a request with a token in the query instead of a key.
func withToken(target string) ask {
	return ask{target: target + "&token=" + testToken, header: http.Header{"X-Api-Key": nil}}
}

func TestLegacy_AnswersLikeJitsisModules(t *testing.T) {
	s := legacy(t)
	for target, want := range map[string]string{
		"/room-size?room=standup":                                        `{"participants":1}`,
		"/room-size?room=Stand%55p&domain=meet.jitsi":                    `{"participants":1}`,
		"/room-size?room=standup&domain=muc.meet.jitsi&_=1763803740":     `{"participants":1}`,
		"/room-size?room=standup%40muc.meet.jitsi":                       `{"participants":1}`,
		"/room-size?room=Planning&domain=meet.jitsi&subdomain=Acme":      `{"participants":2}`,
		"/room-size?room=acme%2Fplanning":                                `{"participants":2}`,
		"/room-size?room=%5Bacme%5Dplanning&domain=meet.jitsi&subdomain": `{"participants":2}`,
		"/room?room=standup":                                             `[{"jid":"standup@muc.meet.jitsi/5e0c77aa","email":"","display_name":"Alan"}]`,
		"/room-census": `{"room_census":[{"room_name":"[acme]planning@muc.meet.jitsi","participants":2,"created_time":"1795338000125"},` +
			`{"room_name":"standup@muc.meet.jitsi","participants":1,"created_time":"1795338600125"}]}`,
	} {
		if got := s.get(target); got.status != http.StatusOK || string(got.body) != want+"\n" || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s want %s", target, got.status, got.body, want)
		}
	}
}

func TestLegacy_IsOffByDefault(t *testing.T) {
	s := start(t, withPast(several()))
	for _, path := range []string{"/room-size?room=standup", "/room?room=standup", "/room-census"} {
		s.get(path).wantProblem(t, http.StatusNotFound, "not-found")
	}
}

func TestLegacy_Errors(t *testing.T) {
	s := legacy(t, withBoth(withPast(several()), withKeys("scope=count room=acme/*")))
	for _, tt := range []struct {
		target, code string
		status       int
	}{
		{"/room-size?room=acme/empty", "room-not-open", http.StatusNotFound},
		{"/room-size?room=standup", "room-not-allowed", http.StatusForbidden},
		{"/room-size?room=never", "room-not-allowed", http.StatusForbidden},
		{"/room-size", "bad-parameter", http.StatusBadRequest},
		{"/room-size?room=a&room=b", "bad-parameter", http.StatusBadRequest},
		{"/room-size?room=a%zz", "bad-parameter", http.StatusBadRequest},
		{"/room-size?room=a%5Bb", "bad-room-name", http.StatusBadRequest},
		{"/room-size?room=planning&domain=meet.example.com", "domain-not-watched", http.StatusBadRequest},
		{"/room?room=acme/planning", "scope-missing", http.StatusForbidden},
	} {
		s.get(tt.target).wantProblem(t, tt.status, tt.code)
	}
	if got := s.get("/room-census"); !strings.Contains(string(got.body), "[acme]planning") || strings.Contains(string(got.body), "standup") {
		t.Errorf("a key limited to acme got %s", got.body)
	}
	noKey := http.Header{"X-Api-Key": nil}
	s.do(ask{target: "/room-census", header: noKey}).wantProblem(t, http.StatusUnauthorized, "missing-key")
	// An API key in the URL would end up in logs: only the token of a share link may be there.
	s.do(ask{target: "/room-census?token=" + testKey, header: noKey}).wantProblem(t, http.StatusForbidden, "wrong-share-link")
}

// The clients of these routes take a 404 for an empty room, so an unknown number and an invalid token must be something else.
func TestLegacy_NeverClaimsAnEmptyRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		given  func(*api.Config)
		asked  ask
		status int
		code   string
	}{
		"a lost connection":                       {withConnection(lostConnection()), ask{target: "/room-size?room=standup"}, http.StatusServiceUnavailable, "prosody-unavailable"},
		"a list during a lost connection":         {withConnection(lostConnection()), ask{target: "/room-census"}, http.StatusServiceUnavailable, "prosody-unavailable"},
		"hidden rooms":                            {withRooms(fails(hides)), ask{target: "/room-size?room=standup"}, http.StatusServiceUnavailable, "count-unknown"},
		"a number that includes Jitsi's services": {withRooms(inexact), ask{target: "/room-size?room=standup"}, http.StatusServiceUnavailable, "count-unknown"},
		"a withdrawn link":                        {nil, withToken("/room-size?room=standup"), http.StatusForbidden, "wrong-share-link"},
		"an expired link":                         {withLink("expires=2025-12-31"), withToken("/room-size?room=standup"), http.StatusForbidden, "share-link-expired"},
	} {
		t.Run(name, func(t *testing.T) {
			legacy(t, tt.given).do(tt.asked).wantProblem(t, tt.status, tt.code)
		})
	}
}

func TestLegacy_AcceptsShareTokens(t *testing.T) {
	numbers := legacy(t, withLink("room=standup"))
	names := legacy(t, withLink("room=standup scope=share,participants"))
	for target, want := range map[string]string{
		"/room-size?room=standup&": `{"participants":1}`,
		"/room-census?":            `{"room_census":[{"room_name":"standup@muc.meet.jitsi","participants":1,"created_time":"1795338600125"}]}`,
	} {
		for _, s := range []*service{numbers, names} {
			same(t, target, want+"\n", string(s.do(withToken(target)).body))
		}
	}
	numbers.do(withToken("/room?room=standup")).wantProblem(t, http.StatusForbidden, "scope-missing")
	if got := names.do(withToken("/room?room=standup")); !strings.Contains(string(got.body), `"display_name":"Alan"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	numbers.do(withToken("/room-size?room=acme/planning")).wantProblem(t, http.StatusForbidden, "room-not-allowed")
	// On every other route a token in the query is no key.
	names.do(withToken("/api/rooms?name=standup")).wantProblem(t, http.StatusUnauthorized, "missing-key")
	if log := numbers.log.String() + names.log.String(); strings.Contains(log, testToken) {
		t.Errorf("the log has the token:\n%s", log)
	}
}
