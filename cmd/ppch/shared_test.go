package main

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ppch/component/clustertest"
	"ppch/prosody/prosodytest"
)

// store is a NATS server in this process that keeps data.
type store struct{ *clustertest.NATS }

func startStore(t *testing.T, adjust ...func(*server.Options)) store {
	t.Helper()
	return store{clustertest.NewNATS(t, append([]func(*server.Options){clustertest.JetStream(t)}, adjust...)...)}
}

// raw returns a client of the bucket without the secret.
func (s store) raw(t *testing.T) jetstream.KeyValue {
	t.Helper()
	conn := must(nats.Connect(s.ClientURL()))(t)
	t.Cleanup(conn.Close)
	return must(must(jetstream.New(conn))(t).KeyValue(t.Context(), "ppch_config"))(t)
}

// inNATS returns the environment of a node that has its keys in NATS, without a Prosody.
func inNATS(url string, more variables) variables {
	env := variables{
		"PPCH_PORT": "0", "PPCH_RATE_LIMIT": "0", "PROSODY_URL": "xmpp://127.0.0.1:1", "PPCH_COMPONENT_SECRET": "s3cret-of-the-component",
		"PPCH_CONFIG_FROM_NATS": "true", "PPCH_NATS_URL": url, "PPCH_CLUSTER_SECRET": "a-secret-of-all-nodes",
	}
	maps.Copy(env, more)
	return env
}

// made runs a command that makes a key or link in NATS, and returns it.
func made(t *testing.T, env variables, args ...string) string {
	t.Helper()
	out, err := command(t, env, args...)
	lines := strings.Split(out, "\n")
	if err != nil || len(lines) != 6 || !strings.HasSuffix(lines[0], ", not shown again:") || lines[3] != "In NATS, for all nodes:" || strings.Contains(out, "sha256") {
		t.Fatalf("got %q, %v want a key, and its rights", out, err)
	}
	return lines[1]
}

// with returns the status and the reason of an answer that needs no Prosody.
func (s *service) with(key string) (status int, reason any) {
	a := s.get("/api/diagnostics", "X-API-Key", key)
	return a.status, a.data["reason"]
}

// becomes waits until a key has that status.
func (s *service) becomes(key string, want int) {
	s.t.Helper()
	eventually(s.t, 10*time.Second, "the key has the status "+http.StatusText(want), func() bool {
		got, _ := s.with(key)
		return got == want
	})
}

// A key that is made once works on all nodes, and is withdrawn on all.
func TestConfigFromNATS_Keys(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	nats := startStore(t)
	env := inNATS(nats.ClientURL(), nil)
	first := runService(t, env)
	if a := first.get("/health"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, `"reason":"bucket-missing"`) {
		t.Errorf("/health got %d %s want that there are no keys", a.status, a.body)
	}
	if a := first.get("/readyz"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "[-]settings failed: NATS has no bucket ppch_config: make a key with ppch key new") {
		t.Errorf("/readyz got %d %s want that there are no keys", a.status, a.body)
	}
	if a := first.get("/api/rooms", "X-API-Key", "ppch_AAAAAAAAAAAAAAAAAAAAAAAAAA"); a.status != 503 || a.data["code"] != "settings-unavailable" || a.data["reason"] != "bucket-missing" {
		t.Errorf("got %d %s want 503 with the reason", a.status, a.body)
	}
	if a := first.get("/api/rooms"); a.status != http.StatusUnauthorized {
		t.Errorf("without a key got %d %s want 401", a.status, a.body)
	}

	key := made(t, env, "key", "new", "--name", "screen", "--scope", "all")
	link := made(t, env, "key", "share", "--name", "door", "--all")
	second := runService(t, inNATS(nats.ClientURL(), envFor(srv))).ready()
	first.becomes(key, http.StatusOK)
	for _, s := range []*service{first, second} {
		if got, reason := s.with(key); got != http.StatusOK {
			t.Errorf("the key got %d %v", got, reason)
		}
		if got, _ := s.with("ppch_BBBBBBBBBBBBBBBBBBBBBBBBBB"); got != http.StatusForbidden {
			t.Errorf("another key got %d want 403", got)
		}
	}
	if a := second.get(link + ".json"); a.status != http.StatusOK {
		t.Errorf("the link got %d %s", a.status, a.body)
	}
	if a := second.get("/health"); a.status != http.StatusOK || !strings.Contains(a.body, `"settings":{"status":"ok","reason":null,"known":true,"read_at":"2`) {
		t.Errorf("/health got %d %s", a.status, a.body)
	}
	if a := second.get("/api/diagnostics", "X-API-Key", key); !strings.Contains(a.body, `"settings":{"bucket":"ppch_config","known":true,"read_at":"2`) || !strings.Contains(a.body, `"keys":2,"webhooks":0,"refused":0,"reason":null`) {
		t.Errorf("diagnostics got %s", a.body)
	}
	if a := second.get("/metrics", "X-API-Key", key); !strings.Contains(a.body, "ppch_settings_known 1\n") || !strings.Contains(a.body, "ppch_settings_refused_total 0\n") || !strings.Contains(a.body, "ppch_settings_age_seconds ") {
		t.Error("the metrics lack the settings")
	}
	out, err := command(t, env, "key", "list")
	if err != nil || out != "name=screen scope=all\nname=door scope=share\n" {
		t.Errorf("key list got %q, %v", out, err)
	}
	backup, err := command(t, env, "key", "list", "--lines")
	if err != nil || strings.Count(backup, "sha256=") != 2 {
		t.Errorf("key list --lines got %q, %v", backup, err)
	}
	if _, err := command(t, env, "key", "new", "--name", "screen", "--scope", "count"); err == nil || !strings.Contains(err.Error(), "the list has another key screen: remove it first") {
		t.Errorf("got %v want that the name is used", err)
	}

	// Withdrawn: open streams end, as when a file changes.
	st := second.stream("/api/events", "X-API-Key", key)
	st.Next()
	for _, name := range []string{"screen", "door"} {
		if out, err := command(t, env, "key", "remove", name); err != nil || out != "" {
			t.Errorf("key remove got %q, %v", out, err)
		}
	}
	_ = st.Ended()
	first.becomes(key, http.StatusForbidden)
	second.becomes(key, http.StatusForbidden)
	eventually(t, 10*time.Second, "the link is withdrawn", func() bool { return second.get(link+".json").status == http.StatusNotFound })
	if _, err := command(t, env, "key", "remove", "door"); err == nil || err.Error() != "no key or share link is named door" {
		t.Errorf("got %v", err)
	}

	// Import, twice.
	file := filepath.Join(t.TempDir(), "keys")
	check(t, os.WriteFile(file, []byte("# keys\n"+backup), 0o600))
	for _, want := range []string{"2 keys and share links added\n", "0 keys and share links added\n"} {
		if out, err := command(t, env, "key", "import", file); err != nil || out != want {
			t.Errorf("key import got %q, %v want %q", out, err, want)
		}
	}
	first.becomes(key, http.StatusOK)
	for _, s := range []*service{first, second} {
		if log := s.log.String(); strings.Contains(log, key) || strings.Contains(log, strings.TrimPrefix(link, "/s/")) {
			t.Error("the log has a key")
		}
	}
	entry := must(nats.raw(t).Get(t.Context(), "keys"))(t)
	if text := string(entry.Value()); strings.Contains(text, "screen") || strings.Contains(text, "sha256") {
		t.Errorf("got %q want it encrypted", text)
	}
}

// While NATS is away, a node keeps the keys that it has read; one that starts then has none but its own.
func TestConfigFromNATS_NATSAway(t *testing.T) {
	t.Parallel()
	nats := startStore(t)
	env := inNATS(nats.ClientURL(), nil)
	key := made(t, env, "key", "new", "--name", "a", "--scope", "all")
	link := made(t, env, "key", "share", "--all")
	running := runService(t, env)
	running.becomes(key, http.StatusOK)
	nats.Stop()
	eventually(t, 20*time.Second, "the service says so", func() bool {
		a := running.get("/api/diagnostics", "X-API-Key", key)
		return a.status == http.StatusOK && strings.Contains(a.body, `"known":true,"read_at":"2`) && strings.Contains(a.body, `"reason":"nats-unreachable"`)
	})
	late := runService(t, inNATS(nats.ClientURL(), variables{"PPCH_API_KEY": testKey}))
	if got, reason := late.with(key); got != http.StatusServiceUnavailable || reason != "nats-unreachable" {
		t.Errorf("the key got %d %v want 503 with the reason", got, reason)
	}
	if a := late.get(link + ".json"); a.status != http.StatusServiceUnavailable {
		t.Errorf("the link got %d %s want 503", a.status, a.body)
	}
	if a := late.get("/api/events?ticket=x"); a.status != http.StatusForbidden {
		t.Errorf("a wrong ticket got %d %s want 403", a.status, a.body)
	}
	if got, _ := late.with(testKey); got != http.StatusOK {
		t.Errorf("PPCH_API_KEY got %d want 200", got)
	}
	for range 20 { // no client is locked out
		late.with(key)
	}
	if _, err := command(t, env, "key", "new", "--name", "b", "--scope", "all"); err == nil || !strings.Contains(err.Error(), "NATS can't be reached at 127.0.0.1:") {
		t.Errorf("got %v want that NATS is away", err)
	}
	nats.Start()
	late.becomes(key, http.StatusOK)
}

// A node with a data folder that starts while NATS is away has the keys that it read last, until NATS answers.
func TestConfigFromNATS_Saved(t *testing.T) {
	t.Parallel()
	nats := startStore(t)
	dir := filepath.Join(t.TempDir(), "data")
	env := inNATS(nats.ClientURL(), variables{"PPCH_DATA_DIR": dir})
	key := made(t, env, "key", "new", "--name", "a", "--scope", "all")
	link := made(t, env, "key", "share", "--name", "door", "--all")
	first := runService(t, env)
	first.becomes(key, http.StatusOK)
	eventually(t, 10*time.Second, "the keys are saved", func() bool {
		_, err := os.Stat(filepath.Join(dir, "settings"))
		return err == nil
	})
	nats.Stop()

	late := runService(t, inNATS(nats.ClientURL(), variables{"PPCH_DATA_DIR": dir, "PPCH_API_KEY": testKey}))
	late.becomes(key, http.StatusOK)
	if a := late.get(link + ".json"); a.data["reason"] == "nats-unreachable" {
		t.Errorf("the link got %d %s want that it is known", a.status, a.body)
	}
	if a := late.get("/api/diagnostics", "X-API-Key", key); !strings.Contains(a.body, `"known":true,"read_at":"2`) || !strings.Contains(a.body, `"keys":2,`) || !strings.Contains(a.body, `"reason":"nats-unreachable"`) {
		t.Errorf("diagnostics got %s want how old the keys are", a.body)
	}
	if a := late.get("/metrics", "X-API-Key", key); !strings.Contains(a.body, "ppch_settings_known 1\n") || !strings.Contains(a.body, "ppch_settings_age_seconds ") {
		t.Error("the metrics lack the age of the settings")
	}
	report, _ := diagnose(t, inNATS(nats.ClientURL(), variables{"PPCH_API_KEY": testKey, "PPCH_PORT": portOf(t, late.url)}))
	if got := report.of("keys-in-nats", "warning"); len(got) != 1 || !strings.HasPrefix(got[0], "nats-unreachable; the service keeps what it read at 2") {
		t.Errorf("got %+v want a warning", report)
	}
	if log := late.log.String(); !strings.Contains(log, "saved settings") || strings.Contains(log, key) {
		t.Errorf("got the log %s want that the settings are saved ones", log)
	}

	nats.Start()
	must(command(t, env, "key", "remove", "a"))(t)
	late.becomes(key, http.StatusForbidden)
}

// A foreign program in NATS makes no key, and takes none from a node that runs.
func TestConfigFromNATS_ForeignKeys(t *testing.T) {
	t.Parallel()
	nats := startStore(t)
	env := inNATS(nats.ClientURL(), nil)
	key := made(t, env, "key", "new", "--name", "a", "--scope", "all")
	s := runService(t, env)
	s.becomes(key, http.StatusOK)
	raw := nats.raw(t)
	withKey := must(raw.Get(t.Context(), "keys"))(t).Value()
	must(command(t, env, "key", "remove", "a"))(t)
	s.becomes(key, http.StatusForbidden)
	other := made(t, env, "key", "new", "--name", "b", "--scope", "all")
	s.becomes(other, http.StatusOK)
	for reason, data := range map[string][]byte{"bucket-replayed": withKey, "bucket-foreign": []byte("name=evil sha256=0000 scope=all\n")} {
		must(raw.Put(t.Context(), "keys", data))(t)
		eventually(t, 10*time.Second, reason, func() bool {
			return strings.Contains(s.get("/api/diagnostics", "X-API-Key", other).body, `"reason":"`+reason+`"`)
		})
		if got, _ := s.with(key); got != http.StatusForbidden && got != http.StatusTooManyRequests {
			t.Errorf("%s: the removed key got %d want 403, or 429", reason, got)
		}
	}
	check(t, raw.Delete(t.Context(), "keys"))
	eventually(t, 10*time.Second, "the deletion is reported", func() bool { return strings.Contains(s.log.String(), "bucket-deleted") })
	if got, _ := s.with(other); got != http.StatusOK {
		t.Errorf("the key got %d want 200", got)
	}
	late := runService(t, env)
	if got, reason := late.with(other); got != http.StatusServiceUnavailable || reason != "keys-missing" {
		t.Errorf("on a new node the key got %d %v want 503", got, reason)
	}
	must(raw.Put(t.Context(), "keys", []byte("garbage")))(t)
	if _, err := command(t, env, "key", "remove", "b"); err == nil || !strings.Contains(err.Error(), "is not sealed with this PPCH_CLUSTER_SECRET: set the same") {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "keys")
	check(t, os.WriteFile(file, nil, 0o600))
	if out, err := command(t, env, "key", "import", "--replace", file); err != nil || out != "0 keys and share links added\n" {
		t.Errorf("got %q, %v", out, err)
	}
	s.becomes(other, http.StatusForbidden)
	late.becomes(other, http.StatusForbidden)
}

func TestConfigFromNATS_WrongConfiguration(t *testing.T) {
	t.Parallel()
	if _, err := command(t, nil, "key", "list"); err == nil || err.Error() != "PPCH_CONFIG_FROM_NATS is not true, so keys are lines of the file in PPCH_API_KEYS_FILE: edit that file" {
		t.Errorf("got %v", err)
	}
	if _, err := command(t, variables{"PPCH_CONFIG_FROM_NATS": "true"}, "key", "list"); err == nil || !strings.Contains(err.Error(), "PPCH_NATS_URL is not set") || !strings.Contains(err.Error(), "PPCH_CLUSTER_SECRET") {
		t.Errorf("got %v", err)
	}
	off := startStore(t, func(o *server.Options) { o.JetStream = false })
	if _, err := command(t, inNATS(off.ClientURL(), nil), "key", "new", "--name", "a", "--scope", "all"); err == nil || !strings.Contains(err.Error(), "has no JetStream, which keeps the keys of all nodes: enable JetStream") {
		t.Errorf("got %v", err)
	}
	strict := startStore(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "ppch", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"ppch.>"}}}}}
	})
	_, err := command(t, inNATS(strict.ClientURL(), variables{"PPCH_NATS_USER": "ppch", "PPCH_NATS_PASSWORD": "x"}), "key", "new", "--name", "a", "--scope", "all")
	if err == nil || !strings.Contains(err.Error(), "NATS does not allow this PPCH to publish to $JS.API.STREAM.INFO.KV_ppch_config") || !strings.Contains(err.Error(), "  publish    $KV.ppch_config.>\n") {
		t.Errorf("got %v", err)
	}
}

// The doctor reports the keys in NATS.
func TestConfigFromNATS_Doctor(t *testing.T) {
	t.Parallel()
	nats := startStore(t)
	env := inNATS(nats.ClientURL(), variables{"PPCH_API_KEY": testKey})
	s := runService(t, env)
	env["PPCH_PORT"] = portOf(t, s.url)
	report, _ := diagnose(t, env)
	if got := report.of("keys-in-nats", "error"); len(got) != 1 || !strings.HasPrefix(got[0], "bucket-missing") {
		t.Errorf("got %+v want that the bucket is missing", report)
	}
	key := made(t, env, "key", "new", "--name", "a", "--scope", "all")
	s.becomes(key, http.StatusOK)
	report, _ = diagnose(t, env)
	if got := report.of("keys-in-nats", "ok"); len(got) != 1 || !strings.HasPrefix(got[0], "1 keys and share links, and 0 webhooks, in the bucket ppch_config") {
		t.Errorf("got %+v", report)
	}
	must(nats.raw(t).Put(t.Context(), "keys", []byte("x")))(t)
	eventually(t, 10*time.Second, "the doctor warns", func() bool {
		report, _ = diagnose(t, env)
		got := report.of("keys-in-nats", "warning")
		return len(got) == 1 && strings.HasPrefix(got[0], "bucket-foreign; the service keeps what it read at 2")
	})
}
