package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ppch/component/clustertest"
	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

// runNATS runs a NATS server in this process until the test ends, and returns its URL.
func runNATS(t *testing.T) string {
	t.Helper()
	return clustertest.NewNATS(t).ClientURL()
}

// A service without Prosody shows the rooms of one that has it, and knows when that one is gone.
func TestNATS_ServiceWithoutProsody(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	nats := runNATS(t)
	env := envFor(srv)
	env["PPCH_NATS_URL"], env["PPCH_CLUSTER_SECRET"] = nats, "a-secret-of-all-nodes"
	collector := runService(t, env).ready()

	shards := filepath.Join(t.TempDir(), "shards")
	line := "name=main muc=" + srv.Domains.MUC + "," + srv.Domains.Breakout + " via=nats\n"
	check(t, os.WriteFile(shards, []byte(line), 0o600))
	node := runService(t, variables{
		"PPCH_API_KEY": testKey, "PPCH_PORT": "0", "PPCH_RATE_LIMIT": "0", "PPCH_MAX_STALENESS": "15s",
		"PPCH_SHARDS_FILE": shards, "PPCH_NATS_URL": nats, "PPCH_CLUSTER_SECRET": "a-secret-of-all-nodes",
	}).ready()

	cast := castOn(t, srv)
	room := "planning@" + srv.Domains.MUC
	people := meeting(t, cast, room, "Ada", "Grace")
	eventually(t, 10*time.Second, "the node has both people", func() bool {
		a := node.room("planning")
		return a.status == http.StatusOK && a.data["participant_count"] == 2.0 && a.data["exact"] == true
	})
	if a, b := collector.room("planning"), node.room("planning"); a.data["meeting_id"] != b.data["meeting_id"] {
		t.Errorf("got %s on the node want %s", b.body, a.body)
	}
	if a := node.room("empty"); a.status != http.StatusOK || a.data["exists"] != false {
		t.Errorf("got %d %s want a room that doesn't exist", a.status, a.body)
	}
	_ = people[0].Leave(t.Context())
	eventually(t, 10*time.Second, "the node has one person", func() bool { return node.room("planning").data["participant_count"] == 1.0 })
	metrics := node.get("/metrics", "X-API-Key", testKey).body
	componenttest.Has(t, metrics, "ppch_nats_up 1", `ppch_node_collectors{shard="main"} 1`, `ppch_node_gaps_total{shard="main"} 0`)

	check(t, collector.stop())
	eventually(t, 30*time.Second, "the node doesn't know any more", func() bool {
		a := node.room("empty")
		return a.status == http.StatusServiceUnavailable && a.data["reason"] == "collector-silent"
	})
	if a := node.room("planning"); a.status == http.StatusOK && a.data["exists"] == false {
		t.Errorf("got %s want no claim that the room is gone", a.body)
	}
}
