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

// The module is enabled, but its file is missing.
func TestDoctor_MissingModuleFile(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, jitsiLike)
	check(t, os.Remove(filepath.Join(srv.Dir(), "plugins", "mod_"+prosody.ModuleName+".lua")))
	check(t, srv.Restart(t.Context()))
	if logged := "Unable to load module '" + prosody.ModuleName + "'"; !srv.LogContains(logged) {
		t.Errorf("Prosody didn't log %q:\n%s", logged, srv.Log())
	}
	got, status := diagnose(t, withoutService(t, envFor(srv)))
	found := got.of("module", "error")
	if status != 1 || len(found) == 0 {
		t.Fatalf("got exit status %d and %+v want the module missing", status, got)
	}
	for _, want := range []string{
		"if it is enabled already, its file mod_room_participants_api.lua is missing",
		"Unable to load module 'room_participants_api'", "Copy prosody/mod_room_participants_api.lua to ${CONFIG}/prosody/prosody-plugins-custom/",
	} {
		if !strings.Contains(found[0], want) {
			t.Errorf("got %s want %q in it", found[0], want)
		}
	}
}

// More rooms than Prosody keeps in memory slow it down, with or without PPCH.
func TestDoctor_WarnsOfSmallRoomCache(t *testing.T) {
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
			probed, _ := diagnose(t, withoutService(t, env))
			s := runService(t, env).ready()
			eventually(t, 10*time.Second, "three rooms are loaded", func() bool { return s.room("three").data["participant_count"] == 1.0 })
			running := maps.Clone(env)
			maps.Copy(running, healthcheckOf(t, s, "127.0.0.1"))
			reported, status := diagnose(t, running)
			for _, got := range []diagnosis{probed, reported} {
				found := got.of("sync", "warning")
				if !small {
					if len(found) != 0 {
						t.Errorf("got %q want no warning", found)
					}
					continue
				}
				if len(found) != 1 {
					t.Fatalf("got %+v want a warning", got)
				}
				for _, want := range []string{
					"muc.meet.jitsi: all rooms are loaded; there are 3, and Prosody keeps 2 in memory (muc_room_cache_size)",
					`muc_room_cache_size = 10000 below Component "muc.meet.jitsi"`,
				} {
					if !strings.Contains(found[0], want) {
						t.Errorf("got %s want %q in it", found[0], want)
					}
				}
			}
			if status != 0 {
				t.Errorf("got exit status %d want 0: it works", status)
			}
		})
	}
}
