package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"ppch/prosody/prosodytest"
)

// The API keys of every service: one with all scopes, one with the scope count.
const (
	key      = "Correct-Horse-Battery-Staple"
	countKey = "ppch_B4AFLPN2TTFIVPCKM4NUM3MDF3"
	keysLine = "name=counter sha256=2e453a1c19730cc2e3bec31a4743b20eb07f464af75b3233cb73d4ea8d24756c scope=count\n"
)

// service is a running ppch.
type service struct {
	url  string
	cmd  *exec.Cmd
	log  string
	gone <-chan struct{}
}

// service starts PPCH for srv, watching domains (by default the main MUC domain), and returns at once.
func (t *trial) service(srv *prosodytest.Server, domains ...string) *service {
	return t.serviceWith(srv, nil, domains...)
}

// serviceWith is service with additional environment variables.
func (t *trial) serviceWith(srv *prosodytest.Server, env []string, domains ...string) *service {
	watched := srv.Domains.MUC
	if len(domains) > 0 {
		watched = domains[0]
	}
	return t.launch(append([]string{
		"PROSODY_URL=xmpp://" + srv.ComponentAddr(),
		"PPCH_COMPONENT_DOMAIN=" + srv.Domains.Component,
		"PPCH_COMPONENT_SECRET=" + srv.Secret(),
		"MUC_DOMAIN=" + watched,
	}, env...))
}

// launch starts PPCH with these environment variables and those that all services share, and returns at once.
func (t *trial) launch(env []string) *service {
	port := strconv.Itoa(must(prosodytest.FreePort())(t))
	keys := filepath.Join(t.dir, "keys")
	t.check(os.WriteFile(keys, []byte(keysLine), 0o600))
	s := &service{url: "http://127.0.0.1:" + port, cmd: exec.Command(t.program), log: filepath.Join(t.dir, "ppch-"+port+".log")} // #nosec G204 -- the program built by this run
	log := must(os.Create(s.log))(t)
	defer log.Close() // the process has its own copy
	s.cmd.Stderr = log
	s.cmd.Env = append([]string{"PPCH_API_KEY=" + key, "PPCH_API_KEYS_FILE=" + keys, "PPCH_RATE_LIMIT=0", "PPCH_PORT=" + port}, env...)
	s.gone = must(prosodytest.Tie(s.cmd))(t)
	t.cleanup(s.stop)
	return s
}

// ready waits until the service is ready, polling every millisecond.
func (t *trial) ready(s *service) {
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	for {
		a, err := get(ctx, s.url+"/readyz", "")
		if err == nil && a.Status == http.StatusOK {
			return
		}
		select {
		case <-s.gone:
			log, _ := os.ReadFile(s.log)
			t.check(fmt.Errorf("the service ended: %s\n%s", s.cmd.ProcessState, log))
		case <-ctx.Done():
			log, _ := os.ReadFile(s.log)
			t.check(fmt.Errorf("the service is not ready: %w\n%s", ctx.Err(), log))
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *service) pid() int { return s.cmd.Process.Pid }

// stop kills the service, even if it is frozen.
func (s *service) stop() {
	_ = s.cmd.Process.Kill()
	<-s.gone
}

func (s *service) signal(sig syscall.Signal) error { return s.cmd.Process.Signal(sig) }

// room returns the URL of a room's participants.
func (s *service) room(name string) string { return s.url + "/api/rooms/" + name + "/participants" }

// answer is an HTTP answer.
type answer struct {
	Asked  string      `json:"asked"` // path and query
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// client sends requests like wrk: without compression, on persistent connections.
var client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4}, Timeout: time.Minute}

// get requests a URL with apiKey, unless that is empty, and headers as pairs of name and value.
func get(ctx context.Context, url, apiKey string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	if apiKey != "" {
		req.Header.Set("X-API-Key", apiKey)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Header.Del("Date") // the bare handler sets its own
	return answer{req.URL.RequestURI(), resp.StatusCode, resp.Header, body}, errors.Join(err, resp.Body.Close())
}
