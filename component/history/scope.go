package history

import (
	"slices"
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

// recorded reports whether the rooms of a scope are recorded: it is watched, its shard is recorded, and this PPCH does that.
func (r *Recorder) recorded(s scope) bool {
	return r.cfg.Own(s.shard) && slices.ContainsFunc(recordedShards(r.cfg.Directory), func(shard *occupancy.Shard) bool {
		return shard.Name() == s.shard && shard.Has(jid.NewUnsafe("", s.domain, "").JID)
	})
}

// recordedShards returns the shards of which meetings are recorded, by this PPCH or others: no visitor nodes among main shards,
// because their rooms show those of other shards once more.
func recordedShards(d *occupancy.Directory) []*occupancy.Shard {
	shards := d.Shards()
	visitors := func(s *occupancy.Shard) bool { return s.Kind() != occupancy.ShardMain }
	if main := slices.DeleteFunc(slices.Clone(shards), visitors); len(main) > 0 {
		return main
	}
	return shards
}

// ownShards returns the shards that this PPCH records.
func (r *Recorder) ownShards() []*occupancy.Shard {
	return slices.DeleteFunc(recordedShards(r.cfg.Directory), func(s *occupancy.Shard) bool { return !r.cfg.Own(s.Name()) })
}

// Rooms are the rooms that a caller may read; nil for all.
type Rooms []RoomPattern

// RoomPattern matches one room, or with Prefix all rooms of a domain whose localpart begins with Local.
type RoomPattern struct {
	Local, Domain string
	Prefix        bool `json:",omitempty"`
}

// Includes reports whether a room, given by its JID, is one of them.
func (r Rooms) Includes(room string) bool {
	local, domain, _ := strings.Cut(room, "@")
	return r == nil || slices.ContainsFunc(r, func(p RoomPattern) bool {
		return p.Domain == domain && (p.Local == local || p.Prefix && strings.HasPrefix(local, p.Local))
	})
}
