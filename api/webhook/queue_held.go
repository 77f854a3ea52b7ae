package webhook

// addHeld counts messages that were just stored, and are held.
func (q *queue) addHeld(rows int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rows += rows
	q.bytes += bytes
}

// settled notes that messages were delivered or dropped while they were held.
func (q *queue) settled(rows int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rows -= rows
	q.bytes -= bytes
}

// forget forgets the messages in memory, because some of them are held now. Attempts under way continue.
func (q *queue) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.ready {
		delete(q.lanes, l.key)
	}
	for _, l := range q.waiting {
		delete(q.lanes, l.key)
	}
	q.ready, q.waiting = nil, nil
	for _, l := range q.lanes { // in service
		l.stale = true
	}
	q.more = true
	q.left++
	q.signal()
}

// refresh makes a lane read its messages again, if some of them may be held now. Its caller holds the mu of the queue.
func (l *lane) refresh() {
	if l.stale {
		l.items, l.attempts, l.more, l.stale = nil, 0, true, false
	}
}

// fill begins or ends a transaction that makes older messages ready. Until it ends, messages go to the file only,
// so that they don't overtake those.
func (q *queue) fill(begin bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.filling = begin
	q.more = true
	q.left++
	for _, l := range q.lanes {
		l.more = true
		l.left++
	}
	q.signal()
}
