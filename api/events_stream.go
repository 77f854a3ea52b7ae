package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"ppch/api/keys"
)

// The clock of a stream.
const (
	// keepAlive is how often a silent stream says that it is still there.
	// It is far below the 60 s after which nginx gives up on an upstream (proxy_read_timeout).
	keepAlive = 15 * time.Second

	// sendTimeout is how long a client may take to let us write on, once all buffers between are full.
	sendTimeout = 10 * time.Second

	// endTimeout is sendTimeout once the service stops.
	endTimeout = time.Second

	// Clients come back after a random time between these: all at once would be a burst.
	minRetry, maxRetry = 2 * time.Second, 5 * time.Second
)

// stream is one subscriber. It holds no events, but a position in the hub's ring.
type stream struct {
	*interest
	keys   *keys.Keyring
	until  time.Time // when the ticket ends by which it was opened, zero without one
	hub    *hub
	unread *budget
	turns  turns
	to     http.ResponseWriter
	conn   *http.ResponseController

	// shares is set if the connection has other streams, as those of HTTP/2 do.
	shares bool

	// snapshots is set if the subscriber wants to be told all there is, at the beginning and after each reset.
	snapshots bool

	pos  uint64 // of the last frame that was sent or passed over
	seen uint64 // what has a number up to this was in the last snapshot

	counts *streamCounts
}

// run tells what happens until the client leaves or the hub ends, which return nil. HEAD it tells nothing.
func (st *stream) run(r *http.Request) error {
	defer st.counts.leave(st.grant.Key)
	if r.Method == http.MethodHead {
		return nil
	}
	hurried := make(chan struct{})
	keep := context.AfterFunc(st.hub.over, func() {
		defer close(hurried)
		// Whoever reads nothing must not hold up the stop.
		_ = st.conn.SetWriteDeadline(time.Now().Add(endTimeout)) // fails only where the connection is gone
	})
	defer func() {
		if !keep() {
			<-hurried // what it touches is gone once this returns
		}
	}()
	err := st.begin(r.Header.Get("Last-Event-ID"))
	if err == nil {
		err = st.follow(r.Context())
	}
	switch {
	case err == nil, st.hub.over.Err() != nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		st.counts.cut.Add(1)
		return err
	case r.Context().Err() != nil:
		return nil // the client has left
	}
	return err
}

// follow sends what comes, and something now and again where nothing does.
func (st *stream) follow(ctx context.Context) error {
	topic := st.hub.topics.follow(st.room)
	defer topic.release()
	beat := time.NewTicker(keepAlive)
	defer beat.Stop()
	for {
		news, replaced := topic.next(), st.keys.Replaced()
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
		case <-st.hub.over.Done():
			return nil
		}
	}
}

// renew looks what the stream may be told from now on. It comes before all that tells of a room,
// since a stream that always has something to send would never come to another place where the key is looked at.
func (st *stream) renew() error {
	now := time.Now()
	if !st.until.IsZero() && !now.Before(st.until) {
		return errWithdrawn
	}
	renewed, err := st.keys.Renew(st.grant, now)
	if err != nil || !renewed.Has(keys.ScopeEvents) || st.room != "" && !renewed.AllowsAddress(st.room) {
		return errWithdrawn
	}
	st.grant = renewed
	return nil
}

// Why a stream ends that nothing is wrong with.
var (
	errOver      = errors.New("api: the service stops")
	errWithdrawn = errors.New("api: the key or the ticket is not good for this stream any more")
)

// begin tells what is true now, or goes on where the client was before.
func (st *stream) begin(since string) error {
	retry := minRetry + rand.N(maxRetry-minRetry) // #nosec G404 -- to foresee it is of no use
	if err := st.send(fmt.Appendf(nil, "retry: %d\n\n", retry.Milliseconds())); err != nil {
		return err
	}
	pos, seen, ours := st.hub.position(since)
	switch {
	case since == "":
		return st.start("")
	case !ours:
		return st.start(resetUnknown)
	case !st.hub.ring.holds(pos):
		return st.start(resetExpired)
	}
	st.pos, st.seen = pos, seen
	return nil
}

// start begins at the end of the ring: with a reset if there is a reason for one,
// then how well each domain is known, then the snapshot if one is wanted.
// The last of these bears the id from which the client may resume.
func (st *stream) start(reason resetReason) error {
	st.pos = st.hub.ring.last()
	if reason != "" {
		st.counts.reset(reason)
		if err := st.send(encode("", "reset", newResetView(reason, ""))); err != nil {
			return err
		}
	}
	statuses := st.hub.statusesIn(st.domain)
	for i, s := range statuses {
		id := ""
		if i == len(statuses)-1 && !st.snapshots {
			id = st.hub.id(st.pos)
		}
		if err := st.send(encode(id, "status", s)); err != nil {
			return err
		}
	}
	return st.snapshot(0)
}

// snapshot tells all there is, if that is wanted, and goes on from there.
// It isn't older than the position after: what a reset made worthless must not come again.
func (st *stream) snapshot(after uint64) error {
	if !st.snapshots {
		return nil
	}
	snap := st.hub.snapshot(st.interest, after)
	from := snapshotPlace{}
	for number, last := 1, false; !last; number++ {
		var err error
		if from, last, err = st.sendPart(snap, number, from); err != nil {
			return err
		}
	}
	st.pos, st.seen = snap.pos, snap.seq
	return nil
}

// sendPart sends a part of a snapshot, once there is room for what slow readers leave unread.
func (st *stream) sendPart(snap *roomSnapshot, number int, from snapshotPlace) (next snapshotPlace, last bool, err error) {
	key := st.grant.Key.Sum()
	for !st.unread.wait(key, maxPart, keepAlive, st.hub.over.Done()) {
		if err := st.renew(); err != nil {
			return from, false, err
		}
		if err := st.send([]byte(": keep-alive\n\n")); err != nil {
			return from, false, err
		}
	}
	defer st.unread.give(key, maxPart)
	if err := st.renew(); err != nil {
		return from, false, err
	}
	turn := st.turns.take()
	defer turn.over()
	part, next, last := st.hub.part(snap, st.interest, number, from)
	turn.waits()
	return next, last, st.send(part...)
}

// catchUp sends what is behind the stream's position.
func (st *stream) catchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		var frames [8]*frame
		found, upTo, whole := st.hub.ring.after(st.pos, st, frames[:0])
		if !whole {
			if err := st.start(resetSlow); err != nil {
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
		st.pos = upTo
		if len(found) < len(frames) {
			return nil
		}
	}
	return nil
}

// concerns reports whether a frame is of what the stream follows, and not in its last snapshot.
func (st *stream) concerns(f *frame) bool {
	return st.wants(f) && (f.seq == 0 || f.seq > st.seen)
}

// sendAll sends frames. After a reset it tells a snapshot if one is wanted, and reports that the position is another now.
func (st *stream) sendAll(frames []*frame) (moved bool, err error) {
	for _, f := range frames {
		if err := st.renew(); err != nil {
			return false, err
		}
		if !st.concerns(f) { // the key is for fewer rooms than when it was found
			st.pos = f.pos
			continue
		}
		if err := st.send(st.bytes(f)); err != nil {
			return false, err
		}
		st.pos = f.pos
		if f.seq > 0 {
			st.seen = 0 // whatever follows has a greater number
		} else if st.seen > 0 {
			// The id of what has no number says nothing of events behind it that the snapshot has told already.
			if err := st.send([]byte("id: " + st.hub.idBeyond(st.pos, st.seen) + "\n\n")); err != nil {
				return false, err
			}
		}
		if f.reset != "" {
			st.counts.reset(f.reset)
			if st.snapshots {
				return true, st.snapshot(f.pos)
			}
		}
	}
	return false, nil
}

// beat says that the stream is still there, and how far the client is: nothing before that concerns it.
func (st *stream) beat() error {
	return st.send([]byte(": keep-alive\nid: " + st.hub.idBeyond(st.pos, st.seen) + "\n\n"))
}

// send writes pieces one after the other and flushes, for sendTimeout at most.
func (st *stream) send(pieces ...[]byte) error {
	by := time.Now().Add(sendTimeout)
	if err := st.conn.SetWriteDeadline(by); err != nil {
		return fmt.Errorf("api: stream: %w", err)
	}
	// Looked at after that: the end of the hub either shows here, or sets its own deadline.
	if st.hub.over.Err() != nil {
		return errOver
	}
	err := st.write(pieces)
	switch {
	case err == nil && st.shares:
		// A deadline of HTTP/2's ends the stream when it comes, whether or not anything is being written.
		err = st.conn.SetWriteDeadline(time.Time{})
	case err != nil && !time.Now().Before(by):
		err = os.ErrDeadlineExceeded // of which HTTP/2 says no more than that the stream was closed
	}
	if err != nil {
		return fmt.Errorf("api: stream: %w", err)
	}
	return nil
}

func (st *stream) write(pieces [][]byte) error {
	for _, p := range pieces {
		if _, err := st.to.Write(p); err != nil { // #nosec G705 -- JSON in a text/event-stream, which no browser renders
			return err
		}
	}
	return st.conn.Flush()
}
