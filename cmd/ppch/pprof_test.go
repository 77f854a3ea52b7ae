package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
)

// Profiles work without Prosody.
func TestProfiles_OwnAddressOnly(t *testing.T) {
	t.Parallel()
	s := runService(t, variables{
		"PPCH_API_KEY": testKey, "PPCH_COMPONENT_SECRET": "s3cret", "PPCH_PORT": "0",
		"PROSODY_URL": "xmpp://127.0.0.1:1", "PPCH_PPROF_ADDR": "127.0.0.1:0", "PPCH_HOSTS": "ppch.example.com",
	})
	if got := s.get("/debug/pprof/", "X-API-Key", testKey); got.status != http.StatusNotFound {
		t.Errorf("the API got %d want no profiles there", got.status)
	}
	var at string
	for _, r := range s.log.Records(t) {
		if r["msg"] == "serving profiles" {
			at = r["listen"].(string)
		}
	}
	if at == "" {
		t.Fatalf("the log got %s want the address of the profiles", s.log.String())
	}
	profiles := &service{t: t, url: "http://" + at, client: s.client}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/profile?seconds=1", "/debug/pprof/heap", "/debug/pprof/goroutine", "/debug/pprof/trace?seconds=0.1"} {
		if got := profiles.get(path); got.status != http.StatusOK || got.body == "" {
			t.Errorf("%s got %d and %d bytes want a profile", path, got.status, len(got.body))
		}
	}
	for host, want := range map[string]int{"evil.example.com": http.StatusMisdirectedRequest, "localhost": http.StatusOK, "ppch.example.com": http.StatusOK} {
		req := must(http.NewRequest(http.MethodGet, profiles.url+"/debug/pprof/", nil))(t)
		req.Host = host
		resp := must(s.client.Do(req))(t)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("host name %s got %d want %d", host, resp.StatusCode, want)
		}
	}
	for _, path := range []string{"/", "/health", "/api/rooms"} {
		if got := profiles.get(path, "X-API-Key", testKey); got.status != http.StatusNotFound {
			t.Errorf("%s got %d want only profiles", path, got.status)
		}
	}

	// A running trace does not delay the stop.
	patient := &service{t: t, url: profiles.url, client: &http.Client{Transport: s.client.Transport}}
	asked := make(chan error, 1)
	go func() {
		_, err := patient.try(t.Context(), "/debug/pprof/trace?seconds=40")
		asked <- err
	}()
	eventually(t, 10*time.Second, "a trace is running", func() bool {
		return strings.Contains(profiles.get("/debug/pprof/goroutine?debug=1").body, "pprof.Trace")
	})
	if err := s.stop(); err != nil {
		t.Errorf("run got %v want nil", err)
	}
	if err := <-asked; err == nil {
		t.Error("a trace of 40 s ended before the service")
	}
}

func TestProfiles_TakenAddress(t *testing.T) {
	t.Parallel()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	var log logBuffer
	env := withoutProsody()
	env["PPCH_PPROF_ADDR"] = l.Addr().String()
	err := run(t.Context(), envconfig.MapLookuper(env), &log)
	if err == nil || !strings.HasPrefix(err.Error(), "PPCH_PPROF_ADDR: ") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v want the address that is in use", err)
	}
}
