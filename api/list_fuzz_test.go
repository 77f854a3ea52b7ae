package api_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"ppch/api"
	"ppch/api/keys"
)

// FuzzListQuery sends any query: the response is a list or a problem.
func FuzzListQuery(f *testing.F) {
	for _, query := range []string{
		"", "limit=1", "type=all&expand=occupants&sort=participants&order=asc&limit=1", "tenant=&q=%C3%A9&min_participants=2",
		"name=a&name=%5Bacme%5Dplanning&expand=occupants", "limit=99999999999999999999", "sort=size", "a;b", "%zz=%", "cursor=e30",
	} {
		f.Add(query)
	}
	for _, plain := range []string{
		`{"Sort":{"By":0},"Position":{"Key":0,"Address":"a@muc.meet.jitsi"}}`, `{"Sort":{"By":7},"Position":{"Address":"a"}}`,
		`{"Sort":{"By":1,"Backwards":true},"Listing":18446744073709551615,"Index":9,"Position":{"Key":-9223372036854775808,"Address":"\u0000"}}`,
	} {
		f.Add("sort=participants&cursor=" + base64.RawURLEncoding.EncodeToString([]byte(plain)))
		f.Add("cursor=" + base64.RawURLEncoding.EncodeToString([]byte(plain)))
	}
	d := several()
	d.MaxStaleness = forever
	server, err := api.New(api.Config{
		Addr: "127.0.0.1:0", Keys: keyring(keys.KeyringConfig{Key: testKey}), Names: namesOf(mainDomain, breakoutDomain, lobbyDomain),
		Directory: d,
	})
	check(f, err)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/api/rooms", nil)
		r.URL.RawQuery = query
		r.RequestURI = "/api/rooms?" + query
		r.Header.Set("X-API-Key", testKey)
		w := httptest.NewRecorder()
		server.Handler().ServeHTTP(w, r)
		switch w.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusRequestURITooLong:
		default:
			t.Errorf("got %d for %q", w.Code, query)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("got %q", w.Body)
		}
	})
}
