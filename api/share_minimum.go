package api

import (
	"cmp"
	"maps"
	"slices"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// unknown returns the problem of a link whose rooms can't all be read, with what is certain meanwhile.
// Unlike that of an API key it names no shard, no address and no setting: a share link may be public.
func (l *links) unknown(k *keys.Key, unavailable *occupancy.UnavailableError) *problem {
	p := unavailableProblem(unavailable, unavailable)
	p.shard = ""
	p.detail = "The number of people is unknown at present."
	if p.atLeast = l.minimum(k); p.atLeast != nil {
		p.detail = "Some servers do not answer, so the number of people is unknown: at_least has what is certain."
	}
	return p
}

// minimum returns what the live shards know of a link's rooms, or nil if none is live.
// A shard that answers from before an interruption has no minimum: people may have left since.
func (l *links) minimum(k *keys.Key) *view.SharedMinimum {
	var live []occupancy.Domain
	for _, d := range l.server.cfg.Directory.Domains() {
		if d.Kind == occupancy.ShardMain && d.EventProblem == nil {
			live = append(live, d)
		}
	}
	if len(live) == 0 {
		return nil
	}
	named, others := k.NamedRooms()
	doc := &view.SharedMinimum{List: others || len(named) > 1, Rooms: []view.SharedMinimumRoom{}}
	for _, room := range named {
		doc.Rooms = append(doc.Rooms, l.minimumOf(k, live, room))
		doc.ParticipantCount += doc.Rooms[len(doc.Rooms)-1].ParticipantCount
	}
	if !others {
		return doc
	}
	found := l.minimumOfOthers(k, live, named)
	for _, address := range slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(cmp.Compare(found[b], found[a]), cmp.Compare(a, b))
	}) {
		doc.ParticipantCount += found[address]
		if len(doc.Rooms) < view.MaxSharedRooms {
			doc.Rooms = append(doc.Rooms, l.minimumOf(k, live, jid.MustParse(address)))
		}
	}
	return doc
}

// minimumOf returns what live domains know of a room.
func (l *links) minimumOf(k *keys.Key, live []occupancy.Domain, room jid.JID) view.SharedMinimumRoom {
	var all occupancy.Room
	for _, d := range live {
		shard := l.server.cfg.Directory.Shard(d.Shard)
		if shard == nil || !d.JID.Equal(room.Domain()) {
			continue // retired since, or of other rooms
		}
		if found, err := shard.Room(room); err == nil {
			all.Participants += found.Participants
			all.Occupants = append(all.Occupants, found.Occupants...)
		}
	}
	view.SortOccupants(all.Occupants)
	return view.NewSharedMinimumRoom(l.server.cfg.Names.Display(room), all, keys.Grant{Key: k}.HasNames())
}

// minimumOfOthers returns how many people live domains have in the rooms of a link that it doesn't name, by address.
func (l *links) minimumOfOthers(k *keys.Key, live []occupancy.Domain, named []jid.JID) map[string]int {
	grant, listed, found := keys.Grant{Key: k}, l.listedDomains(k), make(map[string]int)
	keep := func(g occupancy.RoomSummary) bool {
		return g.Participants > 0 && grant.AllowsAddress(g.Address) && !slices.ContainsFunc(named, g.JID().Equal)
	}
	for _, d := range live {
		if !slices.ContainsFunc(listed, d.JID.Equal) {
			continue
		}
		page, _ := l.server.cfg.Directory.Rooms(occupancy.Query{Shard: d.Shard, Domain: d.JID.Domainpart(), Keep: keep}) // empty if it is unknown by now
		for _, g := range page.Rooms {
			found[g.Address] += g.Participants
		}
	}
	return found
}
