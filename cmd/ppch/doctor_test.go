package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// diagnosis is the output of "ppch doctor --json".
type diagnosis struct {
	OK     bool `json:"ok"`
	Checks []struct {
		Name, Status, Found string
		Remedy              *string `json:"remedy"`
	} `json:"checks"`
}

// of returns the results of the checks with a name and a status, each with its remedy.
func (d diagnosis) of(name, status string) (found []string) {
	for _, c := range d.Checks {
		if c.Name == name && c.Status == status {
			text := c.Found
			if c.Remedy != nil {
				text += "\n" + *c.Remedy
			}
			found = append(found, text)
		}
	}
	return found
}

// diagnose runs the doctor with an environment.
func diagnose(t *testing.T, env variables, args ...string) (diagnosis, int) {
	t.Helper()
	cmd := newCommand(envconfig.MapLookuper(env))
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append([]string{"doctor", "--json"}, args...))
	began := time.Now()
	err := cmd.ExecuteContext(t.Context())
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	var d diagnosis
	if e := json.Unmarshal(out.Bytes(), &d); e != nil || errs.Len() > 0 || strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("got %q, %q, %v want one object in a line", out.String(), errs.String(), e)
	}
	for name, secret := range map[string]string{"key": env["PPCH_API_KEY"], "secret": env["PPCH_COMPONENT_SECRET"]} {
		if len(secret) > 8 && strings.Contains(out.String(), secret) {
			t.Errorf("got the %s in %s", name, out.String())
		}
	}
	status := 0
	if err != nil {
		status = exitStatus(err)
	}
	if d.OK != (status == 0) {
		t.Errorf("got ok %t and exit status %d", d.OK, status)
	}
	return d, status
}

// moduleOf returns a folder with a module of the right name and this text.
func moduleOf(t *testing.T, text string) string {
	t.Helper()
	return filepath.Dir(written(t, "mod_"+prosody.ModuleName+".lua", text))
}

// jitsiLike is a Prosody as in current Jitsi, with the module loaded.
var jitsiLike = prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true}

// withoutService returns env with a port on which no service runs.
func withoutService(t *testing.T, env variables) variables {
	env = maps.Clone(env)
	env["PPCH_PORT"] = strconv.Itoa(must(prosodytest.FreePort())(t))
	return env
}

// If all is well, every line is ✓, the exit status is 0, and the service keeps its stream.
func TestDoctor_AllOK(t *testing.T) {
	t.Parallel()
	o := jitsiLike
	o.ConflictResolve = "kick_old" // as "ppch jitsi install" writes it
	srv := prosodytest.New(t, o)
	env := envFor(srv)
	env["MUC_DOMAIN"] += "," + srv.Domains.Lobby
	env["PPCH_ADMIN_JIDS"] = "admin@" + srv.Domains.Auth
	s := runService(t, env).ready()
	since := s.get("/health").data["since"]
	maps.Copy(env, healthcheckOf(t, s, "0.0.0.0"))

	out, err := command(t, env, "doctor")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err != nil || len(lines) != 15 {
		t.Errorf("got %d lines, %v:\n%s", len(lines), err, out)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "✓ ") {
			t.Errorf("got the line %s", line)
		}
	}
	if got, status := diagnose(t, env); status != 0 || !got.OK || len(got.Checks) != 15 {
		t.Errorf("got exit status %d and %+v", status, got)
	}
	if health := s.get("/health"); health.data["since"] != since || health.data["status"] != "ok" {
		t.Errorf("got %s, want the same stream since %s", health.body, since)
	}

	t.Run("from elsewhere with only a key", func(t *testing.T) {
		got, status := diagnose(t, variables{"PPCH_API_KEY": testKey}, "--url", s.url)
		if unchecked := append(got.of("configuration", "unchecked"), got.of("settings", "unchecked")...); status != 0 || len(unchecked) != 2 {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	t.Run("changed settings", func(t *testing.T) {
		env := maps.Clone(env)
		env["MUC_DOMAIN"] = srv.Domains.MUC
		got, status := diagnose(t, env)
		if found := got.of("settings", "warning"); status != 0 || len(found) != 1 || !strings.Contains(found[0], "MUC_DOMAIN is muc.meet.jitsi,breakout.meet.jitsi,lobby.meet.jitsi there and muc.meet.jitsi here") {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	t.Run("a changed secret", func(t *testing.T) {
		env := maps.Clone(env)
		env["PPCH_COMPONENT_SECRET"] = "not-the-secret-of-the-service"
		got, status := diagnose(t, env)
		settings, secret := got.of("settings", "ok"), got.of("secret", "ok")
		if status != 0 || len(settings) != 1 || !strings.Contains(settings[0], "secrets are not compared") ||
			len(secret) != 1 || !strings.Contains(secret[0], "it is not compared with the one set here") {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	t.Run("a changed key", func(t *testing.T) {
		env := maps.Clone(env)
		env["PPCH_API_KEY"] = "Correct-Horse-Battery-Stable"
		got, status := diagnose(t, env)
		if found := got.of("service", "error"); status != 1 || len(found) != 1 || !strings.Contains(found[0], "PPCH_API_KEY, as set here, is not one of its keys") || len(got.of("port", "unchecked")) != 1 {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	if health := s.get("/health"); health.data["since"] != since {
		t.Errorf("got %s, want the same stream since %s", health.body, since)
	}
}

// Before the first start, the doctor checks all of Prosody's side and then frees the component's name.
func TestDoctor_ConnectsItselfWithoutService(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, jitsiLike)
	env := withoutService(t, envFor(srv))
	env["PPCH_ADMIN_JIDS"] = "admin@" + srv.Domains.Auth + ",guest@elsewhere.example"
	for range 2 {
		got, status := diagnose(t, env)
		if found := got.of("service", "error"); status != 1 || len(found) != 1 || !strings.Contains(found[0], "docker compose up -d ppch") {
			t.Errorf("got exit status %d and %+v", status, got)
		}
		if found := got.of("admins", "warning"); len(found) != 1 || !strings.HasPrefix(found[0], "admins of elsewhere.example are ignored") {
			t.Errorf("got %q for the admins", found)
		}
		for _, c := range got.Checks {
			if c.Name == "dns" && c.Found != "127.0.0.1 is an address" {
				t.Errorf("got %s", c.Found)
			}
			if c.Name != "service" && c.Name != "settings" && c.Name != "admins" && c.Status != "ok" {
				t.Errorf("got %s %s: %s", c.Name, c.Status, c.Found)
			}
		}
	}
	must(srv.Component(t.Context(), srv.Domains.Component))(t)
}

// With a key, the service answers under any host name.
func TestDoctor_UnknownHostName(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, jitsiLike)
	s := runService(t, envFor(srv)).ready()
	to := must(url.Parse(s.url))(t)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = "ppch.example.com"
	}})
	t.Cleanup(proxy.Close)
	d, _ := diagnose(t, variables{"PPCH_API_KEY": testKey}, "--url", proxy.URL)
	if found := d.of("service", "ok"); len(found) != 1 || !strings.HasPrefix(found[0], "PPCH "+version+" answers at ") {
		t.Errorf("got %+v want a response of the service", d)
	}
	d, _ = diagnose(t, variables{"PPCH_API_KEY": "another key than that"}, "--url", proxy.URL)
	if found := d.of("service", "error"); len(found) != 1 || !strings.Contains(found[0], "PPCH_API_KEY, as set here, is not one of its keys") {
		t.Errorf("got %+v want a wrong key", d)
	}
}
