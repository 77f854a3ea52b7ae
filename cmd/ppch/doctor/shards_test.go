package doctor

import (
	"slices"
	"strings"
	"testing"

	"ppch/api/view"
	"ppch/component/occupancy"
	"ppch/prosody"
)

// reports returns what a part of the doctor reports, one line for each check.
func reports(t *testing.T, part func(*run)) []string {
	t.Helper()
	var all []string
	e := &run{reported: map[string]bool{}, caller: t.Context(), onCheck: func(c Check) {
		all = append(all, string(c.Status)+" "+c.Name+": "+c.Found+" / "+c.Remedy)
	}}
	part(e)
	return all
}

func TestShards_EachIsReported(t *testing.T) {
	one := facts{Diagnostics: view.Diagnostics{Shards: []view.ShardDiagnostics{{Shard: "main"}}, Component: "ppch.meet.jitsi"}}
	if got := reports(t, func(e *run) { e.shards(one) }); len(got) != 0 {
		t.Errorf("got %q of the only shard", got)
	}
	refused := occupancy.ReasonRefused
	seen := facts{Diagnostics: view.Diagnostics{Shards: []view.ShardDiagnostics{
		{Shard: "main", Kind: occupancy.ShardMain, Component: new("ppch.meet.jitsi"), Prosody: new("one:5347")},
		{Shard: "second", Kind: occupancy.ShardMain},
		{Shard: "v1", Kind: occupancy.ShardVisitors, Component: new("ppch.v1.meet.jitsi"), Prosody: new("two:5347"), Reason: &refused, Remedy: new("start Prosody")},
	}}}
	got := reports(t, func(e *run) { e.shards(seen) })
	for i, want := range []string{"ok shards: main (main) is connected by one:5347", "ok shards: second (main) arrives over NATS", "error shards: v1 (visitors, two:5347): refused / start Prosody"} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("got %q, want %q", got[i], want)
		}
	}
	if name := seen.nameOf(view.DomainDiagnostics{Shard: "v1", Domain: "muc.v1.meet.jitsi"}); name != "muc.v1.meet.jitsi of v1" {
		t.Errorf("got %q", name)
	}
}

// Nothing is said about the module on a Prosody that can't be reached.
func TestShards_NothingIsKnownOfOneThatIsDown(t *testing.T) {
	refused := occupancy.ReasonRefused
	seen := facts{Diagnostics: view.Diagnostics{
		Shards: []view.ShardDiagnostics{{Shard: "a", Component: new("ppch.meet.jitsi")}, {Shard: "v1", Kind: occupancy.ShardVisitors, Component: new("ppch.v1.meet.jitsi"), Reason: &refused}},
		Domains: []view.DomainDiagnostics{
			{Shard: "a", Domain: "muc.meet.jitsi", Module: &view.ModuleSubscription{Version: prosody.ModuleVersion}},
			{Shard: "v1", Domain: "muc.v1.meet.jitsi", Reason: &refused},
		},
	}}
	got := strings.Join(reports(t, func(e *run) { e.rooms(t.Context(), seen) }), "\n")
	for _, want := range []string{"unchecked muc-domains: muc.v1.meet.jitsi of v1: skipped: needs shards", "unchecked module: muc.v1.meet.jitsi of v1: skipped: needs shards"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	if strings.Contains(got, "not loaded") || strings.Contains(got, "of a: skipped: needs shards") {
		t.Errorf("got %s", got)
	}
}

func TestNATS_ReportsTheConnectionAndNames(t *testing.T) {
	reason, conflict := occupancy.ReasonNATSUnreachable, occupancy.ReasonCollectorConflict
	remedy, twins := new("NATS can't be reached at nats:4222: start NATS"), new("two collectors of the shard main are named ppch.meet.jitsi: stop one of them")
	published := []view.PublishedShard{{Shard: "main", Collector: "ppch.meet.jitsi"}}
	followed := []view.FollowedShard{{Shard: "main", Resyncs: 2, Gaps: 1}}
	for _, one := range []struct {
		nats *view.NATSDiagnostics
		want []string
	}{
		{nil, nil},
		{&view.NATSDiagnostics{Connected: true, Server: new("nats:4222"), Published: published}, []string{"ok nats: connected to nats:4222; publishes main as ppch.meet.jitsi / "}},
		{&view.NATSDiagnostics{Connected: true, Server: new("nats:4222"), Followed: followed}, []string{"ok nats: connected to nats:4222; follows main (2 resyncs, 1 gaps) / "}},
		{&view.NATSDiagnostics{}, []string{"warning nats: the service is connecting again / try again in a moment"}},
		{&view.NATSDiagnostics{Reason: &reason, Remedy: remedy, Published: published}, []string{"warning nats: nats-unreachable; other services receive nothing from this one / " + *remedy}},
		{&view.NATSDiagnostics{Reason: &reason, Remedy: remedy, Followed: followed}, []string{"error nats: nats-unreachable / " + *remedy}},
		{
			&view.NATSDiagnostics{Connected: true, Server: new("nats:4222"), Followed: []view.FollowedShard{{Shard: "main", Reason: &conflict, Remedy: twins}}},
			[]string{"warning nats: two collectors of the shard main are named ppch.meet.jitsi / stop one of them", "ok nats: connected to nats:4222; follows main (0 resyncs, 0 gaps) / "},
		},
	} {
		got := reports(t, func(e *run) { e.nats(facts{Diagnostics: view.Diagnostics{NATS: one.nats}}) })
		if !slices.Equal(got, one.want) {
			t.Errorf("got %q want %q", got, one.want)
		}
	}
}

// A service that connects to one Prosody and receives another's rooms is judged by its own connection.
func TestShards_OwnConnection(t *testing.T) {
	silent, refused := occupancy.ReasonCollectorSilent, occupancy.ReasonRefused
	seen := facts{Diagnostics: view.Diagnostics{
		Reason: &silent, // of the first
		Shards: []view.ShardDiagnostics{
			{Shard: "a", Reason: &silent},
			{Shard: "v1", Kind: occupancy.ShardVisitors, Component: new("ppch.v1.meet.jitsi"), Prosody: new("two:5347"), Reason: &refused},
		},
		Domains: []view.DomainDiagnostics{{Shard: "a", Domain: "muc.meet.jitsi"}, {Shard: "v1", Domain: "muc.v1.meet.jitsi"}},
	}}
	got := seen.own()
	if got.Component != "ppch.v1.meet.jitsi" || got.Prosody != "two:5347" || value(got.Reason) != refused || len(got.Domains) != 1 || got.Domains[0].Shard != "v1" {
		t.Errorf("got %+v want the connection of v1", got.Diagnostics)
	}
	seen.Shards = seen.Shards[:1]
	if got := seen.own(); got.Component != "" || len(got.Domains) != 2 {
		t.Errorf("got %+v want all, because nothing is its own", got.Diagnostics)
	}
}

func TestVisitors_AnUnwatchedNodeIsAWarning(t *testing.T) {
	for want, v := range map[string]*view.UnwatchedVisitors{
		"":                   nil,
		"ok visitors: the w": {},
		"warning visitors: Jicofo's number of visitors is 9, that of the watched visitor nodes 4 (rooms: 2)": {Rooms: 2, Reported: 9, Watched: 4},
	} {
		got := strings.Join(reports(t, func(e *run) { e.visitors(facts{Diagnostics: view.Diagnostics{UnwatchedVisitors: v}}) }), "\n")
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%+v: got %q, want %q", v, got, want)
		}
	}
}
