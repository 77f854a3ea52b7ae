package main

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// sharing are a collector with a store and a node without one, whose webhooks are in NATS.
type sharing struct {
	t               *testing.T
	srv             *prosodytest.Server
	nats            store
	collector, node *service
	env             variables // of the collector
	key             string
}

func newSharing(t *testing.T) *sharing {
	t.Helper()
	w := &sharing{t: t, srv: prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true}), nats: startStore(t)}
	env := inNATS(w.nats.ClientURL(), nil)
	w.key = made(t, env, "key", "new", "--name", "hooks", "--scope", "all,webhooks")
	w.env = inNATS(w.nats.ClientURL(), envFor(w.srv))
	w.env["PPCH_DATA_DIR"], w.env["PPCH_WEBHOOK_ALLOW"] = t.TempDir(), "127.0.0.1"
	w.collector = runService(t, maps.Clone(w.env)).ready()
	w.node = runService(t, env)
	w.node.becomes(w.key, http.StatusOK)
	return w
}

// send sends a request with the key that is in NATS, again while the service opens its store.
func (w *sharing) send(s *service, method, path, body string) (a answer) {
	w.t.Helper()
	eventually(w.t, 20*time.Second, "the store is open", func() bool {
		a = s.sendAs(w.key, method, path, body)
		return a.data["reason"] != "opening"
	})
	return a
}

// delivers waits until receiver has one event, the join of a person.
func (w *sharing) delivers(receiver *mortal) {
	w.t.Helper()
	cast := castOn(w.t, w.srv)
	must(cast.Open(w.t.Context(), w.srv.Room("red")))(w.t)
	must(cast.User(w.t.Context(), w.srv.Room("red"), "Ann"))(w.t)
	eventually(w.t, 20*time.Second, "the event arrives", func() bool {
		receiver.mu.Lock()
		defer receiver.mu.Unlock()
		return len(receiver.got) == 1
	})
}

// listed waits until a webhook on a service is as expected; without a text it is to be gone.
func (w *sharing) listed(s *service, id, text string) {
	w.t.Helper()
	var a answer
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%s: %d %s", id, a.status, a.body)
		}
	}()
	eventually(w.t, 10*time.Second, "the webhook is as expected", func() bool {
		a = w.send(s, http.MethodGet, "/api/webhooks/"+id, "")
		return text == "" && a.status == http.StatusNotFound || text != "" && a.status == http.StatusOK && strings.Contains(a.body, text)
	})
}

// A webhook that is made on a node without a store is delivered by the collector, and changed and removed on both.
func TestConfigFromNATS_Webhooks(t *testing.T) {
	t.Parallel()
	w := newSharing(t)
	receiver := newMortal(t)
	settings := `{"url":"http://` + receiver.addr + `/","names":true,"events":["participant.joined"]}`
	a := w.send(w.node, http.MethodPut, "/api/webhooks/in", settings)
	secret, _ := a.data["secret"].(string)
	if a.status != http.StatusCreated || secret == "" || a.data["state"] != "unknown" || a.data["waiting_count"] != nil {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	w.listed(w.collector, "in", `"state":"ok"`)
	w.delivers(receiver)
	for path, method := range map[string]string{"/test": http.MethodPost, "/deliveries": http.MethodGet} {
		if a := w.send(w.node, method, "/api/webhooks/in"+path, ""); a.status != http.StatusNotFound || a.data["code"] != "webhooks-off" || !strings.Contains(a.body, "delivers nothing") {
			t.Errorf("%s on the node: got %d %s", path, a.status, a.body)
		}
		if a := w.send(w.collector, method, "/api/webhooks/in"+path, ""); a.status != http.StatusOK {
			t.Errorf("%s on the collector: got %d %s", path, a.status, a.body)
		}
	}

	if a := w.send(w.collector, http.MethodPut, "/api/webhooks/in", `{"url":"http://`+receiver.addr+`/","enabled":false}`); a.status != http.StatusOK {
		t.Errorf("got %d %s", a.status, a.body)
	}
	w.listed(w.node, "in", `"enabled":false`)
	if a := w.send(w.node, http.MethodPut, "/api/webhooks/in", `{"url":"ftp://a"}`); a.status != http.StatusBadRequest {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := w.send(w.collector, http.MethodGet, "/api/diagnostics", ""); !strings.Contains(a.body, `"keys":1,"webhooks":1,`) {
		t.Errorf("got %s", a.body)
	}
	if a := w.send(w.node, http.MethodDelete, "/api/webhooks/in", ""); a.status != http.StatusNoContent {
		t.Errorf("got %d %s", a.status, a.body)
	}
	w.listed(w.collector, "in", "")
	if a := w.send(w.collector, http.MethodDelete, "/api/webhooks/in", ""); a.status != http.StatusNotFound {
		t.Errorf("got %d %s", a.status, a.body)
	}
	for _, name := range must(w.nats.raw(t).Keys(t.Context()))(t) {
		value := must(w.nats.raw(t).Get(t.Context(), name))(t).Value()
		if strings.Contains(name+string(value), receiver.addr) || strings.Contains(string(value), secret) {
			t.Errorf("%s shows a webhook to other programs: %s", name, value)
		}
	}
}

// Webhooks of before are kept, those that were removed while the collector was away are removed, and without NATS known ones work.
func TestConfigFromNATS_WebhooksMoveAndLast(t *testing.T) {
	t.Parallel()
	w := newSharing(t)
	receiver := newMortal(t)
	if err := w.collector.stop(); err != nil {
		t.Fatal(err)
	}
	// Before, the keys and webhooks were on the machine.
	before := maps.Clone(w.env)
	before["PPCH_CONFIG_FROM_NATS"], before["PPCH_API_KEY"] = "false", w.key
	old := runService(t, before).ready()
	if a := w.send(old, http.MethodPut, "/api/webhooks/old", `{"url":"http://`+receiver.addr+`/","names":true,"events":["participant.joined"]}`); a.status != http.StatusCreated {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if err := old.stop(); err != nil {
		t.Fatal(err)
	}
	w.collector = runService(t, maps.Clone(w.env)).ready()
	w.listed(w.node, "old", receiver.addr)
	for _, id := range []string{"kept", "removed"} {
		if a := w.send(w.node, http.MethodPut, "/api/webhooks/"+id, `{"url":"http://`+receiver.addr+`/","events":["room.ended"]}`); a.status != http.StatusCreated {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		w.listed(w.collector, id, `"state":"ok"`)
	}

	if err := w.collector.stop(); err != nil {
		t.Fatal(err)
	}
	if a := w.send(w.node, http.MethodDelete, "/api/webhooks/removed", ""); a.status != http.StatusNoContent {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	w.collector = runService(t, maps.Clone(w.env)).ready()
	w.listed(w.collector, "removed", "")
	w.listed(w.collector, "kept", `"state":"ok"`)

	w.nats.Stop()
	w.listed(w.node, "kept", receiver.addr)
	if a := w.send(w.node, http.MethodPut, "/api/webhooks/new", `{"url":"http://`+receiver.addr+`/"}`); a.status != http.StatusServiceUnavailable || a.data["code"] != "settings-unavailable" {
		t.Errorf("without NATS: got %d %s", a.status, a.body)
	}
	w.delivers(receiver)
}
