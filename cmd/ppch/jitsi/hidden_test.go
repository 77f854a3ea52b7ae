package jitsi_test

import (
	"strings"
	"testing"
)

// docker-jitsi-meet's prosody/rootfs/etc/s6-overlay/scripts/config uses XMPP_HIDDEN_DOMAIN, else XMPP_RECORDER_DOMAIN (its name before
// stable-9823), else hidden.meet.jitsi; earlier the default was recorder.meet.jitsi. Jicofo's debian/postinst trusts recorder.DOMAIN.
func TestInstall_NamesTheHiddenDomain(t *testing.T) {
	const line = `room_participants_hidden_domains = { "%" }`
	for _, tt := range []struct {
		name, tree, env string
		want            string // empty for none
	}{
		{"the default", "docker-stable-11146", "", "hidden.meet.jitsi"},
		{"an empty variable", "docker-stable-11146", "XMPP_HIDDEN_DOMAIN=\n", "hidden.meet.jitsi"},
		{"a custom domain", "docker-stable-11146", "XMPP_HIDDEN_DOMAIN=hidden.example.org\n", "hidden.example.org"},
		{"by its former name", "docker-stable-11146", "XMPP_RECORDER_DOMAIN=recorder.example.org\n", "recorder.example.org"},
		{"by both names", "docker-stable-11146", "XMPP_RECORDER_DOMAIN=recorder.example.org\nXMPP_HIDDEN_DOMAIN=hidden.example.org\n", "hidden.example.org"},
		{"an earlier release's default", "docker-stable-9457", "", "recorder.meet.jitsi"},
		{"an earlier release with the former name", "docker-stable-9457", "XMPP_RECORDER_DOMAIN=recorder.example.org\n", "recorder.example.org"},
		{"Debian's packages with Jibri", "debian", "", "recorder.meet.example.com"},
		{"Debian's packages without", "debian-2020", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := layOut(t, tt.tree)
			if tt.env != "" {
				tr.put(env, tr.get(env)+tt.env)
			}
			diff := tr.install(t).Diff()
			want := strings.Replace(line, "%", tt.want, 1)
			if got := strings.Contains(diff, "+"+want+"\n"); got != (tt.want != "") || tt.want == "" && strings.Contains(diff, "hidden_domains") {
				t.Errorf("got\n%s want %q in it", diff, want)
			}
		})
	}
	t.Run("another file names one", func(t *testing.T) {
		tr := layOut(t, "docker-stable-9457")
		tr.put("jitsi/cfg/prosody/config/conf.d/mine.cfg.lua", "room_participants_hidden_domains = { \"mine.example\" }\n")
		if diff := tr.install(t).Diff(); strings.Contains(diff, "hidden_domains") {
			t.Errorf("got\n%s want the other file's domain kept", diff)
		}
	})
}
