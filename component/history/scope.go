package history

import (
	"strings"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// scope is a MUC domain of a shard.
type scope struct{ shard, domain string }

// scopeOf returns the scope of an event.
func scopeOf(e occupancy.Event) scope { return scope{e.Shard, e.Room.Domainpart()} }

// key returns the name of a domain in the file, or of a room there by its address. Those of the default shard are as they were
// when there was only one. No address of a room and no name of a shard has a slash.
func key(shard, address string) string {
	if shard == occupancy.DefaultShard {
		return address
	}
	return shard + "/" + address
}

func (s scope) key() string { return key(s.shard, s.domain) }

// splitKey undoes key.
func splitKey(k string) (shard, address string) {
	if shard, address, ok := strings.Cut(k, "/"); ok {
		return shard, address
	}
	return occupancy.DefaultShard, k
}

// recorded reports whether the rooms of a scope are recorded: it is watched, and no visitor node among main shards,
// whose rooms show those of other shards once more.
func (r *Recorder) recorded(s scope) bool {
	shards := r.cfg.Directory.Shards()
	main, found := false, (*occupancy.Shard)(nil)
	for _, shard := range shards {
		main = main || shard.Kind() == occupancy.ShardMain
		if shard.Name() == s.shard {
			found = shard
		}
	}
	return found != nil && found.Has(jid.NewUnsafe("", s.domain, "").JID) && (found.Kind() == occupancy.ShardMain || !main)
}
