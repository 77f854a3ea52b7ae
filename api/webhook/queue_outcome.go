package webhook

import (
	"container/heap"
	"slices"
	"time"
)

// delivered ends a successful attempt. The lane continues with its next message.
func (q *queue) delivered(l *lane, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wasDown := q.down()
	q.succeeded = true
	q.failures, q.probeWait = 0, 0
	if wasDown {
		q.recover(now)
	}
	q.pop(l)
	q.goOn(l, now)
}

// recover makes all that waits for its next attempt ready, because the endpoint works again. The caller holds mu.
func (q *queue) recover(now time.Time) {
	q.recovered = now
	slices.SortFunc(q.waiting, func(a, b *lane) int { return a.due.Compare(b.due) })
	q.ready = append(q.ready, q.waiting...)
	q.waiting = nil
}

// retryNow makes all that waits for its next attempt ready.
func (q *queue) retryNow(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failures, q.probeWait = 0, 0
	q.holdUntil = time.Time{}
	q.recover(now)
	q.signal()
}

// gaveUp ends the last attempt of a message, which failed.
func (q *queue) gaveUp(l *lane, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.noteFailure(now)
	q.pop(l)
	q.goOn(l, now)
}

// postpone ends a failed attempt. The lane waits until due.
func (q *queue) postpone(l *lane, attempts int, began, due, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.noteFailure(now)
	if began.Before(q.recovered) {
		due = now // it failed before the endpoint worked again
	}
	l.attempts = attempts
	q.pause(l, due)
}

// wait ends the service of a lane until due, which was read from the file.
func (q *queue) wait(l *lane, due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !l.recovered.Equal(q.recovered) {
		due = time.Time{} // the endpoint worked again after due was read
	}
	q.pause(l, due)
}

// retryRead ends the service of a lane whose messages couldn't be read, until due.
func (q *queue) retryRead(l *lane, due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pause(l, due)
}

// pause ends the service of a lane until due. The caller holds mu.
func (q *queue) pause(l *lane, due time.Time) {
	q.release()
	l.refresh()
	l.due = due
	heap.Push(&q.waiting, l)
}

// putBack ends an attempt that had no outcome.
func (q *queue) putBack(l *lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release()
	l.refresh()
	q.ready = append(q.ready, l)
}

// hold pauses the endpoint.
func (q *queue) hold(until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if until.After(q.holdUntil) {
		q.holdUntil = until
	}
}

// noteFailure notes a failed attempt. The caller holds mu.
func (q *queue) noteFailure(now time.Time) {
	q.failures++
	if !q.down() {
		return
	}
	q.succeeded = false
	q.probeWait = min(max(2*q.probeWait, q.probeEvery), max(maxProbeEvery, q.probeEvery))
	q.probeAfter = now.Add(q.probeWait)
	q.trim()
}

// goOn ends the service of a lane: it is ready for its next message, or has none. The caller holds mu.
func (q *queue) goOn(l *lane, now time.Time) {
	q.release()
	l.refresh()
	if len(l.items) == 0 && !l.more {
		delete(q.lanes, l.key)
		return
	}
	l.due = now
	q.ready = append(q.ready, l)
}
