package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// publicName is the DNS name of the documented proxies.
const publicName = "ppch.example.com"

// proxies run a documented reverse proxy in front of s until the test ends. They return s as seen through it, as publicName.
var proxies = map[string]func(t *testing.T, s *service) *service{
	"nginx": func(t *testing.T, s *service) *service { return behindNginx(t, s, t.TempDir()) },
	"Caddy": func(t *testing.T, s *service) *service {
		address := freeAddress(t)
		cert, key := certificate(t, time.Hour, publicName)
		host, port, _ := net.SplitHostPort(address)
		_, upstream, _ := strings.Cut(s.url, "://")
		site := adapted(t, example(t, programReadme, "caddy", "ppch.example.com {"), map[string]string{
			// No authority issues a certificate for this name.
			publicName + " {": "https://" + publicName + ":" + port + " {\n\tbind " + host + "\n\ttls " + cert + " " + key,
			"127.0.0.1:8890":  upstream,
		})
		caddy := exec.Command(prosodytest.Installed(t, "caddy"), "run", "--adapter", "caddyfile", "--config",
			written(t, "Caddyfile", "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"+site))
		home := t.TempDir()
		caddy.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+filepath.Join(home, "data"), "XDG_CONFIG_HOME="+filepath.Join(home, "config"))
		inBackground(t, caddy)
		return s.through(address, cert)
	},
}

// behindNginx is nginx of proxies, with its logs access.log and error.log in dir.
func behindNginx(t *testing.T, s *service, dir string) *service {
	t.Helper()
	address := freeAddress(t)
	cert, key := certificate(t, time.Hour, publicName)
	server := adapted(t, example(t, programReadme, "nginx", "server {"), map[string]string{
		"listen 443 ssl http2;":                                "listen " + address + " ssl http2;",
		"http://127.0.0.1:8890;":                               s.url + ";",
		"/etc/letsencrypt/live/ppch.example.com/fullchain.pem": cert,
		"/etc/letsencrypt/live/ppch.example.com/privkey.pem":   key,
	})
	// Its workers run as a user that can't read the test's folders.
	config := "daemon off; user root; pid " + dir + "/pid; error_log " + dir + "/error.log; events {}\nhttp {\naccess_log " + dir + "/access.log;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	inBackground(t, exec.Command(prosodytest.Installed(t, "nginx"), "-p", dir, "-e", "stderr", "-c", written(t, "nginx.conf", config+server+"}\n")))
	return s.through(address, cert)
}

// through returns the service as seen by publicName at an address.
func (s *service) through(address, certFile string) *service {
	s.t.Helper()
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	seen := &service{t: s.t, log: s.log, url: "https://" + publicName, client: &http.Client{
		Transport: &http.Transport{ForceAttemptHTTP2: true, DialContext: dial}, Timeout: 30 * time.Second,
	}}
	seen.trust(certFile)
	s.t.Cleanup(seen.client.CloseIdleConnections)
	eventually(s.t, 10*time.Second, "the proxy answers", func() bool {
		_, err := seen.try(s.t.Context(), "/livez")
		return err == nil
	})
	return seen
}

// Responses through a proxy are the same, for all characters in room names.
func TestReadme_ReverseProxies(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, DomainMapper: true})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada", "Bob")
	meeting(t, cast, srv.Room("our%20weekly%20call"), "Ada")
	meeting(t, cast, srv.TenantRoom("acme", "stand%20up"), "Ada", "Bob", "Cy")
	meeting(t, cast, srv.Room("%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82"), "Ада", "Борис")
	env := envFor(srv)
	_, hosts, _ := strings.Cut(section(t, programReadme, "## HTTPS"), "`PPCH_HOSTS=")
	env["PPCH_HOSTS"], _, _ = strings.Cut(hosts, "`")
	s := runService(t, env).ready()

	for name, start := range proxies {
		t.Run(name, func(t *testing.T) {
			seen := start(t, s)
			for path, want := range map[string]float64{
				"planning": 2, "Our%20Weekly%20Call": 1, "our%2520weekly%2520call": 1, "acme%2FStand%20Up": 3, "acme%2fstand%20up": 3,
				"%5Bacme%5Dstand%20up": 3, "%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82": 2, "Привет": 2, "planning%2e": 0, "empty": 0,
			} {
				direct, got := s.room(path), seen.room(path)
				if got.status != 200 || got.data["participant_count"] != want || got.data["room_name"] != direct.data["room_name"] {
					t.Errorf("%s: got %d %s want %v people in %v", path, got.status, got.body, want, direct.data["room_name"])
				}
			}
			for _, impossible := range []string{"a%5Bb", "a%2F%2Fb", "planning@elsewhere.example", "%E2%80"} {
				if direct, got := s.room(impossible), seen.room(impossible); got.status != 400 || got.data["code"] != direct.data["code"] {
					t.Errorf("%s: got %d %s want what there is without the proxy: %s", impossible, got.status, got.body, direct.body)
				}
			}
			if got := seen.get("/api/rooms/planning/participants"); got.status != 401 || got.header.Get("WWW-Authenticate") == "" || got.data["code"] != "missing-key" {
				t.Errorf("without a key got %d %s", got.status, got.body)
			}
			if got := seen.get("/health"); got.status != 200 || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("/health got %d %v", got.status, got.header)
			}
			if got := seen.get("/dashboard"); got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") ||
				!strings.Contains(got.header.Get("Content-Security-Policy"), "script-src 'self'") {
				t.Errorf("/dashboard got %d %v", got.status, got.header)
			}
			// The page finds its own files.
			if got := seen.get("/docs/swagger-ui.css"); got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/css") {
				t.Errorf("/docs got %d %v", got.status, got.header)
			}
		})
	}
}

// Streams arrive unbuffered through the documented proxies.
func TestReadme_ReverseProxiesStream(t *testing.T) {
	t.Parallel()
	proceed := make(chan struct{})
	stream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/stream" {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-proceed:
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(stream.Close)
	for name, start := range proxies {
		t.Run(name, func(t *testing.T) {
			seen := start(t, &service{t: t, url: stream.URL, log: &logBuffer{}})
			resp := must(seen.client.Get(seen.url + "/stream"))(t)
			defer resp.Body.Close()
			lines := bufio.NewReader(resp.Body)
			for i := range 3 {
				if got, err := lines.ReadString('\n'); got != fmt.Sprintf("data: %d\n", i) {
					t.Fatalf("got %q, %v", got, err)
				}
				must(lines.ReadString('\n'))(t)
				proceed <- struct{}{}
			}
		})
	}
}

// The token of a share link is a secret, which nginx keeps out of its logs, also while PPCH is down.
func TestReadme_NginxKeepsShareTokens(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	link, line := newLink(t, nil, "--room", "planning")
	env := envFor(srv)
	env["PPCH_HOSTS"], env["PPCH_API_KEYS_FILE"] = publicName, written(t, "keys", line+"\n")
	s := runService(t, env).ready()
	dir := t.TempDir()
	seen := behindNginx(t, s, dir)
	send := func(want int) {
		t.Helper()
		for _, path := range []string{link, link + ".json", link + ".svg", "/livez"} {
			if got := seen.get(path); got.status != want {
				t.Errorf("%s got %d want %d", path, got.status, want)
			}
		}
	}
	send(200)
	check(t, s.stop())
	send(502)
	read := func(name string) string { return string(must(os.ReadFile(filepath.Join(dir, name)))(t)) }
	eventually(t, 10*time.Second, "the logs have other requests", func() bool {
		return strings.Contains(read("access.log"), `"GET /livez HTTP/2.0" 502`) && strings.Contains(read("error.log"), "GET /livez")
	})
	for _, name := range []string{"access.log", "error.log"} {
		if log := read(name); strings.Contains(log, "pps_") || strings.Contains(log, strings.TrimPrefix(link, "/s/")) {
			t.Errorf("%s has the token of a share link:\n%s", name, log)
		}
	}
}
