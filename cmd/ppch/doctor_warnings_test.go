package main

import (
	"maps"
	"strings"
	"testing"

	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

func TestTheDoctorTellsWhatWorksButNotAsWellAsItCould(t *testing.T) {
	t.Parallel()
	text := strings.Replace(string(prosody.Module), `local version = "`+prosody.ModuleVersion, `local version = "1.9\194\15531m`, 1)
	text = strings.Replace(text, `("%d"):format(floor(now() * 1000))`, `("%d"):format(floor((now() + 90) * 1000))`, 1)
	old := moduleOf(t, text)
	for _, tt := range []struct {
		name  string
		world prosodytest.Options
		link  string
		says  string
	}{
		{"rooms are open to disco", prosodytest.Options{}, "mode", "disco, so numbers are raw"},
		{"rooms are open to disco, without the module", prosodytest.Options{}, "module", "muc.meet.jitsi: the Lua module isn't loaded there"},
		{"another version of the module", prosodytest.Options{Module: true, PluginPaths: []string{old}}, "module", "and this PPCH brings " + prosody.ModuleVersion},
		{"Prosody's clock", prosodytest.Options{Module: true, PluginPaths: []string{old}}, "clock", "Prosody's is 1m30s ahead of the service's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := prosodytest.New(t, tt.world)
			cast := castOn(t, srv)
			meeting(t, cast, srv.Room("planning"))
			env := envFor(srv)
			env["MUC_DOMAIN"] = srv.Domains.MUC
			s := runService(t, env).ready()
			s.room("planning") // shows the mode
			maps.Copy(env, healthcheckOf(t, s, "127.0.0.1"))
			got, status := diagnose(t, env)
			if told := got.of(tt.link, "warning"); status != 0 || len(told) != 1 || !strings.Contains(told[0], tt.says) {
				t.Errorf("got exit status %d and %+v", status, got)
			}
			if out, err := command(t, env, "doctor"); err != nil || strings.Contains(out, "\u009b") || !strings.Contains(out, "\n! "+tt.link) {
				t.Errorf("got %q, %v want a line for people, without what moves a terminal", out, err)
			}
		})
	}
}
