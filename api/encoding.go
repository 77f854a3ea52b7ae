package api

import (
	"cmp"
	"slices"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

const (
	// maxEncoded is the size in bytes of the cache of encoded rooms. A room of 20 is about 8 kB.
	maxEncoded = 24 << 20

	// maxChunk is the size in bytes after which a chunk of a room ends. Chunks end only between two occupants or names.
	maxChunk = 64 << 10
)

// variant selects one of the documents for a room.
type variant struct {
	detail detail
	names  bool // whether it contains names
}

type detail uint8

const (
	asParticipants detail = iota
	asListed
	asExpanded
	asRoom
)

// fingerprint returns the one of a room's two fingerprints that the variant depends on.
func (s variant) fingerprint(all, numbers occupancy.Fingerprint) occupancy.Fingerprint {
	if s.names {
		return all
	}
	return numbers
}

// chunk is a part of a room's JSON members, or all of them for a small room. It never changes.
type chunk struct {
	fingerprint occupancy.Fingerprint
	asOf        time.Time // of the room if the chunk contains durations, otherwise zero
	name        []byte    // the shortest name of the room, as JSON; nil in all chunks but the first
	data        []byte
	next        int // where the next chunk begins, 0 if this is the last
}

// chunkKey identifies a chunk in the cache, which has only the latest one of each.
type chunkKey struct {
	address string
	variant variant
	from    int
}

// encoder encodes rooms in chunks and caches these, so that an unchanged room is encoded once for all readers.
// A chunk depends only on the room, so an evicted chunk can be encoded again.
// It is safe for concurrent use.
type encoder struct {
	names  *occupancy.NameResolver
	chunks *view.Cache[chunkKey, *chunk]
}

func newEncoder(names *occupancy.NameResolver) *encoder {
	return &encoder{names, view.NewCache[chunkKey, *chunk](maxEncoded)}
}

// cached returns the chunk of a room with that fingerprint, or nil.
func (e *encoder) cached(key chunkKey, state occupancy.Fingerprint, asOf time.Time) *chunk {
	c, ok := e.chunks.Get(key)
	if !ok || c.fingerprint != state || key.variant.detail == asRoom && !c.asOf.Equal(asOf) {
		return nil
	}
	return c
}

// chunk returns a chunk of a room, whose occupants must be sorted.
func (e *encoder) chunk(room *occupancy.Room, s variant, from int) *chunk {
	key := chunkKey{room.JID.String(), s, from}
	state := s.fingerprint(room.Fingerprint, room.AnonymousFingerprint)
	if c := e.cached(key, state, room.AsOf); c != nil {
		return c
	}
	c := s.encode(e.names, room, from)
	c.fingerprint = state
	if s.detail == asRoom {
		c.asOf = room.AsOf
	}
	if from == 0 {
		c.name = view.Marshal(e.names.Name(room.JID))
	}
	// Rooms that don't exist would fill the cache, since a client can name any number of them. A split room has a time for
	// each part, and the cache's key has only one.
	if room.Exists && !room.Split {
		e.chunks.Add(key, c, len(c.data))
	}
	return c
}

// encode encodes the members of a room, beginning with a step, until the chunk is full.
//
// The steps are: the members before the names, one name per occupant, the members between, each occupant, the end.
// A room of 100,000 occupants with long texts therefore takes only the memory of one chunk.
func (s variant) encode(names *occupancy.NameResolver, room *occupancy.Room, from int) *chunk {
	w := view.NewWriter()
	if s.detail == asListed {
		w.Members(view.NewHeadcount(*room))
		w.Members(view.NewListedRoom(names, *room, s.names))
		return &chunk{data: w.Bytes()}
	}
	var all []*occupancy.Record
	if s.names {
		all = room.Occupants
	}
	person := slices.IndexFunc(all, func(o *occupancy.Record) bool { return o.Kind().Person() }) // the first of them
	between, end := 1+len(all), 2+2*len(all)
	for step := from; step <= end; step++ {
		if step > from && w.Len() >= maxChunk {
			return &chunk{data: w.Bytes(), next: step}
		}
		switch {
		case step == 0:
			w.Members(view.NewHeadcount(*room))
			w.Text(`,"participants":[`)
		case step < between:
			if o := all[step-1].Occupant(); o.Kind.Person() {
				w.Comma(step-1 > person)
				w.Value(cmp.Or(o.Name, o.ID))
			}
		case step == between:
			w.Text("]")
			w.Members(s.restView(names, *room))
			w.Text(`,"occupants":`)
			if all == nil && room.Exists {
				w.Text("null")
				return &chunk{data: w.Bytes()}
			}
			w.Text("[")
		case step < end:
			w.Comma(step > between+1)
			w.Value(s.occupantView(room, all[step-between-1].Occupant()))
		default:
			w.Text("]")
		}
	}
	return &chunk{data: w.Bytes()}
}

// restView returns the document of a room between the names and the occupants.
func (s variant) restView(names *occupancy.NameResolver, room occupancy.Room) any {
	switch s.detail {
	case asParticipants:
		return view.NewRoomCounts(names, room, s.names)
	case asRoom:
		return view.NewRoomDetail(names, room, s.names)
	}
	return view.NewListedRoom(names, room, s.names)
}

// occupantView returns the document of an occupant.
func (s variant) occupantView(room *occupancy.Room, o occupancy.Occupant) any {
	if s.detail == asRoom {
		return view.NewOccupantDetail(o, *room)
	}
	return view.NewOccupant(o, room.Source)
}
