package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

const (
	clusterSecret   = "a-secret-of-all-nodes"
	secondComponent = "ppch2.meet.jitsi"
)

// twoComponents returns a Prosody for two collectors.
func twoComponents(t *testing.T) *prosodytest.Server {
	t.Helper()
	return prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, Components: []string{secondComponent},
		GlobalConfig: fmt.Sprintf("room_participants_components = { %q, %q }", "ppch.meet.jitsi", secondComponent),
	})
}

// recording returns the environment of a collector that records names and publishes to NATS.
func recording(t *testing.T, srv *prosodytest.Server, nats, component string) variables {
	t.Helper()
	env := envFor(srv)
	env["PPCH_COMPONENT_DOMAIN"], env["PPCH_NATS_URL"], env["PPCH_CLUSTER_SECRET"] = component, nats, clusterSecret
	env["PPCH_DATA_DIR"], env["PPCH_HISTORY"] = t.TempDir(), "names"
	return env
}

// following returns the environment of a node that keeps nothing and receives the shard main.
func following(t *testing.T, srv *prosodytest.Server, nats string) variables {
	t.Helper()
	env := nodeEnv(t, srv, nats)
	env["PPCH_MAX_STALENESS"], env["PPCH_CLUSTER_SECRET"] = "15s", clusterSecret
	return env
}

// Two collectors record one Prosody. A node without a file answers as they do, names one that doesn't answer, and deletes on both.
func TestHistory_NodeAsksCollectors(t *testing.T) {
	t.Parallel()
	srv := twoComponents(t)
	nats := runNATS(t)
	first := runService(t, recording(t, srv, nats, srv.Domains.Component)).ready()
	second := runService(t, recording(t, srv, nats, secondComponent)).ready()
	node := runService(t, following(t, srv, nats)).ready()

	cast := castOn(t, srv)
	people := meeting(t, cast, srv.Room("planning"), "Ada", "Grace")
	for _, p := range people {
		check(t, p.Leave(context.WithoutCancel(t.Context())))
	}
	var list answer
	eventually(t, 20*time.Second, "both collectors and the node have the meeting with both stays", func() bool {
		list = node.send(http.MethodGet, "/api/meetings", "")
		for _, s := range []*service{first, second, node} {
			if got := s.send(http.MethodGet, "/api/meetings", ""); got.status != http.StatusOK || !strings.Contains(got.body, `"stays":2`) || strings.Contains(got.body, "unanswered") {
				return false
			}
		}
		return true
	})
	id := regexp.MustCompile(`"id":"([0-9a-f]{32})"`).FindStringSubmatch(list.body)[1]
	path := "/api/meetings/" + id
	eventually(t, 20*time.Second, "both stays ended", func() bool {
		return strings.Count(node.send(http.MethodGet, path+"/attendance", "").body, `"present":false`) >= 4
	})
	for _, p := range []string{path, path + "/attendance?format=plain", path + "/attendance?format=plain&tz=Europe/Berlin&bom=true", "/api/rooms/planning/meetings"} {
		want, got := first.send(http.MethodGet, p, ""), node.send(http.MethodGet, p, "")
		if got.status != http.StatusOK || got.body != want.body || got.header.Get("Content-Type") != want.header.Get("Content-Type") {
			t.Errorf("%s: got %d %s on the node want %s", p, got.status, got.body, want.body)
		}
	}
	if got := node.send(http.MethodGet, "/api/stats/history?range=24h", ""); got.status != http.StatusOK || got.data["exact"] != true {
		t.Errorf("got %d %s want exact peaks", got.status, got.body)
	}
	if got := node.send(http.MethodGet, "/api/meetings/"+strings.Repeat("0", 32), ""); got.status != http.StatusNotFound {
		t.Errorf("got %d %s want no such meeting", got.status, got.body)
	}

	check(t, second.stop())
	named := fmt.Sprintf(`"unanswered":[{"shard":"main","collector":%q,"why":"the collector is silent"}]`, secondComponent)
	for _, s := range []*service{node, first} {
		eventually(t, 20*time.Second, "the meeting is there, and the silent collector is named", func() bool {
			got := s.send(http.MethodGet, path, "")
			return got.status == http.StatusOK && strings.Contains(got.body, named)
		})
	}
	if got := node.send(http.MethodGet, path+"/attendance?format=plain", ""); got.header.Get("PPCH-Unanswered") != "main "+secondComponent {
		t.Errorf("got the headers %v want the name of the collector", got.header)
	}
	if got := node.send(http.MethodGet, "/api/meetings/"+strings.Repeat("0", 32), ""); got.status != http.StatusServiceUnavailable || got.data["code"] != "history-incomplete" {
		t.Errorf("got %d %s want that the silent collector may know it", got.status, got.body)
	}
	stay := regexp.MustCompile(`"stays":\[\{"id":"([0-9a-f]{32})"`).FindStringSubmatch(node.send(http.MethodGet, path+"/attendance", "").body)[1]
	if got := node.send(http.MethodDelete, path+"/stays/"+stay, ""); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, named) {
		t.Errorf("got %d %s want that one collector did not answer", got.status, got.body)
	}

	const words = "without " + secondComponent + " of the shard main: the collector is silent"
	if status, out, errs := execute(t, buildProgram(t), []string{"PPCH_API_KEY=" + testKey}, "meetings", "--url", node.url); status != 0 || !strings.Contains(out, "planning") || errs != "ppch: incomplete "+words+"\n" {
		t.Errorf("got %d %s and %q want the meeting, and who is missing", status, out, errs)
	}
	d := openDashboard(t, startChromium(t), node.url).signIn(testKey)
	for place, selector := range map[string]string{"#/meetings": "#meetings-unanswered", "#/meeting/" + id: "#meeting-unanswered"} {
		d.goTo(place)
		d.shows("who is missing", "Incomplete "+words, func() string { return d.text(selector) })
	}
	d.picture("meeting")
	d.goTo("#/meeting/" + strings.Repeat("0", 32))
	d.shows("why", "Part of the past meetings is missing", func() string { return d.text("#meeting-empty .title") })
	d.goTo("#/")
	d.click("[data-range='24h']")
	d.shows("who is missing", "Incomplete "+words, func() string { return d.text("#totals-unanswered") })
	d.picture("totals")
}

// Where nothing is recorded, the node says how to turn that on.
func TestHistory_NodeWithoutRecords(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	nats := runNATS(t)
	env := envFor(srv)
	env["PPCH_NATS_URL"], env["PPCH_CLUSTER_SECRET"] = nats, clusterSecret
	runService(t, env).ready()
	node := runService(t, following(t, srv, nats)).ready()
	if got := node.send(http.MethodGet, "/api/meetings", ""); got.status != http.StatusNotFound || got.data["code"] != "history-off" || !strings.Contains(got.body, "PPCH_DATA_DIR") {
		t.Errorf("got %d %s want how to turn it on", got.status, got.body)
	}
}
