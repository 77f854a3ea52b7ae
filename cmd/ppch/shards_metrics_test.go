package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each shard has its own metrics, named by the label shard. Those of rooms and people are absent while they are unknown, never 0.
func TestShards_MetricsOfUnknownAreAbsent(t *testing.T) {
	t.Parallel()
	w := startTwoShards(t)
	sample := regexp.MustCompile(`(?m)^(ppch_(?:rooms|participants))\{domain="muc\.meet\.jitsi",shard="(\w)"\} (\S+)$`)
	shows := func(want string) {
		t.Helper()
		eventually(t, 60*time.Second, "the metrics are "+want, func() bool {
			var got []string
			for _, m := range sample.FindAllStringSubmatch(w.get("/metrics", "X-API-Key", testKey).body, -1) {
				got = append(got, m[2]+" "+m[1]+" "+m[3])
			}
			slices.Sort(got)
			return strings.Join(got, ", ") == want
		})
	}
	shows("a ppch_participants 3, a ppch_rooms 1, b ppch_participants 3, b ppch_rooms 2")
	check(t, w.b.Kill())
	shows("a ppch_participants 3, a ppch_rooms 1")
	var left []string
	for line := range strings.Lines(w.get("/metrics", "X-API-Key", testKey).body) {
		if name, labels, _ := strings.Cut(line, "{"); strings.Contains(labels, `shard="b"`) {
			left = append(left, name)
		}
	}
	slices.Sort(left)
	// What is left says that it is unknown, and since when.
	same(t, "metrics of b", []string{
		"ppch_admin_stanzas_refused_total", "ppch_domain_up", "ppch_resyncs_total", "ppch_shard_info", "ppch_stream_up", "ppch_streams_total", "ppch_sync_lag_seconds",
	}, slices.Compact(left))
	if got := w.get("/metrics", "X-API-Key", testKey).body; !strings.Contains(got, "\nppch_domain_up{domain=\"muc.meet.jitsi\",shard=\"b\"} 0\n") {
		t.Errorf("got\n%s\nwant the domain of b down", got)
	}
}
