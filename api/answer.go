package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// maxWhole is the size in bytes up to which a response about rooms is buffered and sent with its length.
// A list of 100 rooms is about 60 kB. A larger response is sent while it is encoded, so that a client that reads slowly,
// or not at all, takes no more memory than this.
const maxWhole = 128 << 10

// manyPeople is the number of occupants above which sorting a room could delay other requests.
const manyPeople = 500

// answer is a response about rooms. Each room is as it was when it was added.
type answer struct {
	server  *Server
	variant variant
	shard   string // whose rooms these are, empty for all
	link    string // the Link header for the next page, or ""

	// asked are rooms about which Prosody was asked for this response, by address. It isn't asked twice.
	asked map[string]*occupancy.Room

	buffer *[]byte     // the beginning of the body
	later  []laterRoom // the rest of the body

	stamp   string // the last as_of, which most rooms of a list share
	stampOf time.Time
}

// laterRoom is a room that is encoded as it is sent.
type laterRoom struct {
	room *occupancy.Room
	name []byte // its requested name, as JSON members; nil for its own name
	tail []byte // JSON that follows its members
}

func (s *Server) newAnswer(as variant) *answer {
	return &answer{server: s, variant: as, buffer: buffers.get()}
}

// release returns the memory of a, which must not be used afterwards.
func (a *answer) release() { buffers.put(a.buffer) }

// text adds JSON.
func (a *answer) text(text string) {
	if n := len(a.later); n > 0 {
		a.later[n-1].tail = append(a.later[n-1].tail, text...)
		return
	}
	*a.buffer = append(*a.buffer, text...)
}

// room adds a room as an object. Name is its requested name, as JSON members, or nil for its own name.
// The room that it adds may be newer than g; it returns the matching summary.
func (a *answer) room(ctx context.Context, name []byte, g occupancy.RoomSummary) (occupancy.RoomSummary, error) {
	key := chunkKey{g.Address, a.variant, 0}
	if c := a.server.encoder.cached(key, a.variant.fingerprint(g.Fingerprint, g.AnonymousFingerprint), g.AsOf); c != nil && a.fits(c) {
		a.addChunk(name, c, g.AsOf)
		return g, nil
	}
	room, err := a.read(ctx, g)
	if err != nil {
		return g, err
	}
	g.Fingerprint, g.AnonymousFingerprint, g.AsOf = room.Fingerprint, room.AnonymousFingerprint, room.AsOf
	if len(a.later) == 0 {
		if c := a.server.encoder.chunk(&room, a.variant, 0); a.fits(c) {
			a.addChunk(name, c, g.AsOf)
			return g, nil
		}
	}
	a.text("{")
	a.later = append(a.later, laterRoom{room: &room, name: name})
	a.text(string(append(a.appendAsOf(nil, g.AsOf), '}')))
	return g, nil
}

// member adds a JSON member to the room that was added last.
func (a *answer) member(name string, value []byte) {
	end := a.buffer
	if n := len(a.later); n > 0 {
		end = &a.later[n-1].tail
	}
	*end = append((*end)[:len(*end)-1], `,"`+name+`":`...)
	*end = append(append(*end, value...), '}')
}

// read returns a room, with sorted occupants if they are shown. For long lists and large rooms it takes a turn.
func (a *answer) read(ctx context.Context, g occupancy.RoomSummary) (occupancy.Room, error) {
	if len(a.later) > 0 {
		turn := a.server.turns.take()
		defer turn.Over()
		turn.Waits()
	}
	var found occupancy.Room
	var err error
	if asked, ok := a.asked[g.Address]; ok {
		found = *asked
	} else {
		found, err = a.server.roomOn(ctx, a.shard, g.JID())
	}
	if err != nil || !a.variant.names || a.variant.detail == asListed {
		return found, err
	}
	if len(a.later) == 0 && len(found.Occupants) > manyPeople {
		defer a.server.turns.take().Over()
	}
	view.SortOccupants(found.Occupants)
	return found, nil
}

// fits reports whether a chunk is a whole room that fits into the buffer.
func (a *answer) fits(c *chunk) bool {
	return c.next == 0 && len(a.later) == 0 && len(*a.buffer)+len(c.data) <= maxWhole
}

// addChunk adds a room of one chunk.
func (a *answer) addChunk(name []byte, c *chunk, asOf time.Time) {
	b := append(*a.buffer, '{')
	b = appendName(b, name, c)
	b = append(b, c.data...)
	*a.buffer = append(a.appendAsOf(b, asOf), '}')
}

// appendName appends the members for a room's name; others follow.
func appendName(b, name []byte, c *chunk) []byte {
	if name == nil {
		b = append(b, roomName...)
		b = append(b, c.name...)
	}
	b = append(b, name...)
	return append(b, ',')
}

// appendAsOf appends the member as_of.
//
// Formatting the time for each of 100 rooms costs 10 of 83 µs of CPU time per page (BenchmarkHandler/page: 46 instead of 36 µs).
func (a *answer) appendAsOf(b []byte, asOf time.Time) []byte {
	if a.stamp == "" || !a.stampOf.Equal(asOf) {
		a.stamp, a.stampOf = view.FormatTime(asOf), asOf
	}
	b = append(b, `,"as_of":"`...)
	b = append(b, a.stamp...)
	return append(b, '"')
}

// memory is about how many bytes of memory a takes while it is sent, without what all readers share.
func (a *answer) memory() int {
	bytes := cap(*a.buffer)
	if len(a.later) > 0 {
		bytes = max(bytes, 2*maxChunk) // the buffer, and a chunk that is no longer cached
	}
	for _, l := range a.later {
		bytes += 1024 + len(l.name) + len(l.tail) + 8*len(l.room.Occupants)
	}
	return bytes
}

// write sends a, or returns an error if too many bytes of other responses are unread.
func (a *answer) write(w *response, r *http.Request, v validators) error {
	key, bytes := w.grant.Key.Sum(), a.memory()
	if err := a.server.unread.take(key, bytes); err != nil {
		return err
	}
	defer a.server.unread.Give(key, bytes)
	v.set(w)
	setLink(w, a.link)
	if len(a.later) == 0 {
		return writeBytes(w, http.StatusOK, mediaJSON, *a.buffer)
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	return a.stream(w)
}

// stream sends a while it encodes the later rooms.
func (a *answer) stream(w *response) error {
	for i, l := range a.later {
		a.later[i] = laterRoom{} // free its memory
		for from, last := 0, false; !last; {
			var err error
			if from, err = a.sendChunk(w, l, from); err != nil {
				return err
			}
			last = from == 0
		}
		*a.buffer = append(*a.buffer, l.tail...)
	}
	return a.flush(w)
}

// sendChunk sends a chunk of a room, and returns where the next one begins, 0 after the last.
func (a *answer) sendChunk(w *response, l laterRoom, from int) (next int, err error) {
	turn := a.server.turns.take()
	defer turn.Over()
	c := a.server.encoder.chunk(l.room, a.variant, from)
	if from == 0 {
		*a.buffer = appendName(*a.buffer, l.name, c)
	}
	turn.Waits()
	return c.next, a.send(w, c.data)
}

// send adds data to the buffer, and sends the buffer first if both are too large.
func (a *answer) send(w *response, data []byte) error {
	if len(*a.buffer)+len(data) > maxChunk {
		if err := a.flush(w); err != nil {
			return err
		}
	}
	*a.buffer = append(*a.buffer, data...)
	return nil
}

func (a *answer) flush(w *response) error {
	_, err := w.Write(*a.buffer)
	if err != nil {
		return fmt.Errorf("api: write: %w", err)
	}
	*a.buffer = (*a.buffer)[:0]
	return nil
}

// buffers reuses the memory of response bodies, which is most of the garbage of a request.
var buffers bufferPool

// maxBuffer is the size of the largest buffer to reuse. No response needs a larger one.
const maxBuffer = maxWhole + maxChunk

type bufferPool struct{ pool sync.Pool }

// get returns an empty buffer. The caller puts it back after use.
func (p *bufferPool) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		*b = (*b)[:0]
		return b
	}
	return new(make([]byte, 0, 4<<10))
}

func (p *bufferPool) put(b *[]byte) {
	if cap(*b) <= maxBuffer {
		p.pool.Put(b)
	}
}
