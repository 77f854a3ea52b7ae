package main

import (
	"maps"
	"strings"
	"testing"

	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

func TestDoctor_Warnings(t *testing.T) {
	t.Parallel()
	text := strings.Replace(string(prosody.Module), `local version = "`+prosody.ModuleVersion, `local version = "1.9\194\15531m`, 1)
	text = strings.Replace(text, `("%d"):format(floor(now() * 1000))`, `("%d"):format(floor((now() + 90) * 1000))`, 1)
	old := moduleOf(t, text)
	for _, tt := range []struct {
		name  string
		world prosodytest.Options
		check string
		want  string
	}{
		{"rooms are open to disco", prosodytest.Options{}, "mode", "disco: raw counts"},
		{"rooms are open to disco, without the module", prosodytest.Options{}, "module", "muc.meet.jitsi: the Lua module is not loaded there"},
		{"another version of the module", prosodytest.Options{Module: true, PluginPaths: []string{old}}, "module", "that of this PPCH is " + prosody.ModuleVersion},
		{"Prosody's clock", prosodytest.Options{Module: true, PluginPaths: []string{old}}, "clock", "Prosody's clock is 1m30s ahead of the service's"},
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
			if found := got.of(tt.check, "warning"); status != 0 || len(found) != 1 || !strings.Contains(found[0], tt.want) {
				t.Errorf("got exit status %d and %+v", status, got)
			}
			if out, err := command(t, env, "doctor"); err != nil || strings.Contains(out, "\u009b") || !strings.Contains(out, "\n! "+tt.check) {
				t.Errorf("got %q, %v want a readable line without control characters", out, err)
			}
		})
	}
}
