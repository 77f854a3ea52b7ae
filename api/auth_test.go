package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestKey_WhereItIsAccepted(t *testing.T) {
	t.Parallel()
	const path = "/api/rooms/r/participants"
	cases := []struct {
		name       string
		target     string
		header     http.Header
		wantStatus int
	}{
		{"the key in X-API-Key", path, http.Header{}, 200},
		{"the key as bearer token", path, http.Header{"X-Api-Key": nil, "Authorization": {"Bearer " + testKey}}, 200},
		{"the scheme in lower case", path, http.Header{"X-Api-Key": nil, "Authorization": {"bearer " + testKey}}, 200},
		{"the key, and credentials for a proxy", path, http.Header{"Authorization": {"Basic dTpw"}}, 200},
		{"X-API-Key has priority over a foreign bearer token", path, http.Header{"Authorization": {"Bearer other"}}, 200},
		{"a wrong X-API-Key has priority too", path, http.Header{"X-Api-Key": {"x"}, "Authorization": {"Bearer " + testKey}}, 403},
		{"an empty X-API-Key is ignored", path, http.Header{"X-Api-Key": {""}, "Authorization": {"Bearer " + testKey}}, 200},
		{"no key", path, http.Header{"X-Api-Key": nil}, 401},
		{"an empty key", path, http.Header{"X-Api-Key": {""}}, 401},
		{"an empty bearer token", path, http.Header{"X-Api-Key": nil, "Authorization": {"Bearer "}}, 401},
		{"a scheme without token", path, http.Header{"X-Api-Key": nil, "Authorization": {"Bearer"}}, 401},
		{"the key under another scheme", path, http.Header{"X-Api-Key": nil, "Authorization": {"Basic " + testKey}}, 401},
		{"the key in the query", path + "?api_key=" + testKey + "&key=" + testKey, http.Header{"X-Api-Key": nil}, 401},
		{"another key", path, http.Header{"X-Api-Key": {"wrong"}}, 403},
		{"another key as bearer token", path, http.Header{"X-Api-Key": nil, "Authorization": {"Bearer wrong"}}, 403},
		{"a prefix of the key", path, http.Header{"X-Api-Key": {testKey[:5]}}, 403},
		{"the key with a suffix", path, http.Header{"X-Api-Key": {testKey + "x"}}, 403},
		{"the key in another case", path, http.Header{"X-Api-Key": {strings.ToUpper(testKey)}}, 403},
		{"an impossible room without key", "/api/rooms/%5B/participants", http.Header{"X-Api-Key": nil}, 401},
		{"an unknown path without key", "/api/secrets", http.Header{"X-Api-Key": nil}, 404},
		{"an unknown path with a wrong key", "/api/secrets", http.Header{"X-Api-Key": {"x"}}, 404},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			s := start(t, withRooms(func(_ context.Context, room jid.JID) (occupancy.Room, error) {
				asked++
				return absent(context.Background(), room)
			}))
			got := s.do(ask{target: c.target, header: c.header})
			if got.status != c.wantStatus {
				t.Errorf("got %d, want %d", got.status, c.wantStatus)
			}
			if want := got.status == 200; (asked == 1) != want {
				t.Errorf("looked the room up %d times with status %d", asked, got.status)
			}
			if challenge := got.header.Get("WWW-Authenticate"); (challenge != "") != (got.status == 401) {
				t.Errorf("got challenge %q with status %d", challenge, got.status)
			}
		})
	}
}

func TestKey_WrongKeysGetTheSameResponse(t *testing.T) {
	s := start(t)
	var bodies []string
	for _, key := range []string{"x", testKey[:len(testKey)-1], testKey + testKey, strings.Repeat("k", 4000)} {
		bodies = append(bodies, string(s.do(ask{target: "/api/rooms/r/participants", header: http.Header{"X-Api-Key": {key}}}).body))
	}
	for _, body := range bodies[1:] {
		if body != bodies[0] {
			t.Errorf("got %s, want %s", body, bodies[0])
		}
	}
}

func TestKey_NeverLogged(t *testing.T) {
	s := start(t, withDebugLog)
	for _, header := range []http.Header{
		{"X-Api-Key": {testKey}},
		{"X-Api-Key": nil, "Authorization": {"Bearer " + testKey}},
		{"X-Api-Key": {testKey + "-almost"}},
	} {
		s.do(ask{target: "/api/rooms/r/participants?key=" + testKey, header: header})
	}
	s.log.records(t, 3)
	if log := s.log.String(); strings.Contains(log, testKey) {
		t.Errorf("the log has the key: %s", log)
	}
}
