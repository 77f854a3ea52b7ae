package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// More rooms than Prosody keeps in memory slow it, with or without PPCH.
func TestDoctor_NamesARoomCacheThatIsTooSmall(t *testing.T) {
	t.Parallel()
	for size, small := range map[int]bool{2: true, 3: false} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			world := jitsiLike
			world.HostConfig = map[string]string{"muc.meet.jitsi": fmt.Sprintf("muc_room_cache_size = %d", size)}
			srv := prosodytest.New(t, world)
			cast := castOn(t, srv)
			for _, room := range []string{"one", "two", "three"} {
				meeting(t, cast, srv.Room(room), "Ada")
			}
			env := envFor(srv)
			byItself, _ := diagnose(t, nobody(t, env))
			s := runService(t, env).ready()
			eventually(t, 10*time.Second, "three rooms are known", func() bool { return s.room("three").data["participant_count"] == 1.0 })
			beside := maps.Clone(env)
			maps.Copy(beside, healthcheckOf(t, s, "127.0.0.1"))
			byService, status := diagnose(t, beside)
			for _, got := range []diagnosis{byItself, byService} {
				told := got.of("sync", "warning")
				if !small {
					if len(told) != 0 {
						t.Errorf("got %q want no warning", told)
					}
					continue
				}
				if len(told) != 1 {
					t.Fatalf("got %+v want a warning", got)
				}
				for _, want := range []string{
					"muc.meet.jitsi: all rooms are known; there are 3, and Prosody keeps 2 in memory (muc_room_cache_size)",
					`muc_room_cache_size = 10000 below Component "muc.meet.jitsi"`,
				} {
					if !strings.Contains(told[0], want) {
						t.Errorf("got %s want %q in it", told[0], want)
					}
				}
			}
			if status != 0 {
				t.Errorf("got exit status %d want 0: it works", status)
			}
		})
	}
}
