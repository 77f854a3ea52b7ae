package admin_test

import (
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

const runDiagnostics = "<command xmlns='http://jabber.org/protocol/commands' node='diagnostics' action='execute'/>"

// The ad-hoc command shows the connection of each shard, and what NATS carries.
func TestDiagnostics_WithNATS(t *testing.T) {
	s := newStage(t)
	s.shards = []occupancy.ShardDiagnostics{{Shard: occupancy.DefaultShard, Component: jid.MustParse(own), Prosody: "prosody:5347"}}
	if answer := s.ask(t, "set", runDiagnostics); strings.Contains(answer, "NATS") || !strings.Contains(answer, "component "+own+"<") {
		t.Errorf("got %s want the component, and no NATS", answer)
	}
	silent := occupancy.ProblemBucketSilent.With(occupancy.Fact{Name: "bucket", Value: "ppch-config"}).Err(nil)
	s.shards = append(s.shards, occupancy.ShardDiagnostics{Shard: "b"})
	s.nats = &occupancy.NATSDiagnostics{
		Connected: true, Server: "nats:4222", Since: time.Now(), Reconnects: 1,
		Published: []occupancy.CollectorDiagnostics{{Shard: "main", Name: own, Epoch: "e1", Seq: 7, Pages: 2, Webhooks: &occupancy.WebhooksDiagnostics{Deliverer: "ppch-b", Delivering: true}}},
		Followed: []occupancy.NodeDiagnostics{
			{Shard: "b", Collector: "ppch-b", Epoch: "e2", Version: "2.0.0", Seq: 9, LastMessage: time.Now(), Collectors: []string{"ppch-b", "ppch-b2"}, Gaps: 1},
			{Shard: "c"},
		},
		Bucket: &occupancy.BucketDiagnostics{Name: "ppch-config", Keys: 3, Problem: silent},
	}
	answer := s.ask(t, "set", runDiagnostics)
	for _, want := range []string{
		"component " + own + " of main<", ">NATS<", ">up<", "at nats:4222", "1 reconnect;",
		">NATS, shard main<", ">published<", "batch 7; 2 pages of snapshots",
		">NATS, webhooks of main<", ">delivering<", "ppch-b is to deliver",
		">NATS, shard b<", ">followed<", "collector ppch-b of ppch-b, ppch-b2; version 2.0.0; epoch e2; batch 9", "1 gap<",
		">NATS, shard c<", ">no collector<",
		">NATS, bucket ppch-config<", ">bucket-silent<", "3 keys", "check that most servers of NATS run",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("got %s want %q", answer, want)
		}
	}
	s.nats = &occupancy.NATSDiagnostics{Problem: occupancy.ProblemNATSLogin.With(occupancy.Fact{Name: "nats", Value: "nats:4222"}).Err(nil)}
	if answer := s.ask(t, "set", runDiagnostics); !strings.Contains(answer, ">nats-not-authorized<") || !strings.Contains(answer, "PPCH_NATS_CREDS") {
		t.Errorf("got %s want the reason and its remedy", answer)
	}
}
