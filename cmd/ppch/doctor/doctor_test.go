package doctor_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"mellium.im/xmpp/jid"

	"ppch/cmd/ppch/doctor"
	"ppch/cmd/ppch/terminal"
	"ppch/component/componenttest"
	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configFor returns a configuration for srv, without a running service.
func configFor(t *testing.T, srv *prosodytest.Server) doctor.Config {
	t.Helper()
	return doctor.Config{
		API:        mustURL(t, "http://"+closed(t)),
		Key:        "key",
		Address:    srv.ComponentAddr(),
		HTTP:       srv.HTTPAddr(),
		Domain:     jid.MustParse(srv.Domains.Component),
		Secret:     srv.Secret(),
		MUCDomains: []jid.JID{jid.MustParse(srv.Domains.MUC)},
		Version:    "2.0.0",
	}
}

// closed returns a loopback address without a listener.
func closed(t *testing.T) string {
	t.Helper()
	port := must(prosodytest.FreePort())(t)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u := must(url.Parse(text))(t)
	return u
}

// examine returns the first check of each name.
func examine(t *testing.T, cfg doctor.Config) map[string]doctor.Check {
	t.Helper()
	found := map[string]doctor.Check{}
	err := doctor.Examine(t.Context(), cfg, func(c doctor.Check) {
		if _, ok := found[c.Name]; !ok {
			found[c.Name] = c
		}
	})
	check(t, err)
	return found
}

// module writes a Lua module under our module's name and returns its folder.
func module(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "mod_"+prosody.ModuleName+".lua"), []byte(text), 0o600))
	return dir
}

// ppch1Module answers over HTTP as the module of PPCH 1 does.
const ppch1Module = `module:depends("http");
module:provides("http", { route = { ["GET /health"] = function ()
	return [[{"status":"ok","module":"room_participants_api","muc_domain":"muc.meet.jitsi"}]];
end } });`

func TestDoctor_UsesProsodysWebServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		world prosodytest.Options
		check string
		want  string
	}{
		{
			"the module of PPCH 1",
			prosodytest.Options{HideRooms: true, PluginPaths: []string{module(t, ppch1Module)}, Modules: []string{"http", prosody.ModuleName}},
			doctor.Module, "the Lua module is that of PPCH 1",
		},
		{
			"the module, serving other domains",
			prosodytest.Options{
				HideRooms: true, Modules: []string{"http", prosody.ModuleName},
				GlobalConfig: `room_participants_muc_domains = { "rooms.elsewhere" }`, HostModules: map[string][]string{},
			},
			doctor.Module, "the Lua module is not loaded there, though Prosody has it",
		},
		{
			"Prosody without a component port",
			prosodytest.Options{NoComponentPort: true, Modules: []string{"http"}},
			doctor.Port, "though Prosody runs",
		},
		{
			"a Component without a secret",
			prosodytest.Options{HostConfig: map[string]string{"ppch.meet.jitsi": "component_secret = nil"}},
			doctor.Secret, "Prosody has no component_secret for ppch.meet.jitsi",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := prosodytest.New(t, tt.world)
			if got := examine(t, configFor(t, srv))[tt.check]; got.Status != doctor.Wrong || !strings.Contains(got.Found, tt.want) {
				t.Errorf("got %+v want %s", got, tt.want)
			}
		})
	}
}

// With component_conflict_resolve = "kick_old", the doctor's connection would end that of a running service.
func TestDoctor_DoesNotConnectWhileServiceMayRun(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{ConflictResolve: "kick_old"})
	other := must(srv.Component(t.Context(), srv.Domains.Component))(t)
	answers := func(status int, body string) *url.URL {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return mustURL(t, s.URL)
	}
	silent := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer silent.Close()
	encrypted := httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.StartTLS()
	defer encrypted.Close()
	const health = `{"service":"Prosody Participant Count Hook","version":"2.0.0","status":"ok"`
	const scopeMissing = health + `,"code":"scope-missing","detail":"This API key lacks the scope \"metrics\"."}`
	const tooManyKeys = health + `,"code":"rate-limited","detail":"Too many wrong API keys came from this address."}`
	for _, tt := range []struct {
		name   string
		change func(*doctor.Config)
		want   string
		remedy string
	}{
		{"another program", func(c *doctor.Config) { c.API = answers(200, `{"hello":"there"}`) }, "is not PPCH", ""},
		{"a response other than JSON", func(c *doctor.Config) { c.API = answers(200, `<html>`) }, "is not PPCH", ""},
		{"no response", func(c *doctor.Config) { c.API = mustURL(t, "http://"+silent.Addr().String()) }, "no response from", ""},
		{"an untrusted certificate", func(c *doctor.Config) { c.API = mustURL(t, encrypted.URL) }, "is not trusted", ""},
		{"an older service", func(c *doctor.Config) { c.API = answers(404, health+"}") }, "does not report diagnostics: Not Found", ""},
		{
			"a key without the scope", func(c *doctor.Config) { c.API = answers(403, scopeMissing) },
			`lacks the scope "metrics"`, "the key lacks a scope: give the doctor one with the scope metrics",
		},
		{
			"too many wrong keys", func(c *doctor.Config) { c.API = answers(429, tooManyKeys) },
			"Too many wrong API keys came from this address.", "try again in a minute",
		},
		{
			"a page of the service", func(c *doctor.Config) {
				c.API, c.Remote = answers(200, `<html>`).JoinPath("/dashboard/"), true
			}, "is not PPCH", "fix --url",
		},
		{
			"no response from --url", func(c *doctor.Config) {
				c.API, c.Remote = mustURL(t, "http://"+silent.Addr().String()), true
			}, "no response from", "fix --url",
		},
		{"a wrong key", func(c *doctor.Config) { c.API = answers(403, health+"}") }, "does not report diagnostics: Forbidden", ""},
		{"a response without diagnostics", func(c *doctor.Config) { c.API = answers(200, health+"}") }, "does not report diagnostics", ""},
		{"an unknown port", func(c *doctor.Config) { c.API = mustURL(t, "http://127.0.0.1:0") }, "PPCH_PORT is 0", ""},
		{"nothing at --url", func(c *doctor.Config) { c.Remote = true }, "nothing listens at http://127.0.0.1:", ""},
		{"the service in another container", func(c *doctor.Config) { c.Fallback = answers(403, health+"}") }, "does not report diagnostics", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := configFor(t, srv)
			tt.change(&cfg)
			got := examine(t, cfg)
			if c := got[doctor.Service]; c.Status != doctor.Wrong || !strings.Contains(c.Found, tt.want) || c.Remedy == "" || !strings.Contains(c.Remedy, tt.remedy) {
				t.Errorf("got %+v want %s, with the remedy %s", c, tt.want, tt.remedy)
			}
			if c := got[doctor.Secret]; c.Status != doctor.Unchecked || c.Found != "skipped: needs service" {
				t.Errorf("got %+v want it skipped", c)
			}
		})
	}
	select {
	case <-other.Ended():
		t.Error("the other stream was closed")
	default:
	}
}

// Skipped checks alone would look like success.
func TestDoctor_ReportsServiceLostMeanwhile(t *testing.T) {
	t.Parallel()
	const connecting = `{"component":"ppch.meet.jitsi","prosody":"127.0.0.1:5347","connected":false,"reason":"connecting","domains":[{"domain":"muc.meet.jitsi"}]}`
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/health":
			_, _ = io.WriteString(w, `{"service":"Prosody Participant Count Hook","version":"2.0.0","status":"connecting"}`)
		case asked.Add(1) <= 3:
			_, _ = io.WriteString(w, connecting)
		default:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"code":"internal"}`)
		}
	}))
	defer s.Close()
	var checks []doctor.Check
	check(t, doctor.Examine(t.Context(), doctor.Config{API: mustURL(t, s.URL), Key: "key"}, func(c doctor.Check) { checks = append(checks, c) }))
	i := slices.IndexFunc(checks, func(c doctor.Check) bool { return c.Name == doctor.Service && c.Status == doctor.Wrong })
	if i < 0 || !strings.Contains(checks[i].Found, "no longer reports diagnostics: Internal Server Error") || checks[i].Remedy == "" {
		t.Errorf("got %+v want the lost service and a remedy", checks)
	}
}

func TestDoctor_RetriesWhenRateLimited(t *testing.T) {
	t.Parallel()
	const diagnostics = `{"component":"ppch.meet.jitsi","prosody":"127.0.0.1:5347","connected":true,
		"domains":[{"domain":"muc.meet.jitsi","mode":"module","as_of":"2026-11-22T10:00:00Z","module":{"version":"2.0.0"}}],
		"admin_domains":[{"domain":"auth.meet.jitsi","local":true}]}`
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/health":
			_, _ = io.WriteString(w, `{"service":"Prosody Participant Count Hook","version":"2.0.0","status":"ok"}`)
		case asked.Add(1)%2 == 1:
			_, _ = io.WriteString(w, diagnostics)
		default:
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"code":"rate-limited","detail":"This API key is used too often."}`)
		}
	}))
	defer s.Close()
	err := doctor.Examine(t.Context(), doctor.Config{API: mustURL(t, s.URL), Key: "key", Remote: true}, func(c doctor.Check) {
		if c.Status == doctor.Wrong || strings.Contains(c.Found, "needs service") {
			t.Errorf("got %+v", c)
		}
	})
	if err != nil || asked.Load() < 5 {
		t.Errorf("got %v after %d requests want all checks", err, asked.Load())
	}
}

func TestDoctor_HangingProsodyIsReportedInTime(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	// The kernel accepts connections, but Prosody reads none.
	check(t, srv.Pause())
	began := time.Now()
	got := examine(t, configFor(t, srv))
	if c := got[doctor.Port]; c.Status != doctor.Wrong || !strings.Contains(c.Found, "does not answer as a component port in time") || !strings.Contains(c.Remedy, "Prosody hangs") {
		t.Errorf("got %+v", c)
	}
	if c := got[doctor.Secret]; c.Status != doctor.Unchecked || time.Since(began) > 15*time.Second {
		t.Errorf("got %+v after %s", c, time.Since(began))
	}
}

func TestDoctor_InterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	silent := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer silent.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var began time.Time
	reported := 0
	err := doctor.Examine(ctx, doctor.Config{
		API: mustURL(t, "http://"+closed(t)), Address: silent.Addr().String(),
		Domain: jid.MustParse("ppch.meet.jitsi"), MUCDomains: []jid.JID{jid.MustParse("muc.meet.jitsi")},
	}, func(doctor.Check) {
		if reported++; reported == 4 { // the next check is the port, which never answers
			time.AfterFunc(100*time.Millisecond, func() { began = time.Now(); interrupt() })
		}
	})
	if took := time.Since(began); !errors.Is(err, context.Canceled) || took > 2*time.Second || reported != 4 {
		t.Errorf("got %v after %s and %d checks, want it to end after four", err, took, reported)
	}
}

func TestPrinter_Text(t *testing.T) {
	c := doctor.Check{Name: doctor.Port, Status: doctor.Wrong, Found: "closed \x1b[31m", Remedy: "open it in the file that has all the settings of Prosody\nor elsewhere"}
	for name, tt := range map[string]struct {
		style terminal.Style
		want  string
	}{
		"into a file": {want: "✗ port           closed ·[31m\n  → open it in the file that has all the settings of Prosody\n  → or elsewhere\n"},
		"on a terminal": {
			terminal.Style{Color: true, Width: 50},
			"✗ port           closed ·[31m\n  → open it in the file that has all the settings\n    of Prosody\n  → or elsewhere\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			err := doctor.NewPrinter(&b, tt.style).Print(c)
			got := strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "").Replace(b.String())
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v want %q", got, err, tt.want)
			}
		})
	}
}

// All skipped checks share one line, at the end.
func TestPrinter_OneLineForUncheckedOnes(t *testing.T) {
	skipped := func(name, found string) doctor.Check {
		return doctor.Check{Name: name, Status: doctor.Unchecked, Found: found}
	}
	fine := doctor.Check{Name: doctor.Clock, Status: doctor.OK, Found: "equal"}
	for want, checks := range map[string][]doctor.Check{
		"✓ clock          equal\n": {fine},
		"✓ clock          equal\n– not checked    allow-list, sync, mode: fix module first\n": {
			skipped(doctor.AllowList, "muc.a: skipped: needs module"), skipped(doctor.AllowList, "muc.b: skipped: needs module"),
			skipped(doctor.Sync, "skipped: needs module"), fine, skipped(doctor.Mode, "muc.a: existence for now: needs module"),
		},
		"– not checked    settings, sync: fix service and module first\n": {skipped(doctor.Settings, "skipped: needs service"), skipped(doctor.Sync, "skipped: needs module")},
		"– not checked    configuration, sync\n":                          {skipped(doctor.Configuration, "skipped: --url"), skipped(doctor.Sync, "skipped: needs module")},
		"– not checked    configuration\n":                                {skipped(doctor.Configuration, "skipped: the service at --url may have another configuration")},
	} {
		var b strings.Builder
		p := doctor.NewPrinter(&b, terminal.Style{})
		for _, c := range checks {
			check(t, p.Print(c))
		}
		if err := p.Close(); err != nil || b.String() != want {
			t.Errorf("got\n%s, %v want\n%s", b.String(), err, want)
		}
	}
}

// must returns v, and ends the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// check ends the test if there is an error.
var check = componenttest.Check
