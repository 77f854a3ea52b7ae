package events

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
	"ppch/api/view"
)

// The clock of a stream.
const (
	// keepAlive is how often a silent stream sends a comment.
	// It is far below the 60 s after which nginx gives up on an upstream (proxy_read_timeout).
	keepAlive = 15 * time.Second

	// SendTimeout is how long a write may block once all buffers on the way are full.
	SendTimeout = 10 * time.Second

	// endTimeout replaces SendTimeout when the service stops.
	endTimeout = time.Second

	// Clients reconnect after a random time between these, to avoid a burst.
	minRetry, maxRetry = 2 * time.Second, 5 * time.Second
)

// Request is a client's request for a stream.
type Request struct {
	Room  jid.JID // zero for all rooms
	Shard string  // empty for all shards
	Grant keys.Grant

	// Until is when the client's ticket expires, zero without one.
	Until time.Time

	// Snapshots asks for the current state at the beginning, and after each reset.
	Snapshots bool

	// Breakouts asks for the events of the breakout rooms of a main room, too.
	Breakouts bool
}

// Stream is one client's stream of server-sent events. It holds no events, but a position in the hub's ring.
type Stream struct {
	filter
	hub  *Hub
	req  Request
	to   http.ResponseWriter
	conn *http.ResponseController

	// shares is set if the connection has other streams, as those of HTTP/2 do.
	shares bool

	pos  uint64 // of the last frame that was sent or skipped
	seen uint64 // the last snapshot includes events up to this number
	id   string // from which the client may resume

	// entry is how it continues after the id of another process, until it knows the same as the ring; then nil.
	entry *reentry
}

// Open returns a stream that answers r once it runs. The caller has called Enter, and written the header of the answer.
func (h *Hub) Open(w http.ResponseWriter, r *http.Request, req Request) *Stream {
	return &Stream{
		filter: h.newFilter(req.Room, req.Shard, req.Grant, req.Breakouts),
		hub:    h,
		req:    req,
		to:     w,
		conn:   http.NewResponseController(w),
		shares: r.ProtoMajor > 1,
	}
}

// Run sends events until the client leaves, the hub ends or the key expires, then calls Leave and returns why the stream failed,
// or nil. To HEAD it sends nothing.
func (st *Stream) Run(r *http.Request) error {
	defer st.hub.Leave(st.grant.Key)
	if r.Method == http.MethodHead {
		return nil
	}
	hurried := make(chan struct{})
	keep := context.AfterFunc(st.hub.ctx, func() {
		defer close(hurried)
		// A client that reads nothing must not delay the stop.
		_ = st.conn.SetWriteDeadline(time.Now().Add(endTimeout)) // fails only where the connection is gone
	})
	defer func() {
		if !keep() {
			<-hurried // it uses the connection, which is gone when this returns
		}
	}()
	err := st.begin(r.Context(), r.Header.Get("Last-Event-ID"))
	if err == nil {
		err = st.follow(r.Context())
	}
	switch {
	case err == nil, st.hub.ctx.Err() != nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		st.hub.counts.cut.Add(1)
		return err
	case r.Context().Err() != nil:
		return nil // the client has left
	}
	return err
}

// follow sends events as they come, and keep-alives.
func (st *Stream) follow(ctx context.Context) error {
	topic := st.hub.Follow(st.room)
	defer topic.Release()
	beat := time.NewTicker(keepAlive)
	defer beat.Stop()
	for {
		news, replaced := topic.Next(), st.hub.keys.Replaced()
		if err := st.renew(); err != nil {
			return err
		}
		if err := st.catchUp(ctx); err != nil {
			return err
		}
		select {
		case <-news:
		case <-replaced:
		case <-beat.C:
			if err := st.beat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		case <-st.hub.ctx.Done():
			return nil
		}
	}
}

// renew reads what the key allows now. Each write that names a room comes after a call:
// a stream that always has something to send would never reach another place that reads the key.
func (st *Stream) renew() error {
	now := time.Now()
	if !st.req.Until.IsZero() && !now.Before(st.req.Until) {
		return errWithdrawn
	}
	renewed, err := st.hub.keys.Renew(st.grant, now)
	if err != nil || !renewed.Has(keys.ScopeEvents) || st.room != "" && !renewed.AllowsAddress(st.room) {
		return errWithdrawn
	}
	st.grant = renewed
	return nil
}

// Why a stream ends without a failure.
var (
	errOver      = errors.New("events: the service stops")
	errWithdrawn = errors.New("events: the key or the ticket no longer allows this stream")
)

// begin sends the current state, or resumes after the id since.
func (st *Stream) begin(ctx context.Context, since string) error {
	retry := minRetry + rand.N(maxRetry-minRetry) // #nosec G404 -- predicting it is useless
	if err := st.send(fmt.Appendf(nil, "retry: %d\n\n", retry.Milliseconds())); err != nil {
		return err
	}
	pos, here := st.hub.localPosition(since)
	places, portable := parseMarks(since)
	switch {
	case since == "":
		return st.start("")
	case portable:
		return st.reenter(ctx, places)
	case !here:
		return st.start(view.ResetUnknown)
	case !st.hub.ring.holds(pos):
		return st.start(view.ResetExpired)
	}
	st.pos, st.id = pos, since
	return nil
}

// How long a stream waits until the hub has received what its client knows already, from a snapshot or from another process.
const (
	earlyPause = 10 * time.Millisecond
	maxEarly   = 2 * time.Second
)

// reenter continues after the id of any process that follows the same shards. It sends the status of each domain, which may differ here.
func (st *Stream) reenter(ctx context.Context, places map[uint64]mark) error {
	visitors := st.hub.isVisitors(st.shard)
	includes := func(shard string) bool { // visitor nodes change the numbers of rooms on main shards
		return st.shard == "" || st.shard == shard || !visitors && st.hub.isVisitors(shard)
	}
	by := time.Now().Add(maxEarly)
	to := st.hub.ring.reenter(places, includes, st.hub.hasVisitors())
	for to.early && time.Now().Before(by) {
		select {
		case <-time.After(earlyPause):
		case <-ctx.Done():
			return ctx.Err()
		case <-st.hub.ctx.Done():
			return errOver
		}
		to = st.hub.ring.reenter(places, includes, st.hub.hasVisitors())
	}
	switch {
	case to.early:
		return st.start(view.ResetUnknown)
	case to.reset != "":
		return st.start(to.reset)
	}
	st.pos, st.id = to.pos, to.places.id()
	if to.until > to.pos {
		st.entry = &to
	}
	for _, s := range st.hub.statusesIn(&st.filter) {
		if err := st.send(encode("", "status", s)); err != nil {
			return err
		}
	}
	return nil
}

// start begins at the end of the ring: it sends a reset if there is a reason for one, the status of each domain, and the snapshot if requested.
// The last of these has the id from which the client may resume.
func (st *Stream) start(reason view.ResetReason) error {
	st.pos, st.id = st.hub.ring.end()
	st.seen, st.entry = 0, nil
	if reason != "" {
		st.hub.counts.reset(reason)
		if err := st.send(encode("", "reset", view.NewResetEvent(reason, st.shard, ""))); err != nil {
			return err
		}
	}
	statuses := st.hub.statusesIn(&st.filter)
	for i, s := range statuses {
		id := ""
		if i == len(statuses)-1 && !st.req.Snapshots {
			id = st.id
		}
		if err := st.send(encode(id, "status", s)); err != nil {
			return err
		}
	}
	return st.snapshot(0)
}

// snapshot sends the current state, if requested, and continues from there.
// It isn't older than the position after, the position of a reset.
func (st *Stream) snapshot(after uint64) error {
	if !st.req.Snapshots {
		return nil
	}
	snap := st.hub.snapshot(&st.filter, after)
	from := place{}
	for number, last := 1, false; !last; number++ {
		var err error
		if from, last, err = st.sendPart(snap, number, from); err != nil {
			return err
		}
	}
	// From where the stream was, since a status in between is not part of the snapshot.
	st.pos, st.seen, st.id = min(st.pos, snap.pos), snap.seq, snap.id
	return nil
}

// sendPart sends a part of a snapshot, once unread bytes leave room for it.
func (st *Stream) sendPart(snap *snapshot, number int, from place) (next place, last bool, err error) {
	key := st.grant.Key.Sum()
	for !st.hub.memory.Wait(key, maxPart, keepAlive, st.hub.ctx.Done()) {
		if err := st.renew(); err != nil {
			return from, false, err
		}
		if err := st.send([]byte(": keep-alive\n\n")); err != nil {
			return from, false, err
		}
	}
	defer st.hub.memory.Give(key, maxPart)
	if err := st.renew(); err != nil {
		return from, false, err
	}
	turn := st.hub.takeTurn()
	defer turn.Over()
	part, next, last := st.hub.part(snap, &st.filter, number, from)
	turn.Waits()
	return next, last, st.send(part...)
}

// catchUp sends the frames behind the stream's position.
func (st *Stream) catchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		var frames [8]*frame
		found, upTo, whole := st.hub.ring.after(st.pos, st.concerns, frames[:0])
		if !whole {
			if err := st.start(view.ResetSlow); err != nil {
				return err
			}
			continue
		}
		again, err := st.sendAll(found)
		if err != nil {
			return err
		}
		if again {
			continue
		}
		st.reach(upTo)
		if len(found) < len(frames) {
			return nil
		}
	}
	return nil
}

// reach notes that all frames up to a position were sent or skipped.
func (st *Stream) reach(to reached) {
	st.pos = to.pos
	if st.entry != nil && st.pos < st.entry.until {
		return // the client knows more than the ring up to there
	}
	st.entry = nil
	if st.seen > 0 && to.seq < st.seen {
		return // likewise, from the snapshot
	}
	st.seen = 0 // what follows has greater numbers
	if to.id != "" {
		st.id = to.id
	}
}

// concerns reports whether a frame passes the filter, and isn't in the last snapshot or known from another process.
func (st *Stream) concerns(f *frame) bool {
	return st.match(f) && (f.seq == 0 || f.seq > st.seen) && (st.entry == nil || f.pos > st.entry.known[f.cause] || f.cause == "")
}

// idOf returns the id of the stream after f; empty if there is none.
func (st *Stream) idOf(f *frame) string {
	switch {
	case f.cause == "" && f.reset == "":
		return "" // a status, which is sent again
	case st.entry == nil || f.pos > st.entry.until:
		return f.id
	case f.local:
		return ""
	}
	st.entry.places[f.cause] = f.mark
	return st.entry.places.id()
}

// sendAll sends frames. After a reset it sends a snapshot if requested, and reports that this has moved the position.
func (st *Stream) sendAll(frames []*frame) (moved bool, err error) {
	for _, f := range frames {
		if err := st.renew(); err != nil {
			return false, err
		}
		if !st.concerns(f) { // the key allows fewer rooms than before
			st.pos = f.pos
			continue
		}
		if id := st.idOf(f); id == "" {
			err = st.send(st.bytes(f))
		} else if err = st.send([]byte("id: "+id+"\n"), st.bytes(f)); err == nil {
			st.id = id
		}
		if err != nil {
			return false, err
		}
		st.pos = f.pos
		if f.seq > 0 {
			st.seen = 0 // what follows has greater numbers
		}
		if f.reset != "" {
			st.hub.counts.reset(f.reset)
			if st.req.Snapshots {
				return true, st.snapshot(f.pos)
			}
		}
	}
	return false, nil
}

// beat sends a keep-alive, and the id of the position that the stream has reached.
func (st *Stream) beat() error {
	return st.send([]byte(": keep-alive\nid: " + st.id + "\n\n"))
}

// send writes pieces one after the other and flushes, for SendTimeout at most.
func (st *Stream) send(pieces ...[]byte) error {
	by := time.Now().Add(SendTimeout)
	if err := st.conn.SetWriteDeadline(by); err != nil {
		return fmt.Errorf("events: stream: %w", err)
	}
	// Checked after that: the end of the hub either shows here, or sets its own deadline.
	if st.hub.ctx.Err() != nil {
		return errOver
	}
	err := st.write(pieces)
	switch {
	case err == nil && st.shares:
		// With HTTP/2 a deadline ends the stream even if nothing is being written.
		err = st.conn.SetWriteDeadline(time.Time{})
	case err != nil && !time.Now().Before(by):
		err = os.ErrDeadlineExceeded // for which HTTP/2 has only "stream closed"
	}
	if err != nil {
		return fmt.Errorf("events: stream: %w", err)
	}
	return nil
}

func (st *Stream) write(pieces [][]byte) error {
	for _, p := range pieces {
		if _, err := st.to.Write(p); err != nil { // #nosec G705 -- JSON in a text/event-stream, which no browser renders
			return err
		}
	}
	return st.conn.Flush()
}
