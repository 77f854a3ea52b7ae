package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestNATS_Settings(t *testing.T) {
	const sealing = "0123456789abcdef"
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		name string
		vars []string
		want string // of the error, empty for none
	}{
		{"two servers", []string{"PPCH_NATS_URL", "nats://a:4222, tls://b", "PPCH_CLUSTER_SECRET", sealing}, ""},
		{"a user", []string{"PPCH_NATS_URL", "nats://a", "PPCH_CLUSTER_SECRET", sealing, "PPCH_NATS_USER", "ppch", "PPCH_NATS_PASSWORD", "hush-hush"}, ""},
		{"no server", []string{"PPCH_NATS_USER", "ppch"}, "PPCH_NATS_USER: is set, but PPCH_NATS_URL is not: set it to the servers, such as nats://nats:4222"},
		{"a shard over NATS without a server", nil, "PPCH_NATS_URL: is not set, but the shard far is via=nats: set it to the servers, such as nats://nats:4222"},
		{"no secret", []string{"PPCH_NATS_URL", "nats://a"}, "PPCH_CLUSTER_SECRET: is not set, but PPCH_NATS_URL is: set the same one on all nodes, made with: openssl rand -hex 32"},
		{"not a URL", []string{"PPCH_NATS_URL", "a:4222", "PPCH_CLUSTER_SECRET", sealing}, `PPCH_NATS_URL: "a:4222" is not a URL of NATS: write nats://HOST:4222, or tls://HOST:4222`},
		{"a password in the URL", []string{"PPCH_NATS_URL", "nats://ppch:hush-hush@a:4222", "PPCH_CLUSTER_SECRET", sealing},
			"PPCH_NATS_URL: contains a user, which the log would show: set PPCH_NATS_USER and PPCH_NATS_PASSWORD_FILE instead"},
		{"a prefix with a wildcard", []string{"PPCH_NATS_URL", "nats://a", "PPCH_CLUSTER_SECRET", sealing, "PPCH_NATS_PREFIX", "ppch.>"}, `PPCH_NATS_PREFIX: "ppch.>": ">" can't be a part of a subject`},
		{"two logins", []string{"PPCH_NATS_URL", "nats://a", "PPCH_CLUSTER_SECRET", sealing, "PPCH_NATS_USER", "ppch", "PPCH_NATS_CREDS", missing}, "PPCH_NATS_USER: is set, and PPCH_NATS_CREDS too: keep one of them"},
		{"a user without password", []string{"PPCH_NATS_URL", "nats://a", "PPCH_CLUSTER_SECRET", sealing, "PPCH_NATS_USER", "ppch"}, "PPCH_NATS_PASSWORD: is not set, nor is PPCH_NATS_PASSWORD_FILE: it is the password of PPCH_NATS_USER"},
		{"credentials that don't exist", []string{"PPCH_NATS_URL", "nats://a", "PPCH_CLUSTER_SECRET", sealing, "PPCH_NATS_CREDS", missing}, "PPCH_NATS_CREDS: can't be read: "},
		{"authorities that don't exist", []string{"PPCH_NATS_URL", "nats://a", "PPCH_CLUSTER_SECRET", sealing, "PPCH_NATS_CA", missing}, "PPCH_NATS_CA: can't be read: "},
		{"a certificate without key", []string{"PPCH_NATS_URL", "nats://a", "PPCH_CLUSTER_SECRET", sealing, "PPCH_NATS_CERT", missing}, "PPCH_NATS_KEY: is not set, but PPCH_NATS_CERT is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := loadShards(t, "name=here url=xmpp://a component=ppch.meet.jitsi secret_file=SECRET muc=muc.meet.jitsi\nname=far muc=muc.meet.jitsi via=nats\n", c.vars...)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v want %q", err, c.want)
			}
			if text := fmt.Sprintf("%+v %v", got, err); strings.Contains(text, "hush-hush") {
				t.Errorf("got a password in %s", text)
			}
			if c.want == "" && (len(got.NATS.URLs) == 0 || got.NATS.Prefix != "ppch") {
				t.Errorf("got %+v want servers and the default prefix", got.NATS)
			}
		})
	}
}
