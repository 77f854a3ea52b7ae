package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/api/view"
	"ppch/prosody/prosodytest"
)

// startJetStream starts a server of NATS that keeps data, until the test ends.
func startJetStream(t *testing.T) *natsServer {
	t.Helper()
	s := &natsServer{&process{t: t, program: prosodytest.Installed(t, "nats-server"), log: &logBuffer{}}, freeAddress(t)}
	s.args = []string{"-c", written(t, "nats.conf", fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\n", s.addr, t.TempDir()))}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// clusterPair are two collectors of a shard and two nodes without a store. Keys and webhooks are in NATS only.
type clusterPair struct {
	*servicePair
	nats  *natsServer
	nodes []*service
}

func newClusterPair(t *testing.T) *clusterPair {
	t.Helper()
	c := &clusterPair{nats: startJetStream(t)}
	url := "nats://" + c.nats.addr
	key := keyIn(t, url)
	c.servicePair = startPair(t, "ppch.meet.jitsi", url, variables{"PPCH_CONFIG_FROM_NATS": "true", "PPCH_HISTORY": "names"})
	c.key = key
	for range 2 {
		env := clusterEnv(t, url, nodeLine("s", "main", c.srv))
		delete(env, "PPCH_API_KEY")
		env["PPCH_CONFIG_FROM_NATS"], env[beatVariable] = "true", pairBeat.String()
		node := startProcess(t, must(os.Executable())(t), env)
		node.ready(t)
		c.nodes = append(c.nodes, c.service(node))
	}
	return c
}

// hook makes a webhook through a node, and waits until both collectors have it.
func (c *clusterPair) hook(node int, id string, receiver *mortal, on ...*process) {
	c.t.Helper()
	a := c.nodes[node].sendAs(c.key, http.MethodPut, "/api/webhooks/"+id, fmt.Sprintf(`{"url":%q%s}`, "http://"+receiver.addr+"/", joinsAndLeaves))
	if a.status != http.StatusCreated {
		c.t.Fatalf("got %d %s", a.status, a.body)
	}
	c.has(id, `"state":"ok"`, on...)
}

// has waits until collectors show a webhook as expected, or lack it if that is empty.
func (c *clusterPair) has(id, text string, on ...*process) {
	c.t.Helper()
	for _, of := range on {
		eventually(c.t, 20*time.Second, "the webhook "+id+" is as expected", func() bool {
			a := c.service(of).sendAs(c.key, http.MethodGet, "/api/webhooks/"+id, "")
			return text == "" && a.status == http.StatusNotFound || text != "" && a.status == http.StatusOK && strings.Contains(a.body, text)
		})
	}
}

// attendance returns the attendance of a room as a node gives it.
func (c *clusterPair) attendance(node int, room string) (doc view.Attendance) {
	c.t.Helper()
	var list view.Meetings
	a := c.nodes[node].sendAs(c.key, http.MethodGet, "/api/rooms/"+room+"/meetings", "")
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Meetings) != 1 {
		c.t.Fatalf("got %d %s want one meeting", a.status, a.body)
	}
	a = c.nodes[node].sendAs(c.key, http.MethodGet, "/api/meetings/"+list.Meetings[0].ID+"/attendance", "")
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil || a.status != http.StatusOK {
		c.t.Fatalf("got %d %s", a.status, a.body)
	}
	return doc
}

// attended waits until the attendance of a room is what people did there, with these collectors unanswered.
func (c *clusterPair) attended(node int, room string, unanswered ...string) {
	c.t.Helper()
	var want, got, missing []string
	for _, a := range c.acts[room] {
		want = append(want, a.what)
	}
	slices.Sort(want)
	defer func() {
		if c.t.Failed() {
			c.t.Logf("%s: got %q without %q want %q", room, got, missing, want)
		}
	}()
	eventually(c.t, 20*time.Second, "the attendance is complete", func() bool {
		got, missing = nil, nil
		doc := c.attendance(node, room)
		for _, who := range doc.Attendees {
			for _, stay := range who.Stays {
				got = append(got, "joined "+*stay.Nick)
				if !stay.Present {
					got = append(got, "left "+*stay.Nick)
				}
			}
		}
		for _, u := range doc.Unanswered {
			missing = append(missing, *u.Collector)
		}
		slices.Sort(got)
		return slices.Equal(got, want) && slices.Equal(missing, unanswered)
	})
}

// Keys and webhooks are made once and kept in NATS. The collector that delivers is killed: the other one delivers each later event,
// until the first one is back. A webhook that was made meanwhile is served by both, and one that was removed by none.
// Nodes say who was there, and which collector did not answer.
func TestCluster_WebhooksInNATS(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	c := newClusterPair(t)
	late, gone := newMortal(t), newMortal(t)
	c.hook(0, "in", c.receiver, c.a, c.b)
	c.hook(1, "gone", gone, c.a, c.b)
	c.delivering(c.a, "1")
	c.delivering(c.b, "0")
	gone.kill() // so that deliveries wait on both
	c.act(5)
	if got, want := c.arrived("both run"), c.count(); got != want {
		t.Errorf("got %d deliveries want %d while both run", got, want)
	}
	c.attended(1, "red")
	c.has("in", `"waiting_count":0`, c.b) // it knows that all were delivered

	c.a.kill()
	c.hook(1, "late", late, c.b)
	if a := c.nodes[0].sendAs(c.key, http.MethodDelete, "/api/webhooks/gone", ""); a.status != http.StatusNoContent {
		t.Errorf("got %d %s", a.status, a.body)
	}
	c.has("gone", "", c.b)
	gone.start()
	before := c.count()
	c.act(5)
	c.delivering(c.b, "1")
	if got, want := c.arrived("the deliverer is dead"), c.count(); got != want {
		t.Errorf("got %d deliveries want %d after the takeover", got, want)
	}
	c.attended(1, "red", c.srv.Domains.Component)
	c.attended(0, "blue", c.srv.Domains.Component)

	c.a.start()
	c.act(5, returning)
	c.delivering(c.b, "0")
	c.delivering(c.a, "1")
	c.arrived("the deliverer is back")
	c.has("in", `"waiting_count":0`, c.a, c.b)
	_, old := c.got() // with repeats of what the other one was sending
	sent := c.count()
	c.act(5)
	sent = c.count() - sent
	if got := c.arrived("both run again") - old; got != sent {
		t.Errorf("got %d deliveries of %d acts at the end", got, sent)
	}
	c.attended(0, "red")
	c.attended(1, returning)
	ids := map[string]bool{}
	eventually(t, 20*time.Second, "the late webhook has all since", func() bool {
		late.mu.Lock()
		defer late.mu.Unlock()
		for _, p := range late.got {
			ids[p.Data.EventID] = true
		}
		return len(ids) >= c.count()-before
	})
	if len(ids) != c.count()-before {
		t.Errorf("got %d events of the late webhook want %d", len(ids), c.count()-before)
	}
	gone.mu.Lock()
	defer gone.mu.Unlock()
	if len(gone.got) > 0 {
		t.Errorf("got %d deliveries of the removed webhook", len(gone.got))
	}
	_, all := c.got()
	t.Logf("%d acts, %d deliveries", c.count(), all)
}
