package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"ppch/component/clustertest"
	"ppch/prosody/prosodytest"
)

// documentedNATS runs two servers of NATS with the configuration in deploy/cluster until the test ends, and returns their URLs.
// The password of each user is the name of its variable.
func documentedNATS(t *testing.T) (urls []string) {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "nats.conf"), ofTheProject(t, clusterDir+"/nats.conf"))
	put(t, filepath.Join(dir, "nats-passwords.conf"),
		"ROUTE: \"1e5\"\nROUTES: [\"nats://route:1e5@nats-1:6222\", \"nats://route:1e5@nats-2:6222\"]\nCOLLECTOR_A: \"COLLECTOR_A\"\nCOLLECTOR_B: \"COLLECTOR_B\"\nNODE: \"NODE\"\n")
	var servers []*clustertest.NATS
	for range 2 {
		o := must(server.ProcessConfigFile(filepath.Join(dir, "nats.conf")))(t)
		login := o.Routes[0].User
		o.Host, o.Port, o.Cluster.Host, o.Cluster.Port, o.Routes, o.NoLog, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, "127.0.0.1", server.RANDOM_PORT, nil, true, true
		for _, s := range servers {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", User: login, Host: s.ClusterAddr().String()})
		}
		s := clustertest.NewNATS(t, func(all *server.Options) { *all = *o })
		servers, urls = append(servers, s), append(urls, s.ClientURL())
	}
	eventually(t, 10*time.Second, "the servers are a cluster", func() bool { return servers[0].NumRoutes() > 0 && servers[1].NumRoutes() > 0 })
	return urls
}

// The users in the documented configuration may do what PPCH needs, and nothing else.
func TestNATS_DocumentedPermissions(t *testing.T) {
	t.Parallel()
	servers := documentedNATS(t)
	srv := prosodytest.New(t, prosodytest.Options{Base: "meet.jitsi", Module: true, HideRooms: true})
	env := func(url, user, password, shards string) variables {
		return variables{
			"PPCH_API_KEY": testKey, "PPCH_PORT": "0", "PPCH_RATE_LIMIT": "0", "PPCH_CLUSTER_SECRET": "a-secret-of-all-nodes",
			"PPCH_SHARDS_FILE": written(t, "shards", shards+"\n"), "PPCH_NATS_URL": url, "PPCH_NATS_USER": user, "PPCH_NATS_PASSWORD": password,
		}
	}
	collector := env(servers[0], "collector-a", "COLLECTOR_A", fmt.Sprintf("name=a url=xmpp://%s component=%s muc=%s", srv.ComponentAddr(), srv.Domains.Component, srv.Domains.MUC))
	collector["PPCH_COMPONENT_SECRET"], collector["PPCH_DATA_DIR"], collector["PPCH_HISTORY"] = srv.Secret(), t.TempDir(), "names"
	c := runService(t, collector).ready()
	node := runService(t, env(servers[1], "node", "NODE", "name=a via=nats muc="+srv.Domains.MUC)).ready()
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada", "Grace")
	eventually(t, 10*time.Second, "the node has both people", func() bool {
		a := node.room("planning")
		return a.status == http.StatusOK && a.data["participant_count"] == 2.0 && a.data["exact"] == true
	})
	eventually(t, 15*time.Second, "the node has the meeting", func() bool {
		a := node.send(http.MethodGet, "/api/meetings", "")
		return a.status == http.StatusOK && strings.Contains(a.body, `"stays":2`) && !strings.Contains(a.body, "unanswered")
	})
	for name, s := range map[string]*service{"collector": c, "node": node} {
		for _, r := range s.log.Records(t) {
			if r["msg"] == "NATS forbids what PPCH needs" {
				t.Errorf("the %s may not do what it needs: %v", name, r)
			}
		}
	}

	const collectorOfA = "ppch.a.ppch_meet_jitsi."
	for _, tt := range []struct {
		name, user, password, publish, subscribe string
		allowed                                  bool
	}{
		{name: "a node speaks for a collector", user: "node", password: "NODE", publish: collectorOfA + "batch"},
		{name: "a node answers requests", user: "node", password: "NODE", subscribe: "ppch.*.*.snapshot.*"},
		{name: "a node answers other nodes", user: "node", password: "NODE", publish: "_INBOX.a.b"},
		{name: "a node reads everything", user: "node", password: "NODE", subscribe: ">"},
		{name: "a node reads answers to a collector", user: "node", password: "NODE", subscribe: collectorOfA + "answer.>"},
		{name: "a collector asks another", user: "collector-b", password: "COLLECTOR_B", publish: collectorOfA + "history", allowed: true},
		{name: "a collector reads its answer", user: "collector-a", password: "COLLECTOR_A", subscribe: collectorOfA + "answer.X.Y", allowed: true},
		{name: "a collector reads answers to nodes", user: "collector-b", password: "COLLECTOR_B", subscribe: "_INBOX.>"},
		{name: "a collector reads answers to another", user: "collector-b", password: "COLLECTOR_B", subscribe: collectorOfA + "answer.>"},
		{name: "a collector speaks for another", user: "collector-b", password: "COLLECTOR_B", publish: collectorOfA + "batch"},
		{name: "a collector reads another's shard", user: "collector-b", password: "COLLECTOR_B", subscribe: collectorOfA + "batch"},
		{name: "a collector answers for another", user: "collector-b", password: "COLLECTOR_B", subscribe: collectorOfA + "history"},
		{name: "a collector answers without a request", user: "collector-b", password: "COLLECTOR_B", publish: "_INBOX.a.b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused := make(chan error, 1)
			conn := must(nats.Connect(servers[0], nats.UserInfo(tt.user, tt.password), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				select {
				case refused <- err:
				default:
				}
			})))(t)
			defer conn.Close()
			if tt.publish != "" {
				_ = conn.Publish(tt.publish, nil)
			} else {
				_, _ = conn.Subscribe(tt.subscribe, func(*nats.Msg) {})
			}
			_ = conn.Flush()
			wait := 10 * time.Second
			if tt.allowed {
				wait = 100 * time.Millisecond // NATS refuses before it answers Flush
			}
			select {
			case err := <-refused:
				if !errors.Is(err, nats.ErrPermissionViolation) || tt.allowed {
					t.Errorf("got %v want a violation of permissions: %t", err, !tt.allowed)
				}
			case <-time.After(wait):
				if !tt.allowed {
					t.Error("NATS allows it")
				}
			}
		})
	}
	if _, err := nats.Connect(servers[0], nats.UserInfo("route", "1e5")); err == nil {
		t.Error("a server's password is one of a client")
	}
}
