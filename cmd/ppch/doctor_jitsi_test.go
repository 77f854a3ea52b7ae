package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// The module is named where Prosody loads modules, but its file isn't there.
func TestDoctor_NamesAMissingModuleFile(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, jitsiLike)
	if err := os.Remove(filepath.Join(srv.Dir(), "plugins", "mod_"+prosody.ModuleName+".lua")); err != nil {
		t.Fatal(err)
	}
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if logged := "Unable to load module '" + prosody.ModuleName + "'"; !srv.LogContains(logged) {
		t.Errorf("Prosody didn't log %q:\n%s", logged, srv.Log())
	}
	got, status := diagnose(t, nobody(t, envFor(srv)))
	told := got.of("module", "error")
	if status != 1 || len(told) == 0 {
		t.Fatalf("got exit status %d and %+v want the module to be missing", status, got)
	}
	for _, want := range []string{
		"if it is named there already, its file mod_room_participants_api.lua is missing",
		"Unable to load module 'room_participants_api'", "Copy prosody/mod_room_participants_api.lua to ${CONFIG}/prosody/prosody-plugins-custom/",
	} {
		if !strings.Contains(told[0], want) {
			t.Errorf("got %s want %q in it", told[0], want)
		}
	}
}
