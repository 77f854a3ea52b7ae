package doctor

import (
	"fmt"
	"slices"
	"strings"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// several reports whether the service watches several Prosodys.
func (f facts) several() bool { return len(f.Shards) > 1 }

// isDown reports whether nothing is known of the domains on one of several shards.
func (f facts) isDown(shard string) bool {
	return f.several() && slices.ContainsFunc(f.Shards, func(s view.ShardDiagnostics) bool { return s.Shard == shard && s.Reason != nil && !s.Connected })
}

// namesFor returns what the operator calls the settings of a shard.
func (e *run) namesFor(seen facts, shard string) occupancy.Settings {
	if names, ok := e.Names[shard]; ok || !seen.several() {
		return names.OrDefault()
	}
	return occupancy.LineSettings(shard) // of a service elsewhere
}

// set returns an assignment of a value to a setting, which may be a field of a line.
func set(setting, value string) string {
	name, where, _ := strings.Cut(setting, "=")
	return name + "=" + value + where
}

// nameOf returns the name of a domain, with that of its shard if there are several.
func (f facts) nameOf(d view.DomainDiagnostics) string {
	if f.several() {
		return d.Domain + " of " + d.Shard
	}
	return d.Domain
}

// shards reports each of several Prosodys, and one over NATS. The checks of the connection are about the first that the service connects to.
func (e *run) shards(seen facts) {
	if !seen.several() && seen.Component != "" {
		return
	}
	for _, s := range seen.Shards {
		where := value(s.Prosody)
		if s.Component == nil {
			where = "over NATS"
		}
		if s.Reason != nil {
			e.report(Shards, Wrong, fmt.Sprintf("%s (%s, %s): %s", s.Shard, s.Kind, where, *s.Reason), value(s.Remedy))
			continue
		}
		if s.Component == nil {
			e.report(Shards, OK, fmt.Sprintf("%s (%s) arrives over NATS%s", s.Shard, s.Kind, seen.senderOf(s.Shard)))
			continue
		}
		e.report(Shards, OK, fmt.Sprintf("%s (%s) is connected by %s", s.Shard, s.Kind, where))
	}
}

// visitors compares the number of visitors on the watched visitor nodes with Jicofo's.
func (e *run) visitors(seen facts) {
	v := seen.UnwatchedVisitors
	switch {
	case v == nil:
	case v.Rooms == 0:
		e.report(Visitors, OK, "the watched visitor nodes have all visitors that Jicofo counts")
	default:
		e.report(Visitors, Warning, fmt.Sprintf("Jicofo's number of visitors is %d, that of the watched visitor nodes %d (rooms: %d): there may be a node that is not watched", v.Reported, v.Watched, v.Rooms),
			"if this lasts for more than a minute, add a line with kind=visitors for each visitor node to PPCH_SHARDS_FILE; Jicofo's numbers are up to 15 s old")
	}
}
