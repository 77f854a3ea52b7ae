package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

const testClusterSecret = "a-secret-of-all-nodes" // #nosec G101 -- not a secret

// natsServer is a server of a NATS cluster.
type natsServer struct {
	*process
	addr string
}

// startNATSCluster starts servers of NATS that form one cluster, until the test ends. more is appended to the configuration of each.
func startNATSCluster(t *testing.T, n int, more string) (all []*natsServer) {
	t.Helper()
	program, dir := prosodytest.Installed(t, "nats-server"), t.TempDir()
	var routes []string
	for range n {
		routes = append(routes, freeAddress(t))
	}
	for i := range n {
		s := &natsServer{&process{t: t, program: program, log: &logBuffer{}}, freeAddress(t)}
		name := "nats-" + strconv.Itoa(i+1)
		text := fmt.Sprintf("listen: %q\nserver_name: %s\nping_interval: \"5s\"\nping_max: 2\n"+
			"cluster { name: test, listen: %q, no_advertise: true, routes: [\"nats-route://%s\"] }\n%s\n",
			s.addr, name, routes[i], strings.Join(routes, `", "nats-route://`), more)
		s.args = []string{"-c", written(t, filepath.Base(dir)+name, text)}
		s.start()
		t.Cleanup(s.kill)
		all = append(all, s)
	}
	return all
}

// wires are connections of a program, each through a proxy of its own.
type wires []*prosodytest.Network

// through returns the address of a new proxy before an address.
func (w *wires) through(t *testing.T, addr string) string {
	t.Helper()
	n := must(prosodytest.NewNetwork(addr))(t)
	t.Cleanup(func() { _ = n.Close() })
	*w = append(*w, n)
	return n.Addr()
}

// toNATS returns the setting of a program that connects to servers of NATS through proxies.
func (w *wires) toNATS(t *testing.T, servers []*natsServer) string {
	t.Helper()
	var urls []string
	for _, s := range servers {
		urls = append(urls, "nats://"+w.through(t, s.addr))
	}
	return strings.Join(urls, ",")
}

// cut cuts these directions for a while.
func (w wires) cut(d time.Duration, directions ...prosodytest.Direction) {
	for _, n := range w {
		for _, one := range directions {
			n.CutOneWay(one)
		}
	}
	time.Sleep(d)
	for _, n := range w {
		n.Restore()
	}
}

// clusterEnv returns the environment of a service with these lines of shards.
func clusterEnv(t *testing.T, natsURL, lines string) variables {
	t.Helper()
	return variables{
		"PPCH_API_KEY": testKey, "PPCH_RATE_LIMIT": "0", "PPCH_MAX_STALENESS": "15s",
		"PPCH_SHARDS_FILE": written(t, "shards", lines), "PPCH_NATS_URL": natsURL, "PPCH_CLUSTER_SECRET": testClusterSecret,
	}
}

// collectorLine returns the line of a shard for a collector with its own component, which connects through an address.
func collectorLine(t *testing.T, name, kind, component, addr string, srv *prosodytest.Server) string {
	t.Helper()
	return fmt.Sprintf("name=%s kind=%s url=xmpp://%s component=%s secret_file=%s muc=%s,%s\n",
		name, kind, addr, component, written(t, "secret", srv.Secret()), srv.Domains.MUC, srv.Domains.Breakout)
}

// nodeLine returns the line of a shard for a service without Prosody.
func nodeLine(name, kind string, srv *prosodytest.Server) string {
	return fmt.Sprintf("name=%s kind=%s via=nats muc=%s,%s\n", name, kind, srv.Domains.MUC, srv.Domains.Breakout)
}
