package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/api/keys"
)

// inVirtualTime runs f with a service in virtual time, which advances only while f sleeps.
func inVirtualTime(t *testing.T, option func(*api.Config), f func(t *testing.T, s *service)) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, option)
		defer s.CloseListener()
		f(t, s)
	})
}

// from requests a room from an address, without a network.
func from(s *service, remote, key string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://ppch/api/rooms/r/participants", nil)
	r.RemoteAddr = remote
	r.Header.Set("X-API-Key", key)
	s.Handler().ServeHTTP(w, r)
	return w
}

// withRateLimit sets a key and how often it may be used.
func withRateLimit(key string, rate int) func(*api.Config) {
	return func(cfg *api.Config) { cfg.Keys = keyring(keys.KeyringConfig{Key: key, Rate: rate}) }
}

func TestRateLimit_PerKey(t *testing.T) {
	inVirtualTime(t, withRateLimit(testKey, 60), func(t *testing.T, s *service) {
		for i := range 120 {
			got := from(s, "10.0.0.1:1", testKey)
			if got.Code != 200 {
				t.Fatalf("request %d got %d want 200", i+1, got.Code)
			}
			if low := got.Header().Get("RateLimit") != ""; low != (i >= 60) {
				t.Errorf("request %d: got RateLimit: %t, want it below half", i+1, low)
			}
		}
		got := from(s, "10.0.0.1:1", testKey)
		if h := got.Header(); got.Code != 429 || h.Get("Retry-After") != "1" || h.Get("RateLimit") != `"key";r=0;t=1` || h.Get("RateLimit-Policy") != `"key";q=120;w=2` {
			t.Errorf("got %d %v", got.Code, h)
		}
		time.Sleep(time.Second)
		if got := from(s, "10.0.0.1:1", testKey); got.Code != 200 {
			t.Errorf("after Retry-After got %d want 200", got.Code)
		}
	})
}

func TestRateLimit_HeadersBelowHalf(t *testing.T) {
	inVirtualTime(t, withRateLimit(testKey, 1), func(t *testing.T, s *service) { // two at once
		if got := from(s, "10.0.0.1:1", testKey).Header().Get("RateLimit"); got != "" {
			t.Errorf("got %q with half of it left", got)
		}
		if got := from(s, "10.0.0.1:1", testKey).Header().Get("RateLimit"); got != `"key";r=0;t=2` {
			t.Errorf("got %q", got)
		}
	})
}

func TestRateLimit_KeysAreIndependent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	check(t, os.WriteFile(path, []byte(apitest.KeyLine("a", "name=a scope=all")+apitest.KeyLine("b", "name=b scope=metrics")), 0o600))
	inVirtualTime(t, func(cfg *api.Config) { cfg.Keys = keyring(keys.KeyringConfig{File: path, Names: names, Rate: 1}) }, func(t *testing.T, s *service) {
		for i, want := range []int{200, 200, 429} {
			if got := from(s, "10.0.0.1:1", "a").Code; got != want {
				t.Errorf("request %d with a: got %d want %d", i+1, got, want)
			}
		}
		for i, want := range []int{403, 403, 429} {
			if got := from(s, "10.0.0.1:1", "b").Code; got != want {
				t.Errorf("request %d with b, which lacks the scope: got %d want %d", i+1, got, want)
			}
		}
	})
}

func TestRateLimit_WrongKeysPerAddress(t *testing.T) {
	inVirtualTime(t, nil, func(t *testing.T, s *service) {
		for i := range 10 {
			if got := from(s, "192.0.2.1:1000", "guess").Code; got != 403 {
				t.Fatalf("guess %d got %d want 403", i+1, got)
			}
		}
		held := from(s, "192.0.2.1:2000", "another guess")
		if h := held.Header(); held.Code != 429 || h.Get("Retry-After") != "6" || h.Get("RateLimit") != `"wrong-keys";r=0;t=6` || h.Get("RateLimit-Policy") != `"wrong-keys";q=10;w=60` {
			t.Errorf("got %d %v want a wait of 6 s", held.Code, h)
		}
		if got := from(s, "192.0.2.2:1000", "guess").Code; got != 403 {
			t.Errorf("another address got %d want 403", got)
		}
		if got := from(s, "192.0.2.1:1000", "").Code; got != 401 {
			t.Errorf("a request without key got %d want 401", got)
		}
		if got := from(s, "192.0.2.1:1000", testKey).Code; got != 200 {
			t.Errorf("a long key got %d want 200: behind a proxy all clients have one address", got)
		}
		time.Sleep(6 * time.Second)
		for i, want := range []int{403, 429} {
			if got := from(s, "192.0.2.1:1000", "guess").Code; got != want {
				t.Errorf("after 6 s, guess %d got %d want %d", i+1, got, want)
			}
		}
	})
}

func TestRateLimit_ShortKeyIsBlockedWithItsAddress(t *testing.T) {
	const short = "hunter2"
	inVirtualTime(t, withRateLimit(short, 0), func(t *testing.T, s *service) {
		for range 20 {
			from(s, "192.0.2.1:1000", "guess")
		}
		if got := from(s, "192.0.2.1:1000", short).Code; got != 429 {
			t.Errorf("got %d want 429, or guessing could continue", got)
		}
		if got := from(s, "192.0.2.2:1000", short).Code; got != 200 {
			t.Errorf("another address got %d want 200", got)
		}
	})
}

func TestRateLimit_AddressPrefix(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1/32", "[::ffff:192.0.2.1]:80": "192.0.2.1/32", "[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[2001:db8:1:2::1]:80": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64", "@": "invalid Prefix", "": "invalid Prefix",
	} {
		if got := api.Origin(remote); got != want {
			t.Errorf("%s: got %s want %s", remote, got, want)
		}
	}
}

func TestRateLimit_IgnoresForwardedAddresses(t *testing.T) {
	s := start(t)
	var last int
	for i := range 11 {
		last = s.do(ask{target: "/api/rooms/r/participants", header: http.Header{
			"X-Api-Key": {"guess"}, "X-Forwarded-For": {fmt.Sprintf("10.0.0.%d", i)}, "Forwarded": {fmt.Sprintf("for=10.0.0.%d", i)},
		}}).status
	}
	if last != 429 {
		t.Errorf("got %d want 429 for one connection with any forwarded address", last)
	}
}

// BenchmarkAuthorize measures the cost of a key per request.
func BenchmarkAuthorize(b *testing.B) {
	s, err := api.New(api.Config{Addr: "127.0.0.1:0", Keys: keyring(keys.KeyringConfig{Key: testKey, Rate: 1e9}), Directory: healthyConnection().directory()})
	check(b, err)
	defer s.CloseListener()
	b.Run("one caller", func(b *testing.B) {
		b.ReportAllocs()
		authorize := s.Authorizer(testKey)
		for b.Loop() {
			if err := authorize(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many callers with one key", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			authorize := s.Authorizer(testKey)
			for pb.Next() {
				if err := authorize(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
