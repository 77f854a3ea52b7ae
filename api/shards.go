package api

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// shardParameter returns the shard that a request is about, or "" for all. An unknown name is an error.
func (s *Server) shardParameter(w *response, q *query) (string, error) {
	name := q.text("shard")
	if !q.values.Has("shard") || q.err() != nil {
		return "", q.err()
	}
	if s.cfg.Directory.Shard(name) == nil {
		return "", s.noShard(name)
	}
	w.shard = name
	return name, nil
}

// noShard returns the problem of a name that no shard has.
func (s *Server) noShard(name string) *problem {
	return badParameter("shard: there is no shard %q: use %s", shorten(name), s.shardNames())
}

// checkShard returns an error if a shard has no rooms on the domain of a room. An empty name is all shards, a zero room all rooms.
func (s *Server) checkShard(name string, room jid.JID) error {
	shard := s.cfg.Directory.Shard(name)
	if shard == nil || room.Equal(jid.JID{}) || shard.Has(room) {
		return nil
	}
	var domains []string
	for _, d := range shard.Domains() {
		domains = append(domains, d.JID.String())
	}
	return &problem{
		kind:   kindNotWatched,
		detail: "The shard " + name + " has no domain " + room.Domainpart() + ", only " + strings.Join(domains, " and ") + ": ask for " + shorten(room.Localpart()) + "@" + domains[0] + ".",
		cause:  occupancy.ErrNotWatched,
	}
}

// shardNames returns the names of all shards, for people.
func (s *Server) shardNames() string {
	var names []string
	for _, shard := range s.cfg.Directory.Shards() {
		names = append(names, shard.Name())
	}
	return strings.Join(names, " or ")
}

// nameShards adds the shards that can't be read to the problem of a request that needs them: that of the request, or all main shards.
func (s *Server) nameShards(w *response, p *problem) *problem {
	shard := p.shard
	if p.kind == kindUnavailable || p.kind == kindCountUnknown {
		shard = cmp.Or(shard, w.shard)
	}
	if shard == "" {
		return p
	}
	named := *p
	named.shards = []string{shard}
	if w.shard != "" {
		return &named
	}
	for _, d := range s.cfg.Directory.Domains() {
		if d.Kind == occupancy.ShardMain && d.ReadProblem != nil && !slices.Contains(named.shards, d.Shard) {
			named.shards = append(named.shards, d.Shard)
		}
	}
	slices.Sort(named.shards)
	return &named
}

// wholeRoom is room for readers that show no partial numbers: a room that may also be on a shard that can't be read is an error.
func (s *Server) wholeRoom(ctx context.Context, room jid.JID) (occupancy.Room, error) {
	found, err := s.room(ctx, room)
	if err != nil || len(found.UnknownShards) == 0 {
		return found, err
	}
	for _, d := range s.cfg.Directory.Domains() {
		if d.JID.Equal(room.Domain()) && d.Shard == found.UnknownShards[0] && d.ReadProblem != nil {
			named := *d.ReadProblem
			named.Shard, named.Remedy = d.Shard, "shard "+d.Shard+": "+named.Remedy
			return occupancy.Room{}, &named
		}
	}
	return s.room(ctx, room) // it has become known meanwhile
}
