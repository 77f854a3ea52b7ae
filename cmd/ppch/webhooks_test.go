package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

// inbox is a receiver of webhooks that keeps what it accepts.
type inbox struct {
	*httptest.Server

	mu       sync.Mutex
	requests []received
}

// received is a request of PPCH.
type received struct {
	path   string
	header http.Header
	body   string
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.requests = append(in.requests, received{r.URL.Path, r.Header, string(body)})
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) all() []received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.requests)
}

// event is the body of a webhook in the format ppch.
type event struct {
	Type string
	Data struct {
		EventID          string `json:"event_id"`
		Position         string
		RoomJID          string   `json:"room_jid"`
		ParticipantCount *float64 `json:"participant_count"`
		Reason           string
		Occupant         *struct{ Name string }
	}
}

// events returns the events that the receiver has got, without repeats.
func (in *inbox) events(t *testing.T) (all []event) {
	t.Helper()
	seen := map[string]bool{}
	for _, r := range in.all() {
		var e event
		if err := json.Unmarshal([]byte(r.body), &e); err != nil {
			t.Fatalf("%s: %v", r.body, err)
		}
		if !seen[e.Data.EventID] {
			seen[e.Data.EventID] = true
			all = append(all, e)
		}
	}
	return all
}

// await waits until the last event is of a type, and returns it.
func (in *inbox) await(t *testing.T, typ string) (last event) {
	t.Helper()
	eventually(t, 20*time.Second, "the receiver has got "+typ, func() bool {
		all := in.events(t)
		if len(all) == 0 {
			return false
		}
		last = all[len(all)-1]
		return last.Type == typ
	})
	return last
}

// withStore returns an environment with a data folder, in which webhooks may reach this machine.
func withStore(t *testing.T, env variables) variables {
	t.Helper()
	env["PPCH_DATA_DIR"] = t.TempDir()
	env["PPCH_WEBHOOK_ALLOW"] = "127.0.0.1"
	return env
}

// send sends a request with a JSON body and the key.
func (s *service) send(method, path, body string) answer {
	s.t.Helper()
	return s.sendAs(testKey, method, path, body)
}

// sendAs is send with another key.
func (s *service) sendAs(key, method, path, body string) answer {
	s.t.Helper()
	req := must(http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body)))(s.t)
	req.Header.Set("X-API-Key", key)
	req.Header.Set("Content-Type", "application/json")
	resp := must(s.client.Do(req))(s.t)
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(must(io.ReadAll(resp.Body))(s.t))}
	_ = json.Unmarshal([]byte(a.body), &a.data)
	return a
}

// hook creates a webhook with these settings, in addition to its URL.
func (s *service) hook(id, url, settings string) (secret string) {
	s.t.Helper()
	var a answer
	eventually(s.t, 10*time.Second, "the store is open", func() bool {
		a = s.send(http.MethodPut, "/api/webhooks/"+id, fmt.Sprintf(`{"url":%q%s}`, url, settings))
		return a.status != http.StatusServiceUnavailable
	})
	if a.status != http.StatusCreated {
		s.t.Fatalf("PUT %s: %d %s", id, a.status, a.body)
	}
	secret, _ = a.data["secret"].(string)
	return secret
}

// What the service sends of a meeting, in each format, and that a receiver reads nothing older than what it has got.
func TestWebhooks_Meeting(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	cast := castOn(t, srv)
	s := runService(t, withStore(t, envFor(srv))).ready()
	plain, sync, jaas, chat, numbers := newInbox(t), newInbox(t), newInbox(t), newInbox(t), newInbox(t)
	secret := s.hook("plain", plain.URL, `,"names":true,"rooms":["planning"]`)
	s.hook("sync", sync.URL+"/prefix", `,"names":true,"format":"event_sync","headers":{"Authorization":"Bearer t0ken"}`)
	jaasSecret := s.hook("jaas", jaas.URL, `,"names":true,"format":"jaas"`)
	s.hook("chat", chat.URL, `,"names":true,"format":"text","events":["room.occupied"],"template":"{\"text\":\"{participant} is in {room_name}\"}"`)
	s.hook("numbers", numbers.URL, `,"events":["participant.joined"]`)

	room := srv.Room("planning")
	meeting(t, cast, srv.Room("other"), "Eve")
	must(cast.Open(t.Context(), room))(t)
	plain.await(t, "room.started")
	ada := must(cast.User(t.Context(), room, "Ada"))(t)
	joined := plain.await(t, "participant.joined")
	if got := s.get("/api/rooms/planning/participants?at_least="+joined.Data.Position, "X-API-Key", testKey); got.data["participant_count"] != *joined.Data.ParticipantCount {
		t.Errorf("got %s after the event said %v", got.body, *joined.Data.ParticipantCount)
	}
	bob := must(cast.User(t.Context(), room, "Bob"))(t)
	recorder := must(cast.Recorder(t.Context(), room))(t)
	plain.await(t, "recording.started")
	check(t, recorder.Leave(t.Context()))
	plain.await(t, "recording.ended")
	check(t, ada.Leave(t.Context()))
	plain.await(t, "participant.left")
	check(t, bob.Leave(t.Context()))
	plain.await(t, "room.emptied")

	var got []string
	for _, e := range plain.events(t) {
		line := fmt.Sprintf("%s %s %v", e.Type, e.Data.RoomJID, *e.Data.ParticipantCount)
		if e.Data.Occupant != nil && strings.HasPrefix(e.Type, "participant") {
			line += " " + e.Data.Occupant.Name
		}
		got = append(got, line)
	}
	want := []string{
		"room.started " + room + " 0",
		"room.occupied " + room + " 1", "participant.joined " + room + " 1 Ada", "participant.joined " + room + " 2 Bob",
		"recording.started " + room + " 2", "recording.ended " + room + " 2",
		"participant.left " + room + " 1 Ada", "participant.left " + room + " 0 Bob", "room.emptied " + room + " 0",
	}
	same(t, "events", want, slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "participant.updated") }))

	presence := newEventSyncReceiver("t0ken")
	eventually(t, 20*time.Second, "event_sync's receiver knows who is there", func() bool { return len(sync.all()) >= 9 })
	for _, r := range sync.all() {
		if err := presence.take(r); err != nil {
			t.Errorf("event_sync: %s %s: %v", r.path, r.body, err)
		}
	}
	if got := presence.rooms["planning"]; len(got) != 0 || len(presence.rooms["other"]) != 1 {
		t.Errorf("event_sync: got %v", presence.rooms)
	}
	attendance := &jaasReceiver{secret: jaasSecret}
	eventually(t, 20*time.Second, "JaaS's receiver has got all", func() bool { return len(jaas.all()) >= 9 })
	for _, r := range jaas.all() {
		if err := attendance.take(r); err != nil {
			t.Errorf("jaas: %s: %v", r.body, err)
		}
	}
	same(t, "jaas", []string{"Ada joined planning", "Ada left planning", "Bob joined planning", "Bob left planning", "Eve joined other"}, attendance.sorted())
	var messages []string
	for _, r := range chat.all() {
		messages = append(messages, r.body)
	}
	slices.Sort(messages)
	same(t, "text", []string{`{"text":"Ada is in planning"}`, `{"text":"Eve is in other"}`}, messages)
	for _, r := range numbers.all() {
		componenttest.HasNo(t, r.body, "Ada", "Bob", "Eve")
	}
	verifyWithNode(t, secret, plain.all())
}

// verifyWithNode verifies signatures with npm's standardwebhooks.
func verifyWithNode(t *testing.T, secret string, requests []received) {
	t.Helper()
	dir := t.TempDir()
	npm := exec.CommandContext(t.Context(), prosodytest.Installed(t, "npm"), "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline",
		"standardwebhooks@1.1.1", "@stablelib/base64@1.0.1", "fast-sha256@1.3.0")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Logf("%v\n%s", err, out)
		prosodytest.Missing(t, "this machine cannot fetch standardwebhooks")
	}
	const script = `
const { Webhook } = require("standardwebhooks");
const requests = JSON.parse(require("fs").readFileSync("requests.json"));
const webhook = new Webhook(process.argv[2]);
for (const r of requests) {
	webhook.verify(r.body, r.headers);
	let refused = false;
	try { webhook.verify(r.body + " ", r.headers); } catch { refused = true; }
	if (!refused) throw new Error("a changed body was accepted");
}
console.log(requests.length);`
	var all []map[string]any
	for _, r := range requests {
		headers := map[string]string{}
		for name := range r.header {
			headers[strings.ToLower(name)] = r.header.Get(name)
		}
		all = append(all, map[string]any{"body": r.body, "headers": headers})
	}
	check(t, os.WriteFile(filepath.Join(dir, "requests.json"), must(json.Marshal(all))(t), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "verify.js"), []byte(script), 0o600))
	node := exec.CommandContext(t.Context(), prosodytest.Installed(t, "node"), "verify.js", secret)
	node.Dir = dir
	if out, err := node.CombinedOutput(); err != nil || string(bytes.TrimSpace(out)) != fmt.Sprint(len(requests)) || len(requests) == 0 {
		t.Errorf("standardwebhooks: %v\n%s", err, out)
	}
}

func TestWebhooks_Commands(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	s := runService(t, withStore(t, envFor(srv))).ready()
	in := newInbox(t)
	env := variables{"PPCH_API_KEY": testKey}
	run := func(args ...string) (string, error) {
		return command(t, env, append(append([]string{"webhook"}, args...), "--url", s.url)...)
	}
	eventually(t, 10*time.Second, "the store is open", func() bool {
		_, err := run("list")
		return err == nil
	})
	if out, err := run("list"); err != nil || out != "no webhooks\n" {
		t.Errorf("list: got %q, %v", out, err)
	}
	out, err := run("add", in.URL, "--id", "first-join", "--events", "room.occupied,participant.*", "--names", "--header", "Authorization: Bearer t0ken")
	if err != nil || !strings.HasPrefix(out, "Webhook first-join\nSecret for the receiver, not shown again:\nwhsec_") {
		t.Errorf("add: got %q, %v", out, err)
	}
	if out, err := run("test", "first-join"); err != nil || !strings.HasSuffix(out, " ms with status 204\n") {
		t.Errorf("test: got %q, %v", out, err)
	}
	if got := in.all(); len(got) != 1 || got[0].header.Get("Authorization") != "Bearer t0ken" {
		t.Errorf("the receiver got %+v", got)
	}
	if out, err := run("log", "first-join"); err != nil || out != "no deliveries\n" {
		t.Errorf("log: got %q, %v", out, err)
	}
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada")
	in.await(t, "participant.joined")
	var lines []string
	eventually(t, 10*time.Second, "both deliveries are in the log", func() bool {
		out := must(run("log", "first-join", "--state", "delivered", "--json"))(t)
		lines = strings.Split(strings.TrimSpace(out), "\n")
		return len(lines) == 2
	})
	var newest struct{ ID, Type, Body string }
	check(t, json.Unmarshal([]byte(lines[0]), &newest))
	if newest.Type != "participant.joined" || !strings.Contains(newest.Body, `"name":"Ada"`) {
		t.Errorf("log: got %+v", newest)
	}
	if out, err := run("log", "first-join"); err != nil || !strings.Contains(out, "room.occupied") || !strings.Contains(out, "delivered") {
		t.Errorf("log: got %q, %v", out, err)
	}
	if out, err := run("replay", "first-join", newest.ID); err != nil || out != "1 delivery is sent again\n" {
		t.Errorf("replay: got %q, %v", out, err)
	}
	if out, err := run("replay", "first-join", "--from", "2020-01-01T00:00:00Z", "--to", "2099-01-01T00:00:00Z"); err != nil || !strings.HasSuffix(out, " sent again\n") { // without one that still waits
		t.Errorf("replay: got %q, %v", out, err)
	}
	if out, err := run("replay", "first-join", "--from", "2020-01-01", "--to", "2099-01-01"); err != nil || !strings.HasSuffix(out, " sent again\n") {
		t.Errorf("replay: got %q, %v", out, err)
	}
	if _, err := run("add", in.URL, "--id", "a b"); err == nil || !strings.Contains(err.Error(), `"a b" is not 1 to 64 letters`) {
		t.Errorf("add: got %v", err)
	}
	if out, err := run("list"); err != nil || !strings.Contains(out, "first-join") || !strings.Contains(out, in.URL) || strings.Contains(out, "KEY") {
		t.Errorf("list: got %q, %v", out, err)
	}
	if out, err := run("list", "--all"); err != nil || !strings.HasPrefix(out, "ID          KEY           STATE") || !strings.Contains(out, "\nfirst-join  PPCH_API_KEY  ok") {
		t.Errorf("list --all: got %q, %v", out, err)
	}
	in.Close()
	if _, err := run("test", "first-join"); err == nil || !strings.Contains(err.Error(), "the test failed: dial: ") {
		t.Errorf("test of a receiver that is gone: got %v", err)
	}
	for _, args := range [][]string{
		{"replay", "first-join"}, {"replay", "first-join", newest.ID, "--from", "2020-01-01T00:00:00Z", "--to", "2099-01-01T00:00:00Z"}, {"add", in.URL, "--header", "x"},
		{"replay", "first-join", newest.ID, "--from", "2020-01-01"}, {"add", in.URL, "--id", ""}, {"log", "first-join", "--state", "lost"},
	} {
		if _, err := run(args...); exitStatus(err) != 2 {
			t.Errorf("%q: got %v want a usage error", args, err)
		}
	}
	if out, err := run("remove", "first-join"); err != nil || out != "" {
		t.Errorf("remove: got %q, %v", out, err)
	}
	if _, err := run("test", "first-join"); err == nil || !strings.Contains(err.Error(), "no-such-webhook") {
		t.Errorf("after remove: got %v", err)
	}
}
