package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ppch/api/view"
)

// nats reports the connection to NATS, and collectors that share a name.
func (e *run) nats(seen facts) {
	n := seen.NATS
	if n == nil {
		return
	}
	var carried []string
	for _, p := range n.Published {
		carried = append(carried, "publishes "+p.Shard+" as "+p.Collector)
		e.twins(p.Reason != nil, p.Remedy)
		if w := p.Webhooks; w != nil {
			e.twins(w.Reason != nil, w.Remedy)
			if w.Deliverer != nil && w.Delivering {
				carried = append(carried, "delivers webhooks of "+p.Shard)
			} else if w.Deliverer != nil {
				carried = append(carried, "leaves webhooks of "+p.Shard+" to "+*w.Deliverer)
			}
		}
	}
	for _, f := range n.Followed {
		carried = append(carried, fmt.Sprintf("follows %s (%d resyncs, %d gaps)", f.Shard, f.Resyncs, f.Gaps))
		e.twins(f.Reason != nil, f.Remedy)
	}
	switch {
	case n.Reason != nil && len(n.Followed) == 0:
		e.report(NATS, Warning, fmt.Sprintf("%s; other services receive nothing from this one", *n.Reason), value(n.Remedy))
	case n.Reason != nil:
		e.report(NATS, Wrong, string(*n.Reason), value(n.Remedy))
	case !n.Connected:
		e.report(NATS, Warning, "the service is connecting again", "try again in a moment")
	default:
		e.report(NATS, OK, strings.Join(append([]string{"connected to " + value(n.Server)}, carried...), "; "))
	}
}

// keysInNATS reports the keys in NATS.
func (e *run) keysInNATS(n *view.NATSDiagnostics) {
	if n == nil || n.Settings == nil {
		return
	}
	s := n.Settings
	switch {
	case s.Reason != nil && !s.Known:
		e.report(KeysInNATS, Wrong, string(*s.Reason), value(s.Remedy))
	case s.Reason != nil:
		e.report(KeysInNATS, Warning, fmt.Sprintf("%s; the service keeps what it read at %s", *s.Reason, value(s.ReadAt)), value(s.Remedy))
	default:
		e.report(KeysInNATS, OK, fmt.Sprintf("%d keys and share links, and %d webhooks, in the bucket %s", s.Keys, s.Hooks, s.Bucket))
	}
}

// twins warns of two collectors with one name, or of two services that deliver the same webhooks.
func (e *run) twins(found bool, remedy *string) {
	if !found {
		return
	}
	what, how, _ := strings.Cut(value(remedy), ": ")
	e.report(NATS, Warning, what, how)
}

// received makes the checks of a service that receives all shards over NATS.
func (e *run) received(seen facts) {
	e.report(Component, OK, "none, because all shards arrive over NATS; the checks of Prosody and its Lua module belong to their collectors")
	e.each(seen, MUCDomains, func(d view.DomainDiagnostics) result {
		if d.Reason != nil {
			return result{Wrong, string(*d.Reason), value(d.Remedy)}
		}
		return result{status: OK}
	})
	e.notCounted(seen)
	e.visitors(seen)
}

// senderOf says from which collector a shard arrives, if that is known.
func (f facts) senderOf(shard string) string {
	if f.NATS == nil {
		return ""
	}
	for _, s := range f.NATS.Followed {
		if s.Shard == shard && s.Collector != nil {
			return " from " + *s.Collector
		}
	}
	return ""
}

// own returns the facts without the domains that arrive over NATS, and with the connection of the first shard that the service connects to,
// main ones first. If there is none, it returns all facts.
func (f facts) own() facts {
	received := map[string]bool{}
	found := false
	for _, s := range f.Shards {
		switch {
		case s.Component == nil:
			received[s.Shard] = true
		case !found && (f.Component == "" || *s.Component == f.Component && value(s.Prosody) == f.Prosody):
			f.shard, found = s.Shard, true
			f.Component, f.Prosody, f.Connected, f.Reason, f.Remedy = *s.Component, value(s.Prosody), s.Connected, s.Reason, s.Remedy
		}
	}
	if found {
		f.Domains = slices.DeleteFunc(slices.Clone(f.Domains), func(d view.DomainDiagnostics) bool { return received[d.Shard] })
	}
	return f
}

// onlyOwn returns inspect for the facts of own.
func onlyOwn(inspect func(context.Context) (facts, error)) func(context.Context) (facts, error) {
	return func(ctx context.Context) (facts, error) {
		f, err := inspect(ctx)
		return f.own(), err
	}
}
