package cluster

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"ppch/component/occupancy"
)

// Bounds of snapshots.
const (
	// pageLen is how long a page becomes at most, unless one occupant is longer. NATS recommends messages well below its limit of 1 MiB.
	pageLen = 256 << 10

	// maxSnapshots is how many snapshots are kept for further pages, and keepSnapshot for how long after the last one.
	maxSnapshots = 8
	keepSnapshot = 30 * time.Second
)

// snapshots are the snapshots whose pages nodes request.
type snapshots struct {
	// mu protects what follows.
	mu  sync.Mutex
	all []*snapshot // newest last
}

type snapshot struct {
	id   string
	pin  *occupancy.Pin
	used time.Time
}

// get returns the snapshot of an id, nil if it is gone. An empty id is that of a present one, which nodes that ask at the same time share.
func (s *snapshots) get(id string, shard *occupancy.Shard) *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, origin := time.Now(), shard.States().Origin
	for len(s.all) > 0 && now.Sub(s.all[0].used) > keepSnapshot {
		s.all = s.all[1:]
	}
	for i := len(s.all) - 1; i >= 0; i-- {
		if c := s.all[i]; c.id == id || id == "" && c.pin.Origin == origin {
			c.used = now
			return c
		}
	}
	if id != "" {
		return nil
	}
	made := &snapshot{id: rand.Text(), pin: shard.Pin(), used: now}
	if s.all = append(s.all, made); len(s.all) > maxSnapshots {
		s.all = s.all[1:]
	}
	return made
}

// answer answers a request for a page. NATS calls it for one request at a time.
func (c *Collector) answer(in *nats.Msg) {
	request, err := c.conn.open(in.Data)
	if err != nil || request.Kind != kindRequest || request.Shard != c.cfg.Shard.Name() || in.Reply == "" {
		c.log.Debug("request refused", "err", err)
		return
	}
	var page message
	if s := c.snapshots.get(request.Snapshot, c.cfg.Shard); s == nil {
		page = c.message(kindPage, c.cfg.Shard.States().Origin)
		page.Error = "the snapshot is gone"
	} else {
		page = c.page(s, request.From)
	}
	page.Nonce = request.Nonce
	c.pages.Add(1)
	if err := c.conn.send(in.Reply, page); err != nil {
		c.log.Debug("page not sent", "err", err)
	}
}

// page returns the page of a snapshot that begins at a place, nil for the first page.
func (c *Collector) page(s *snapshot, from *cursor) message {
	m := c.message(kindPage, s.pin.Origin)
	m.Snapshot = s.id
	at := cursor{}
	if from == nil {
		state := c.cfg.Shard.States()
		if state.Origin != s.pin.Origin {
			state = s.pin.ShardState
		}
		c.describe(&m, state)
	} else {
		at = *from
	}
	m.From = &at
	for at.Domain < len(s.pin.Domains) && !s.pin.Domains[at.Domain].Known {
		at.Domain++
	}
	if at.Domain >= len(s.pin.Domains) {
		return m
	}
	m.Domain = s.pin.Domains[at.Domain].JID.String()
	m.Age = age(s.pin.Domains[at.Domain].AsOf)
	next, limit := at, min(pageLen, c.conn.maxBody()/2)
	for size := 0; next.Room < s.pin.Rooms(at.Domain) && size < limit; {
		room := s.pin.Room(at.Domain, next.Room)
		d := occupancy.Delta{Room: room.JID.String()}
		if next.Occupant == 0 {
			d.New, d.Facts = true, &room.Facts
			size += len(d.Facts.Subject) + 200*(1+len(d.Facts.Breakouts))
		}
		size += len(d.Room)
		d.Present = make([]occupancy.Occupant, 0, min(len(room.Occupants)-next.Occupant, max(0, limit-size)/leastOccupant+1))
		for ; next.Occupant < len(room.Occupants) && (size < limit || next == at); next.Occupant++ {
			o := room.Occupants[next.Occupant].Occupant()
			size += occupantSize(&o)
			d.Present = append(d.Present, o)
		}
		m.Deltas = append(m.Deltas, d)
		if next.Occupant < len(room.Occupants) {
			break
		}
		next.Room, next.Occupant = next.Room+1, 0
	}
	if next.Room >= s.pin.Rooms(at.Domain) {
		totals := s.pin.Totals(at.Domain)
		m.Synced, m.Rooms, m.Occupants, m.Unseen = true, totals.Rooms, totals.Occupants, totals.Unseen
		next = cursor{Domain: at.Domain + 1}
	}
	if next.Domain < len(s.pin.Domains) {
		m.Next = &next
	}
	return m
}

// leastOccupant is what an occupant without texts counts as in occupantSize.
const leastOccupant = 100

// lineLen estimates the length of the lines of deltas.
func lineLen(deltas []occupancy.Delta) int {
	size := 0
	for i := range deltas {
		size += leastOccupant + len(deltas[i].Room)
		for j := range deltas[i].Present {
			size += occupantSize(&deltas[i].Present[j])
		}
	}
	return size
}

// occupantSize estimates the length of an occupant's line.
func occupantSize(o *occupancy.Occupant) int {
	return leastOccupant + len(o.ID) + len(o.Rule) + len(o.RealJID) + len(o.Name) + len(o.AvatarURL) + len(o.MovedFrom) +
		len(o.UserID) + len(o.UserName) + len(o.UserGroup) + len(o.UserEmail)
}
