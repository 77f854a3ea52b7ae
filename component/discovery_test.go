package component_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component"
	"ppch/component/occupancy"
	"ppch/prosody/prosodytest"
)

func TestServices_FindsMUCs(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{MUCPrefix: "conference", HostModules: map[string][]string{"lobby.meet.jitsi": {"room_participants_api"}}})
	for name, cfg := range map[string]func(*component.Config){
		"a wrong domain": func(c *component.Config) { c.MUCDomains = []jid.JID{jid.MustParse("muc.meet.jitsi")} },
		"a component elsewhere": func(c *component.Config) {
			c.Domain, c.MUCDomains = jid.MustParse(srv.Domains.Cast), []jid.JID{jid.MustParse("muc.elsewhere")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := on(t, srv, cfg)
			eventually(t, 10*time.Second, "the stream is up", func() bool { return c.Main().Connected })
			got, err := c.Services()
			const want = "[{breakout.meet.jitsi main []} {conference.meet.jitsi main []} {internal-muc.meet.jitsi main []} {lobby.meet.jitsi main [urn:ppch:occupancy:1]}]"
			if err != nil || fmt.Sprint(got) != want {
				t.Errorf("got %v, %v want %s", got, err, want)
			}
		})
	}
	t.Run("a component that never answers", func(t *testing.T) {
		must(srv.Component(t.Context(), srv.Domains.Cast))(t)
		c := on(t, srv)
		eventually(t, 10*time.Second, "the stream is up", func() bool { return c.Main().Connected })
		asked := time.Now()
		got, err := c.Services()
		if took := time.Since(asked); err != nil || len(got) != 4 || took > 4*time.Second {
			t.Errorf("got %v, %v after %s want the four services that answer", got, err, took)
		}
	})
	down := on(t, srv, func(c *component.Config) { c.Secret = "wrong" })
	if got, err := down.Services(); reasonOf(err) == "" || got != nil {
		t.Errorf("got %v, %v want an error", got, err)
	}
}

func TestDiscovery_NotAllowed(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, GlobalConfig: `room_participants_components = { "other.meet.jitsi" }`})
	c := on(t, srv)
	reason := func() occupancy.Reason {
		if p := c.Main().Problem; p != nil {
			return p.Reason
		}
		return ""
	}
	eventually(t, 20*time.Second, "the domain has a problem", func() bool { return reason() == occupancy.ReasonNotAllowed })
	if _, err := c.Room(t.Context(), jid.MustParse(srv.Room("planning"))); reasonOf(err) != occupancy.ReasonNotAllowed {
		t.Errorf("got %v want not-allowed", err)
	}
	if _, err := c.Directory().Rooms(occupancy.Query{}); reasonOf(err) != occupancy.ReasonNotAllowed {
		t.Errorf("got %v want not-allowed", err)
	}
}

func TestClockOffset_IsMeasured(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, withModule)
	c := on(t, srv)
	var sync *occupancy.Sync
	eventually(t, 20*time.Second, "the component has subscribed", func() bool { sync = c.Diagnostics().Domains[0].Sync; return sync != nil })
	if sync.Ahead == nil || sync.Ahead.Abs() > 50*time.Millisecond {
		t.Errorf("got %v want the same clock", sync.Ahead)
	}
}

// remoteSeen logs each host for which Prosody would connect to another server.
const remoteSeen = `module:hook("route/remote", function (event)
	module:log("info", "remote: %s", event.to_host);
end, 1);`

// Where Prosody connects to other servers, a question to a guessed host would make it connect to one of that name.
func TestServices_AskNoHostThatMayBeElsewhere(t *testing.T) {
	t.Parallel()
	plugins := t.TempDir()
	check(t, os.WriteFile(filepath.Join(plugins, "mod_remote_seen.lua"), []byte(remoteSeen), 0o644))
	srv := prosodytest.New(t, prosodytest.Options{
		GlobalConfig: `modules_disabled = { "tls", "offline" }`, // s2s is on
		Components:   []string{"count.example.org"}, PluginPaths: []string{plugins},
		HostModules: map[string][]string{"ppch.meet.jitsi": {"remote_seen"}, "count.example.org": {"remote_seen"}},
	})
	const all = "[{breakout.meet.jitsi main []} {internal-muc.meet.jitsi main []} {lobby.meet.jitsi main []} {muc.meet.jitsi main []}]"
	for _, tt := range []struct{ name, component, muc, want string }{
		{"as Jitsi has it", "ppch.meet.jitsi", "muc.meet.jitsi", all},
		{"a wrong domain", "ppch.meet.jitsi", "conference.meet.jitsi", all},
		{"a component elsewhere", "count.example.org", "muc.meet.jitsi", all},
		{"all elsewhere", "count.example.org", "muc.example.net", "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := on(t, srv, func(c *component.Config) {
				c.Domain, c.MUCDomains = jid.MustParse(tt.component), []jid.JID{jid.MustParse(tt.muc)}
			})
			eventually(t, 10*time.Second, "the stream is up", func() bool {
				_, err := c.Services()
				return err == nil
			})
			got, err := c.Services()
			if err != nil || fmt.Sprint(got) != tt.want {
				t.Errorf("got %v, %v want %s", got, err, tt.want)
			}
		})
	}
	if !strings.Contains(srv.Log(), "remote: muc.example.net") {
		t.Error("got no s2s, so this test shows nothing")
	}
	for line := range strings.Lines(srv.Log()) {
		_, host, ok := strings.Cut(strings.TrimSpace(line), "remote: ")
		if ok && host != "muc.example.net" && host != "conference.meet.jitsi" {
			t.Errorf("Prosody was asked for %s, which the operator did not name", host)
		}
	}
}
