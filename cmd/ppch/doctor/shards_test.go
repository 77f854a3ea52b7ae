package doctor

import (
	"strings"
	"testing"

	"ppch/api/view"
	"ppch/component/occupancy"
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
	one := facts{Diagnostics: view.Diagnostics{Shards: []view.ShardDiagnostics{{Shard: "main"}}}}
	if got := reports(t, func(e *run) { e.shards(one) }); len(got) != 0 {
		t.Errorf("got %q of the only shard", got)
	}
	refused := occupancy.ReasonRefused
	seen := facts{Diagnostics: view.Diagnostics{Shards: []view.ShardDiagnostics{
		{Shard: "main", Kind: occupancy.ShardMain, Prosody: new("one:5347")},
		{Shard: "second", Kind: occupancy.ShardMain},
		{Shard: "v1", Kind: occupancy.ShardVisitors, Prosody: new("two:5347"), Reason: &refused, Remedy: new("start Prosody")},
	}}}
	got := reports(t, func(e *run) { e.shards(seen) })
	for i, want := range []string{"ok shards: main (main) is connected by one:5347", "ok shards: second (main) is connected by another PPCH", "error shards: v1 (visitors, two:5347): refused / start Prosody"} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("got %q, want %q", got[i], want)
		}
	}
	if name := seen.nameOf(view.DomainDiagnostics{Shard: "v1", Domain: "muc.v1.meet.jitsi"}); name != "muc.v1.meet.jitsi of v1" {
		t.Errorf("got %q", name)
	}
}

func TestVisitors_AnUnwatchedNodeIsAWarning(t *testing.T) {
	for want, v := range map[string]*view.UnwatchedVisitors{
		"":                   nil,
		"ok visitors: the w": {},
		"warning visitors: in 2 rooms Jicofo counts 9 visitors, but the watched visitor nodes have 4": {Rooms: 2, Reported: 9, Watched: 4},
	} {
		got := strings.Join(reports(t, func(e *run) { e.visitors(facts{Diagnostics: view.Diagnostics{UnwatchedVisitors: v}}) }), "\n")
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%+v: got %q, want %q", v, got, want)
		}
	}
}
