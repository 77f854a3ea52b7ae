package main

import (
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// A Prosody that answered before and hangs now needs no other port: every interface says that it stopped answering.
func TestFrozenProsody_StoppedAnswering(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	between := must(prosodytest.NewNetwork(srv.ComponentAddr()))(t)
	t.Cleanup(func() { _ = between.Close() })
	env := envFor(srv)
	env["PROSODY_URL"] = "xmpp://" + between.Addr()
	env["PPCH_MAX_STALENESS"] = "15s"
	s := runService(t, env).ready()
	check(t, srv.Pause())
	t.Cleanup(func() { _ = srv.Resume() })
	between.Break()

	list := func() answer { return s.get("/api/rooms", "X-API-Key", testKey) }
	eventually(t, time.Minute, "an attempt to connect has failed, and the rooms are unknown", func() bool {
		return list().status == 503 && list().data["reason"] == "timeout" && strings.Contains(s.log.String(), `"reason":"timeout"`)
	})
	client := variables{"PPCH_API_KEY": testKey}
	_, failed := command(t, client, "rooms", "--url", s.url)
	if failed == nil {
		t.Fatal("ppch rooms succeeds without rooms")
	}
	doctor, _ := command(t, client, "doctor", "--url", s.url)
	for name, text := range map[string]string{
		"/health": s.get("/health").body, "/api/rooms": list().body, "ppch rooms": failed.Error(), "ppch doctor": doctor,
	} {
		if !strings.Contains(text, "stopped answering") || strings.Contains(text, "no XMPP component service") || strings.Contains(text, "fix the port") {
			t.Errorf("%s says\n%s", name, text)
		}
	}
}
