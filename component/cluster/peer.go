package cluster

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// forgetAfter is how long a silent collector is remembered, so that a repeated heartbeat doesn't revive it, and maxPeers how many are.
const (
	forgetAfter = 10 * time.Minute
	maxPeers    = 64
)

// peer is one run of a collector. The mu of the Node protects it.
type peer struct {
	key, name, epoch string

	version string
	kind    occupancy.ShardKind
	beat    time.Duration
	domains map[string]domainState

	at         int64     // of its last heartbeat, by its own clock
	heardAt    time.Time // when that came
	firstAt    time.Time // when the first came
	wellAt     time.Time // when it last had no problem
	followedAt time.Time
	takenAt    time.Time // when its last batch or heartbeat reached the follower
	seq        uint64    // of that
	failedAt   time.Time // when its snapshot couldn't be loaded
	ended      bool
}

// key names one run of a collector.
func key(m message) string { return m.Collector + " " + m.Epoch }

// note notes a heartbeat and reports whether it is news. The caller holds mu.
func (n *Node) note(m message) bool {
	p := n.peers[key(m)]
	now := time.Now()
	if p == nil {
		n.forget(now)
		if len(n.peers) >= maxPeers {
			return false
		}
		p = &peer{key: key(m), name: m.Collector, epoch: m.Epoch, firstAt: now, at: -1}
		n.peers[p.key] = p
	}
	if p.ended || m.At <= p.at {
		return false // repeated, or overtaken by a later one
	}
	p.at, p.heardAt, p.ended = m.At, now, m.End
	p.version, p.kind, p.beat = m.Version, occupancy.ShardKind(m.ShardKind), microseconds(m.Heartbeat)
	p.domains = make(map[string]domainState, len(m.Domains))
	for _, d := range m.Domains {
		p.domains[d.JID] = d
	}
	if n.well(p) {
		p.wellAt = now
	}
	select {
	case n.news <- struct{}{}:
	default:
	}
	return true
}

// forget drops collectors that have been silent for long. The caller holds mu.
func (n *Node) forget(now time.Time) {
	for k, p := range n.peers {
		if p != n.current && now.Sub(p.heardAt) > forgetAfter {
			delete(n.peers, k)
		}
	}
}

// well reports whether all domains have current rooms on a collector. The caller holds mu.
func (n *Node) well(p *peer) bool {
	return !slices.ContainsFunc(n.cfg.Domains, func(d jid.JID) bool {
		s, ok := p.domains[d.Domainpart()]
		return !ok || !s.Known || !s.Current || s.Reason != ""
	})
}

// alive returns the collectors that were heard lately, the best first. The caller holds mu.
// All nodes choose the same one, as far as they know the same.
func (n *Node) alive() (all []*peer) {
	now := time.Now()
	for _, p := range n.peers {
		if !p.ended && now.Sub(p.heardAt) <= time.Duration(2.5*float64(p.beat)) {
			all = append(all, p)
		}
	}
	rank := func(p *peer) int {
		r := 0
		if !n.well(p) {
			r++
		}
		if now.Sub(p.failedAt) < n.patience() {
			r += 2
		}
		return r
	}
	slices.SortFunc(all, func(a, b *peer) int {
		// Of two runs under one name, the later one.
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.name, b.name), strings.Compare(b.epoch, a.epoch))
	})
	return all
}

// betterThan reports whether another collector is well although p has not been for a while. The caller holds mu.
func (n *Node) betterThan(p *peer) bool {
	if now := time.Now(); now.Sub(p.wellAt) <= n.patience() || now.Sub(p.followedAt) <= n.patience() {
		return false
	}
	all := n.alive()
	return len(all) > 0 && all[0] != p && n.well(all[0])
}

// choose waits for a collector that can be followed.
func (n *Node) choose(ctx context.Context) (*peer, error) {
	for {
		n.mu.Lock()
		all := n.alive()
		n.mu.Unlock()
		if len(all) > 0 {
			return all[0], nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-n.news:
		}
	}
}

// twins returns the name under which two runs of a collector publish at the same time, or an empty string. The caller holds mu.
func (n *Node) twins() string {
	now := time.Now()
	for _, a := range n.peers {
		for _, b := range n.peers {
			if a != b && a.name == b.name && a.heardAt.After(b.firstAt) && b.heardAt.After(a.firstAt) &&
				now.Sub(a.heardAt) <= n.patience() && now.Sub(b.heardAt) <= n.patience() && a.heardAt.Sub(b.firstAt) > a.beat {
				return a.name
			}
		}
	}
	return ""
}
