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

// diagnosis is what "ppch doctor --json" writes.
type diagnosis struct {
	OK     bool `json:"ok"`
	Checks []struct {
		Name, Status, Found string
		Mend                *string
	} `json:"checks"`
}

// of returns what was found by the checks of a name that have a status, each with its mend.
func (d diagnosis) of(name, status string) (found []string) {
	for _, c := range d.Checks {
		if c.Name == name && c.Status == status {
			text := c.Found
			if c.Mend != nil {
				text += "\n" + *c.Mend
			}
			found = append(found, text)
		}
	}
	return found
}

// diagnose asks the doctor about env.
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

// moduleOf returns a folder with a module of the right name and another text.
func moduleOf(t *testing.T, text string) string {
	t.Helper()
	return filepath.Dir(written(t, "mod_"+prosody.ModuleName+".lua", text))
}

// jitsiLike is a Prosody as current Jitsi runs it, with the module where it belongs.
var jitsiLike = prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true}

// nobody is the environment's port of a service that doesn't run.
func nobody(t *testing.T, env variables) variables {
	env = maps.Clone(env)
	env["PPCH_PORT"] = strconv.Itoa(must(prosodytest.FreePort())(t))
	return env
}

// With a service that runs, and all in its place, every line is ✓ and the exit status 0; and nobody is thrown out.
func TestTheDoctorFindsNothingWhereAllIsWell(t *testing.T) {
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
		t.Errorf("got %s, want the stream of before, since %s", health.body, since)
	}

	t.Run("from elsewhere with nothing but a key", func(t *testing.T) {
		got, status := diagnose(t, variables{"PPCH_API_KEY": testKey}, "--url", s.url)
		if unchecked := append(got.of("configuration", "unchecked"), got.of("settings", "unchecked")...); status != 0 || len(unchecked) != 2 {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	t.Run("settings that were changed since", func(t *testing.T) {
		env := maps.Clone(env)
		env["MUC_DOMAIN"] = srv.Domains.MUC
		got, status := diagnose(t, env)
		if told := got.of("settings", "warning"); status != 0 || len(told) != 1 || !strings.Contains(told[0], "MUC_DOMAIN is muc.meet.jitsi,breakout.meet.jitsi,lobby.meet.jitsi there and muc.meet.jitsi here") {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	t.Run("a secret that was changed since", func(t *testing.T) {
		env := maps.Clone(env)
		env["PPCH_COMPONENT_SECRET"] = "not-the-secret-of-the-service"
		got, status := diagnose(t, env)
		settings, secret := got.of("settings", "ok"), got.of("secret", "ok")
		if status != 0 || len(settings) != 1 || !strings.Contains(settings[0], "secrets aren't compared") ||
			len(secret) != 1 || !strings.Contains(secret[0], "whether the one that is set here is the same isn't looked at") {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	t.Run("a key that was changed since", func(t *testing.T) {
		env := maps.Clone(env)
		env["PPCH_API_KEY"] = "Correct-Horse-Battery-Stable"
		got, status := diagnose(t, env)
		if told := got.of("service", "error"); status != 1 || len(told) != 1 || !strings.Contains(told[0], "its keys are others than PPCH_API_KEY") || len(got.of("port", "unchecked")) != 1 {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	if health := s.get("/health"); health.data["since"] != since {
		t.Errorf("got %s, want the stream of before, since %s", health.body, since)
	}
}

// Before the service is started all of Prosody's side can be looked at, and the name is free again afterwards.
func TestTheDoctorLooksByItselfWhereNoServiceRuns(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, jitsiLike)
	env := nobody(t, envFor(srv))
	env["PPCH_ADMIN_JIDS"] = "admin@" + srv.Domains.Auth + ",guest@elsewhere.example"
	for range 2 {
		got, status := diagnose(t, env)
		if told := got.of("service", "error"); status != 1 || len(told) != 1 || !strings.Contains(told[0], "docker compose up -d ppch") {
			t.Errorf("got exit status %d and %+v", status, got)
		}
		if told := got.of("admins", "warning"); len(told) != 1 || !strings.HasPrefix(told[0], "those of elsewhere.example are ignored") {
			t.Errorf("got %q of admins", told)
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

func TestTheDoctorsExitStatusTellsAMistypedCommand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"doctor", "--quick"}, 2},
		{[]string{"doctor", "prosody"}, 2},
		{[]string{"doctor", "--url", "prosody:5347"}, 2},
		{[]string{"doctor"}, 1}, // with an empty environment
		{[]string{"healthcheck", "--quick"}, 1},
	} {
		if out, err := command(t, nil, tt.args...); err == nil || exitStatus(err) != tt.want {
			t.Errorf("%v: got exit status %d, %v and %s want %d", tt.args, exitStatus(err), err, out, tt.want)
		}
	}
}

// From elsewhere the service may be asked by a name that it doesn't know: with a key it answers all the same.
func TestDoctor_AsksByANameThatTheServiceDoesNotKnow(t *testing.T) {
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
		t.Errorf("got %+v want the service to answer", d)
	}
	d, _ = diagnose(t, variables{"PPCH_API_KEY": "another key than that"}, "--url", proxy.URL)
	if found := d.of("service", "error"); len(found) != 1 || !strings.Contains(found[0], "its keys are others than PPCH_API_KEY") {
		t.Errorf("got %+v want the key to be another", d)
	}
}
