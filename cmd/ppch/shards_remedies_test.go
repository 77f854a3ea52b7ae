package main

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// variable matches the settings of a single Prosody, which have no effect with a file of shards.
var variable = regexp.MustCompile(`\b(PROSODY_URL|PPCH_COMPONENT_DOMAIN|PPCH_COMPONENT_SECRET|MUC_DOMAIN)\b`)

// Each wrong field of a file of shards is named as such, by every face.
func TestShards_RemediesNameTheField(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, Accounts: map[string]string{"boss@auth.meet.jitsi": "secret"}})
	dir, at := t.TempDir(), "xmpp://"+srv.ComponentAddr()
	for name, secret := range map[string]string{"right": srv.Secret(), "wrong": "not the secret at all"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	line := func(name, url, component, secret, muc string) string {
		return "name=" + name + " url=" + url + " component=" + component + " secret_file=" + filepath.Join(dir, secret) + " muc=" + muc + "\n"
	}
	wrongPort := line("port", "xmpp://"+freeAddress(t), srv.Domains.Component, "right", srv.Domains.MUC)
	wrongMUC := line("muc", at, srv.Domains.Cast, "right", "conference.meet.jitsi")
	shards := filepath.Join(dir, "shards")
	write := func(lines ...string) {
		if err := os.WriteFile(shards, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(
		line("fine", at, srv.Domains.Component, "right", srv.Domains.MUC), wrongPort, wrongMUC,
		line("name", at, "other.meet.jitsi", "right", srv.Domains.MUC),
		line("login", strings.Replace(at, "127.0.0.1", "localhost", 1), srv.Domains.Component, "wrong", srv.Domains.MUC),
	)
	env := variables{"PPCH_API_KEY": testKey, "PPCH_PORT": "0", "PPCH_RATE_LIMIT": "0", "PPCH_SHARDS_FILE": shards, "PPCH_ADMIN_JIDS": "boss@auth.meet.jitsi"}
	s := runService(t, env)
	every := []string{
		"or fix url= of shard port in PPCH_SHARDS_FILE", "set muc= of shard muc in PPCH_SHARDS_FILE to", "or fix component= of shard name in PPCH_SHARDS_FILE",
		"into the file of secret_file= of shard login in PPCH_SHARDS_FILE",
	}
	lacks := func(text string, want ...string) (missing string) {
		for _, w := range want {
			if !strings.Contains(text, w) {
				return w
			}
		}
		return variable.FindString(text)
	}
	get := func(target string) answer { return s.get(target, "X-API-Key", testKey) }
	eventually(t, 20*time.Second, "the API names each field", func() bool { return lacks(get("/api/diagnostics").body, every...) == "" })
	if got := get("/health").body; lacks(got, every...) != "" {
		t.Errorf("got %s want each field in it", got)
	}
	if got := get("/api/rooms/nowhere?shard=port"); got.status != http.StatusServiceUnavailable || lacks(got.body, every[0]) != "" {
		t.Errorf("got %s want its field", got.body)
	}
	if _, err := command(t, asks(t, s), "rooms", "--shard", "port"); err == nil || lacks(err.Error(), every[0]) != "" {
		t.Errorf("got %v at the terminal, want its field", err)
	}
	f := faces{t: t, s: s, admin: must(srv.Login(t.Context(), "boss@auth.meet.jitsi/desk"))(t), to: srv.Domains.Component}
	defer f.admin.Close()
	eventually(t, 20*time.Second, "chat names the fields", func() bool { return lacks(f.chat("status"), every[0], every[1]) == "" })

	asking := maps.Clone(env)
	maps.Copy(asking, asks(t, s))
	got, _ := diagnose(t, asking)
	if found := strings.Join(got.of("shards", "error"), "\n"); lacks(found, every...) != "" {
		t.Errorf("got %s from the doctor, want each field", found)
	}
	if found := strings.Join(got.of("muc-domains", "error"), "\n"); lacks(found, "probably muc=muc.meet.jitsi of shard muc in PPCH_SHARDS_FILE") != "" {
		t.Errorf("got %s from the doctor, want the field with its right value", found)
	}

	alone := withoutService(t, env)
	write(wrongPort)
	got, _ = diagnose(t, alone)
	if found := strings.Join(got.of("port", "error"), "\n"); lacks(found, every[0]) != "" {
		t.Errorf("got %s from the doctor by itself, want the field", found)
	}
}
