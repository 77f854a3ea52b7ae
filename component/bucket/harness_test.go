package bucket_test

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ppch/component/bucket"
	"ppch/component/cluster"
	"ppch/component/clustertest"
	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

const secret = "a secret of all the nodes"

// runNATS runs a NATS server with JetStream until the test ends.
func runNATS(t *testing.T, adjust ...func(*server.Options)) *clustertest.NATS {
	t.Helper()
	return clustertest.NewNATS(t, append([]func(*server.Options){clustertest.JetStream(t)}, adjust...)...)
}

// runCluster runs three servers that form a cluster.
func runCluster(t *testing.T) []*clustertest.NATS {
	t.Helper()
	var routes []string
	ports := make([]int, 3)
	for i := range ports {
		ports[i] = freePort(t)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
	}
	var all []*clustertest.NATS
	for i := range ports {
		all = append(all, runNATS(t, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n%d", i)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		}))
	}
	eventually(t, "the cluster has a leader", func() bool {
		for _, s := range all {
			if s.JetStreamIsLeader() {
				return len(s.JetStreamClusterPeers()) == 3
			}
		}
		return false
	})
	return all
}

func freePort(t *testing.T) int {
	t.Helper()
	return componenttest.Must(prosodytest.FreePort())(t)
}

// debianNATS runs the nats-server of the system, and returns its URL.
func debianNATS(t *testing.T) string {
	t.Helper()
	program := prosodytest.Installed(t, "nats-server")
	port := freePort(t)
	cmd := exec.Command(program, "-a", "127.0.0.1", "-p", fmt.Sprint(port), "-js", "-sd", filepath.Join(t.TempDir(), "js"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return fmt.Sprintf("nats://127.0.0.1:%d", port)
}

// node is a bucket that is followed.
type node struct {
	*bucket.Bucket
	t    *testing.T
	conn *cluster.Conn
	log  *componenttest.LogBuffer
	stop func()
}

// newNode follows the bucket until the test ends.
func newNode(t *testing.T, url string, adjust ...func(*cluster.Config)) *node {
	t.Helper()
	return newClient(t, url, adjust...).follow()
}

// newSavingNode is newNode with a file of saved settings.
func newSavingNode(t *testing.T, url, file string, adjust ...func(*cluster.Config)) *node {
	t.Helper()
	return newSavingClient(t, url, file, adjust...).follow()
}

// follow follows the bucket until the test ends.
func (n *node) follow() *node {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Error(err)
		}
	})
	n.t.Cleanup(n.stop)
	return n
}

// newClient is newNode without following.
func newClient(t *testing.T, url string, adjust ...func(*cluster.Config)) *node {
	t.Helper()
	return newSavingClient(t, url, "", adjust...)
}

// newSavingClient is newClient with a file of saved settings.
func newSavingClient(t *testing.T, url, file string, adjust ...func(*cluster.Config)) *node {
	t.Helper()
	n := &node{t: t, log: &componenttest.LogBuffer{}}
	log := slog.New(slog.NewTextHandler(n.log, nil))
	cfg := cluster.Config{URLs: []string{url}, Secret: secret, Log: log, Heartbeat: 200 * time.Millisecond}
	for _, f := range adjust {
		f(&cfg)
	}
	var err error
	if n.conn, err = cluster.Dial(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.conn.Close)
	if n.Bucket, err = bucket.New(bucket.Config{Conn: n.conn, Secret: cfg.Secret, File: file, Log: log}); err != nil {
		t.Fatal(err)
	}
	return n
}

// put sets an entry.
func (n *node) put(name, value string) bucket.Entry {
	n.t.Helper()
	e, err := n.set(name, value)
	if err != nil {
		n.t.Fatalf("%s: %v", name, err)
	}
	return e
}

func (n *node) set(name, value string) (bucket.Entry, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), 5*time.Second)
	defer cancel()
	return n.Update(ctx, name, func(bucket.Entry) (bucket.Entry, error) { return bucket.Entry{Value: []byte(value)}, nil })
}

// remove removes an entry.
func (n *node) remove(name string) {
	n.t.Helper()
	if _, err := n.Update(n.t.Context(), name, func(bucket.Entry) (bucket.Entry, error) { return bucket.Entry{Removed: true}, nil }); err != nil {
		n.t.Fatal(err)
	}
}

// value returns an entry's value, "-" if there is none, and the reason if it is unknown.
func (n *node) value(name string) string {
	e, ok, err := n.Get(name)
	switch {
	case err != nil:
		return reason(err)
	case !ok:
		return "-"
	}
	return string(e.Value)
}

// has waits until an entry has a value; see value.
func (n *node) has(name, want string) {
	n.t.Helper()
	eventually(n.t, name+" is "+want, func() bool { return n.value(name) == want })
}

// problem waits until there is a problem; "" stands for none.
func (n *node) problem(want string) {
	n.t.Helper()
	eventually(n.t, "the problem is "+want, func() bool {
		p := n.Diagnostics().Problem
		return p == nil && want == "" || p != nil && string(p.Reason) == want
	})
}

// foreign is a program that uses the bucket, but doesn't have the secret.
type foreign struct {
	t *testing.T
	jetstream.KeyValue
	js jetstream.JetStream
}

func newForeign(t *testing.T, url string) foreign {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "ppch_config")
	if err != nil {
		t.Fatal(err)
	}
	return foreign{t, kv, js}
}

// raw returns what is stored under a name.
func (f foreign) raw(name string) []byte {
	f.t.Helper()
	e, err := f.Get(f.t.Context(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	return e.Value()
}

func (f foreign) write(name string, data []byte) {
	f.t.Helper()
	if _, err := f.Put(f.t.Context(), name, data); err != nil {
		f.t.Fatal(err)
	}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	componenttest.Eventually(t, 30*time.Second, what, ok)
}
