package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/api/view"
	"ppch/prosody/prosodytest"
)

// apart are a collector and a node without a store, whose keys and webhooks are in NATS. The collector can be cut off from NATS.
type apart struct {
	t         *testing.T
	srv       *prosodytest.Server
	cast      *prosodytest.Cast
	nats      *natsServer
	network   *prosodytest.Network // between the collector and NATS
	collector *process
	node      *service
	key       string
	saved     string   // the collector's file of settings
	joined    []string // nicks of all people
}

func newApart(t *testing.T) *apart {
	t.Helper()
	a := &apart{t: t, srv: prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, ModuleConstants: impatient}), nats: startJetStream(t)}
	a.key = keyIn(t, "nats://"+a.nats.addr)
	a.network = must(prosodytest.NewNetwork(a.nats.addr))(t)
	t.Cleanup(func() { _ = a.network.Close() })
	env := inNATS("nats://"+a.network.Addr(), envFor(a.srv))
	delete(env, "PPCH_API_KEY")
	dir := t.TempDir()
	a.saved = filepath.Join(dir, savedFile)
	maps.Copy(env, variables{"PPCH_DATA_DIR": dir, "PPCH_WEBHOOK_ALLOW": "127.0.0.1"})
	a.collector = startProcess(t, buildProgram(t), env)
	a.collector.ready(t)
	env = clusterEnv(t, "nats://"+a.nats.addr, nodeLine("main", "main", a.srv))
	delete(env, "PPCH_API_KEY")
	env["PPCH_CONFIG_FROM_NATS"] = "true"
	node := startProcess(t, buildProgram(t), env)
	node.ready(t)
	a.node = &service{t: t, url: node.url, client: node.client}
	a.cast = castOn(t, a.srv)
	must(a.cast.Open(t.Context(), a.srv.Room("red")))(t)
	return a
}

// keyIn makes a key in NATS as soon as that is ready.
func keyIn(t *testing.T, url string) (key string) {
	t.Helper()
	eventually(t, 20*time.Second, "NATS takes a key", func() bool {
		out, err := command(t, inNATS(url, nil), "key", "new", "--name", "hooks", "--scope", "all,webhooks,history")
		if lines := strings.Split(out, "\n"); err == nil && len(lines) > 1 {
			key = lines[1]
		}
		return key != ""
	})
	return key
}

// restart kills the collector and starts it again, once it has written that all was delivered to some webhooks: it would send it again otherwise.
func (a *apart) restart(delivered ...string) {
	a.t.Helper()
	for _, id := range delivered {
		a.waits(id, nil)
	}
	a.collector.kill()
	a.collector.start()
	a.collector.ready(a.t)
}

// put makes or changes a webhook through the node.
func (a *apart) put(id string, receiver *mortal) {
	a.t.Helper()
	got := a.node.sendAs(a.key, http.MethodPut, "/api/webhooks/"+id, fmt.Sprintf(`{"url":"http://%s/","names":true,"events":["participant.joined"]}`, receiver.addr))
	if got.status != http.StatusOK && got.status != http.StatusCreated {
		a.t.Fatalf("got %d %s", got.status, got.body)
	}
}

// ask requests a path of the collector.
func (a *apart) ask(path string) answer {
	a.t.Helper()
	return (&service{t: a.t, url: a.collector.url, client: a.collector.client}).sendAs(a.key, http.MethodGet, path, "")
}

// join makes people join, and returns their nicks.
func (a *apart) join(n int) (nicks []string) {
	a.t.Helper()
	for range n {
		nicks = append(nicks, must(a.cast.User(a.t.Context(), a.srv.Room("red"), "Person"))(a.t).Nick())
	}
	a.joined = append(a.joined, nicks...)
	return nicks
}

// waits checks that these joins wait for a webhook.
func (a *apart) waits(id string, nicks []string) {
	a.t.Helper()
	var doc view.Deliveries
	eventually(a.t, 20*time.Second, "the joins wait for "+id, func() bool {
		doc = view.Deliveries{}
		got := a.ask("/api/webhooks/" + id + "/deliveries?state=waiting")
		return got.status == http.StatusOK && json.Unmarshal([]byte(got.body), &doc) == nil && len(doc.Deliveries) == len(nicks)
	})
	for _, nick := range nicks {
		if !slices.ContainsFunc(doc.Deliveries, func(d view.Delivery) bool { return strings.Contains(d.Body, nick) }) {
			a.t.Errorf("%s: got no delivery for %s in %+v", id, nick, doc)
		}
	}
}

// gets waits until a receiver has these joins, each once.
func (a *apart) gets(receiver *mortal, want ...string) {
	a.t.Helper()
	var got []string
	defer func() {
		if a.t.Failed() {
			a.t.Logf("got %q want %q; the collector:\n%s", got, want, a.collector.log.String())
		}
	}()
	want = slices.Sorted(slices.Values(want))
	eventually(a.t, 20*time.Second, "each join arrives once", func() bool {
		receiver.mu.Lock()
		defer receiver.mu.Unlock()
		got = nil
		for _, p := range receiver.got {
			got = append(got, p.Data.Occupant.ID)
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// A collector that is cut off from NATS is killed and starts again. It has the webhooks that it saved: what happens then waits for them,
// and is delivered. Once NATS is back, changes that were made meanwhile have their effect, and nothing is lost or comes twice.
func TestConfigFromNATS_CollectorStartsWithSavedWebhooks(t *testing.T) {
	t.Parallel()
	a := newApart(t)
	in, gone, before, after, late := newMortal(t), newMortal(t), newMortal(t), newMortal(t), newMortal(t)
	began := time.Now()
	a.put("in", in)
	a.put("gone", gone)
	a.put("moved", before)
	eventually(t, 20*time.Second, "the webhooks are saved", func() bool {
		file, err := os.Stat(a.saved)
		return err == nil && file.ModTime().After(began) && strings.Count(a.ask("/api/webhooks").body, `"state":"ok"`) == 3
	})
	first := a.join(3)
	for _, receiver := range []*mortal{in, gone, before} {
		a.gets(receiver, first...)
	}

	a.network.Cut()
	a.network.Break()
	a.restart("in", "gone", "moved")
	in.kill()
	gone.kill()
	if got := a.ask("/api/diagnostics"); !strings.Contains(got.body, `"reason":"nats-unreachable"`) {
		t.Errorf("got %s want that NATS is away", got.body)
	}
	second := a.join(3)
	a.waits("in", second)
	a.waits("gone", second)
	a.gets(before, a.joined...)
	a.restart("moved")
	third := a.join(2)
	a.waits("in", slices.Concat(second, third))
	if got := a.node.sendAs(a.key, http.MethodDelete, "/api/webhooks/gone", ""); got.status != http.StatusNoContent {
		t.Errorf("got %d %s", got.status, got.body)
	}
	a.put("moved", after)
	a.put("late", late)
	in.start()
	a.gets(in, a.joined...)
	a.gets(before, a.joined...)

	a.network.Restore()
	eventually(t, 30*time.Second, "the collector has stored the changes", func() bool {
		moved, made := a.ask("/api/webhooks/moved").body, a.ask("/api/webhooks/late").body
		return a.ask("/api/webhooks/gone/deliveries").status == http.StatusNotFound && strings.Contains(moved, after.addr) &&
			strings.Contains(moved, `"state":"ok"`) && strings.Contains(made, `"state":"ok"`)
	})
	gone.start()
	kept := slices.Clone(a.joined)
	fourth := a.join(3)
	a.gets(after, fourth...)
	a.gets(late, fourth...)
	a.gets(in, a.joined...)
	a.gets(gone, first...)
	a.gets(before, kept...)

	// The same without any NATS.
	a.nats.kill()
	a.restart("in", "moved", "late")
	in.kill()
	fifth := a.join(3)
	a.waits("in", fifth)
	a.nats.start()
	in.start()
	a.gets(in, a.joined...)
	eventually(t, 30*time.Second, "NATS is back", func() bool { return !strings.Contains(a.ask("/api/diagnostics").body, `"reason":"nats-unreachable"`) })
	a.join(1)
	a.gets(in, a.joined...)
	a.gets(late, append(fourth, a.joined[len(kept)+len(fourth):]...)...)
	a.gets(gone, first...)
	a.gets(before, kept...)
}
