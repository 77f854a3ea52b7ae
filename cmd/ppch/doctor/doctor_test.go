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
	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is what there is to examine beside srv, where no service runs.
func patient(t *testing.T, srv *prosodytest.Server) doctor.Config {
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

// closed returns an address where nothing listens.
func closed(t *testing.T) string {
	t.Helper()
	port, err := prosodytest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// module writes a Lua module of our name and returns where it is.
func module(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mod_"+prosody.ModuleName+".lua"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ofPPCH1 answers as the module of PPCH 1 did, which knew nothing but HTTP.
const ofPPCH1 = `module:depends("http");
module:provides("http", { route = { ["GET /health"] = function ()
	return [[{"status":"ok","module":"room_participants_api","muc_domain":"muc.meet.jitsi"}]];
end } });`

func TestWhatOnlyProsodysWebServerShowsIsToldAsWell(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		world prosodytest.Options
		link  string
		says  string
	}{
		{
			"the module of PPCH 1, as it was installed",
			prosodytest.Options{HideRooms: true, PluginPaths: []string{module(t, ofPPCH1)}, Modules: []string{"http", prosody.ModuleName}},
			doctor.Module, "the Lua module is that of PPCH 1",
		},
		{
			"the module, which serves others",
			prosodytest.Options{
				HideRooms: true, Modules: []string{"http", prosody.ModuleName},
				GlobalConfig: `room_participants_muc_domains = { "rooms.elsewhere" }`, HostModules: map[string][]string{},
			},
			doctor.Module, "the Lua module isn't loaded there, though Prosody has it",
		},
		{
			"Prosody without a component port",
			prosodytest.Options{NoComponentPort: true, Modules: []string{"http"}},
			doctor.Port, "though Prosody is there",
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
			if got := examine(t, patient(t, srv))[tt.link]; got.Status != doctor.Wrong || !strings.Contains(got.Found, tt.says) {
				t.Errorf("got %+v want %s", got, tt.says)
			}
		})
	}
}

// A service that may run must not lose its stream to the doctor (component_conflict_resolve = "kick_old").
func TestProsodyIsLeftAloneUnlessItIsSureThatNoServiceRuns(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{ConflictResolve: "kick_old"})
	other, err := srv.Component(t.Context(), srv.Domains.Component)
	if err != nil {
		t.Fatal(err)
	}
	answers := func(status int, body string) *url.URL {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return mustURL(t, s.URL)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	encrypted := httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.StartTLS()
	defer encrypted.Close()
	const health = `{"service":"Prosody Participant Count Hook","version":"2.0.0","status":"ok"`
	const scopeMissing = health + `,"code":"scope-missing","detail":"This API key lacks the scope \"metrics\"."}`
	const tooManyKeys = health + `,"code":"rate-limited","detail":"Too many wrong API keys came from this address."}`
	for _, tt := range []struct {
		name string
		mend func(*doctor.Config)
		says string
		tell string // of the mend
	}{
		{"something else answers", func(c *doctor.Config) { c.API = answers(200, `{"hello":"there"}`) }, "is not PPCH", ""},
		{"something answers that isn't JSON", func(c *doctor.Config) { c.API = answers(200, `<html>`) }, "is not PPCH", ""},
		{"nothing answers", func(c *doctor.Config) { c.API = mustURL(t, "http://"+silent.Addr().String()) }, "no answer from", ""},
		{"a certificate of nobody", func(c *doctor.Config) { c.API = mustURL(t, encrypted.URL) }, "isn't trusted", ""},
		{"an older service", func(c *doctor.Config) { c.API = answers(404, health+"}") }, "doesn't tell how it is wired: Not Found", ""},
		{
			"a key that is good for other things", func(c *doctor.Config) { c.API = answers(403, scopeMissing) },
			`lacks the scope "metrics"`, "the key is good, but not for this: give the doctor one that has the scope metrics",
		},
		{
			"an address that has tried too many keys", func(c *doctor.Config) { c.API = answers(429, tooManyKeys) },
			"Too many wrong API keys came from this address.", "try again in a minute",
		},
		{
			"a page of the service", func(c *doctor.Config) {
				c.API, c.Elsewhere = answers(200, `<html>`).JoinPath("/dashboard/"), true
			}, "is not PPCH", "mend --url",
		},
		{
			"nothing answers there", func(c *doctor.Config) {
				c.API, c.Elsewhere = mustURL(t, "http://"+silent.Addr().String()), true
			}, "no answer from", "mend --url",
		},
		{"a key that isn't good", func(c *doctor.Config) { c.API = answers(403, health+"}") }, "doesn't tell how it is wired: Forbidden", ""},
		{"an answer without the wiring", func(c *doctor.Config) { c.API = answers(200, health+"}") }, "doesn't tell how it is wired", ""},
		{"it listens anywhere", func(c *doctor.Config) { c.API = mustURL(t, "http://127.0.0.1:0") }, "PPCH_PORT is 0", ""},
		{"it is elsewhere", func(c *doctor.Config) { c.Elsewhere = true }, "nothing listens at http://127.0.0.1:", ""},
		{"it is in the container beside this one", func(c *doctor.Config) { c.Also = answers(403, health+"}") }, "doesn't tell how it is wired", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := patient(t, srv)
			tt.mend(&cfg)
			got := examine(t, cfg)
			if c := got[doctor.Service]; c.Status != doctor.Wrong || !strings.Contains(c.Found, tt.says) || c.Mend == "" || !strings.Contains(c.Mend, tt.tell) {
				t.Errorf("got %+v want %s, and to %s", c, tt.says, tt.tell)
			}
			if c := got[doctor.Secret]; c.Status != doctor.Unchecked || c.Found != "not checked: waits for service" {
				t.Errorf("got %+v want it not checked", c)
			}
		})
	}
	select {
	case <-other.Ended():
		t.Error("the other stream was thrown out")
	default:
	}
}

// What was left unchecked because the service went away meanwhile is no reason to say that all is well.
func TestAServiceThatGoesAwayMeanwhileIsToldAsBroken(t *testing.T) {
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
	err := doctor.Examine(t.Context(), doctor.Config{API: mustURL(t, s.URL), Key: "key"}, func(c doctor.Check) { checks = append(checks, c) })
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(checks, func(c doctor.Check) bool { return c.Name == doctor.Service && c.Status == doctor.Wrong })
	if i < 0 || !strings.Contains(checks[i].Found, "no longer tells how it is wired: Internal Server Error") || checks[i].Mend == "" {
		t.Errorf("got %+v want the service that no longer answers, and what to mend", checks)
	}
}

func TestAServiceThatMayBeAskedNowAndThenIsWaitedFor(t *testing.T) {
	t.Parallel()
	const wiring = `{"component":"ppch.meet.jitsi","prosody":"127.0.0.1:5347","connected":true,
		"domains":[{"domain":"muc.meet.jitsi","mode":"module","as_of":"2026-11-22T10:00:00Z","module":{"version":"2.0.0"}}],
		"admin_domains":[{"domain":"auth.meet.jitsi","local":true}]}`
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/health":
			_, _ = io.WriteString(w, `{"service":"Prosody Participant Count Hook","version":"2.0.0","status":"ok"}`)
		case asked.Add(1)%2 == 1:
			_, _ = io.WriteString(w, wiring)
		default:
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"code":"rate-limited","detail":"This API key is used too often."}`)
		}
	}))
	defer s.Close()
	err := doctor.Examine(t.Context(), doctor.Config{API: mustURL(t, s.URL), Key: "key", Elsewhere: true}, func(c doctor.Check) {
		if c.Status == doctor.Wrong || strings.Contains(c.Found, "waits for service") {
			t.Errorf("got %+v", c)
		}
	})
	if err != nil || asked.Load() < 5 {
		t.Errorf("got %v after %d questions want all to be looked at", err, asked.Load())
	}
}

func TestAProsodyThatHangsIsToldInTime(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	// The kernel accepts connections, and nobody reads them.
	if err := srv.Pause(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	got := examine(t, patient(t, srv))
	if c := got[doctor.Port]; c.Status != doctor.Wrong || !strings.Contains(c.Found, "doesn't answer as a component port in time") || !strings.Contains(c.Mend, "Prosody hangs") {
		t.Errorf("got %+v", c)
	}
	if c := got[doctor.Secret]; c.Status != doctor.Unchecked || time.Since(began) > 15*time.Second {
		t.Errorf("got %+v after %s", c, time.Since(began))
	}
}

func TestAnInterruptedExaminationEndsAtOnceAndFindsNothing(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var began time.Time
	told := 0
	err = doctor.Examine(ctx, doctor.Config{
		API: mustURL(t, "http://"+closed(t)), Address: silent.Addr().String(),
		Domain: jid.MustParse("ppch.meet.jitsi"), MUCDomains: []jid.JID{jid.MustParse("muc.meet.jitsi")},
	}, func(doctor.Check) {
		if told++; told == 4 { // what comes next is the port, which says nothing
			time.AfterFunc(100*time.Millisecond, func() { began = time.Now(); interrupt() })
		}
	})
	if took := time.Since(began); !errors.Is(err, context.Canceled) || took > 2*time.Second || told != 4 {
		t.Errorf("got %v after %s and %d checks, want its end and the four before", err, took, told)
	}
}

func TestACheckIsPrintedAsPeopleReadIt(t *testing.T) {
	c := doctor.Check{Name: doctor.Port, Status: doctor.Wrong, Found: "closed \x1b[31m", Mend: "open it in the file that has all the settings of Prosody\nor elsewhere"}
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
			err := doctor.Print(&b, c, tt.style)
			got := strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "").Replace(b.String())
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v want %q", got, err, tt.want)
			}
		})
	}
}
