package main

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/component/clustertest"
	"ppch/prosody/prosodytest"
)

// nodeEnv returns the environment of a service that receives all domains of srv over NATS.
func nodeEnv(t *testing.T, srv *prosodytest.Server, nats string) variables {
	t.Helper()
	shards := filepath.Join(t.TempDir(), "shards")
	line := "name=main muc=" + srv.Domains.MUC + "," + srv.Domains.Breakout + " via=nats\n"
	check(t, os.WriteFile(shards, []byte(line), 0o600))
	return variables{
		"PPCH_API_KEY": testKey, "PPCH_PORT": "0", "PPCH_RATE_LIMIT": "0",
		"PPCH_SHARDS_FILE": shards, "PPCH_NATS_URL": nats, "PPCH_CLUSTER_SECRET": "a-secret-of-all-nodes",
	}
}

// The doctor judges a service without a component by its shards, and a collector also by NATS.
func TestDoctor_OverNATS(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, jitsiLike)
	nats := runNATS(t)
	collectorEnv := envFor(srv)
	collectorEnv["PPCH_NATS_URL"], collectorEnv["PPCH_CLUSTER_SECRET"] = nats, "a-secret-of-all-nodes"
	collector := runService(t, collectorEnv).ready()
	env := nodeEnv(t, srv, nats)
	node := runService(t, env).ready()
	env["PPCH_PORT"] = portOf(t, node.url)
	collectorEnv["PPCH_PORT"] = portOf(t, collector.url)

	healthy, status := diagnose(t, env)
	if status != 0 {
		t.Errorf("got exit status %d and %+v", status, healthy)
	}
	for name, want := range map[string]string{
		"component":   "none, because all shards arrive over NATS",
		"nats":        "connected to 127.0.0.1:",
		"shards":      "main (main) arrives over NATS from " + srv.Domains.Component,
		"muc-domains": srv.Domains.MUC + ", " + srv.Domains.Breakout,
		"settings":    "the running service uses these settings",
	} {
		if found := healthy.of(name, "ok"); len(found) != 1 || !strings.HasPrefix(found[0], want) {
			t.Errorf("%s: got %q want %s", name, found, want)
		}
	}
	if len(healthy.Checks) != 7 {
		t.Errorf("got %+v want no check that concerns a component", healthy.Checks)
	}
	of, status := diagnose(t, collectorEnv)
	if found := of.of("nats", "ok"); status != 0 || len(found) != 1 || !strings.Contains(found[0], "publishes main as "+srv.Domains.Component) {
		t.Errorf("got exit status %d and %+v of the collector", status, of)
	}

	check(t, collector.stop())
	eventually(t, 60*time.Second, "the shard is unknown", func() bool {
		return strings.Contains(node.get("/api/diagnostics", "X-API-Key", testKey).body, `"reason":"collector-silent"`)
	})
	stopped, status := diagnose(t, env)
	found := stopped.of("shards", "error")
	if status == 0 || len(found) != 1 || !strings.HasPrefix(found[0], "main (main, over NATS): collector-silent") || !strings.Contains(found[0], "check that the PPCH connected to that Prosody runs") {
		t.Errorf("got exit status %d and %+v want the silent collector", status, stopped)
	}
	if ok := append(stopped.of("nats", "ok"), stopped.of("component", "ok")...); len(ok) != 2 {
		t.Errorf("got %+v want only the shard to be wrong", stopped)
	}
}

// Two collectors of a shard with one name, each on its own Prosody, are a warning; so is NATS that a collector can't reach, because its own rooms are known.
func TestDoctor_CollectorWarnings(t *testing.T) {
	t.Parallel()
	nats := clustertest.NewNATS(t)
	var env variables
	for range 2 {
		env = envFor(prosodytest.New(t, jitsiLike))
		env["PPCH_NATS_URL"], env["PPCH_CLUSTER_SECRET"] = nats.ClientURL(), "a-secret-of-all-nodes"
		collector := runService(t, env).ready()
		env["PPCH_PORT"] = portOf(t, collector.url)
	}
	warns := func(want ...string) {
		t.Helper()
		var got diagnosis
		var status int
		eventually(t, time.Minute, "the doctor warns of "+want[0], func() bool {
			got, status = diagnose(t, env)
			return len(got.of("nats", "warning")) == 1
		})
		for _, w := range want {
			if found := got.of("nats", "warning")[0]; !strings.Contains(found, w) || status != 0 {
				t.Errorf("got exit status %d and %q want a warning with %q", status, found, w)
			}
		}
	}
	warns("two collectors of the shard main are named ppch.meet.jitsi", "give each its own component")
	nats.Shutdown()
	nats.WaitForShutdown()
	eventually(t, time.Minute, "the collector misses NATS", func() bool {
		d, _ := diagnose(t, env)
		return slices.ContainsFunc(d.of("nats", "warning"), func(found string) bool { return strings.HasPrefix(found, "nats-unreachable") })
	})
	eventually(t, time.Minute, "the name is free", func() bool { d, _ := diagnose(t, env); return len(d.of("nats", "warning")) == 1 })
	warns("nats-unreachable; other services receive nothing from this one", "start NATS")
}

// portOf returns the port of a URL.
func portOf(t *testing.T, address string) string {
	t.Helper()
	return must(url.Parse(address))(t).Port()
}
