package main

import (
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxPending is how many bytes of log lines may wait for a writer that blocks, such as a pipe that nobody reads.
	maxPending = 1 << 20

	// flushFor is how long the process waits for such a writer before it ends.
	flushFor = 5 * time.Second
)

// lineQueue is a writer that never blocks: it hands lines to one that may. Lines for which there is no room are dropped and counted.
// It is safe for concurrent use.
type lineQueue struct {
	to   io.Writer
	news chan struct{} // has something when there may be something to write
	done chan struct{} // closed when all is written

	// mu protects what follows.
	mu      sync.Mutex
	pending []byte
	closed  bool
	dropped uint64
}

// newLineQueue returns a lineQueue whose lines go to w.
func newLineQueue(w io.Writer) *lineQueue {
	return &lineQueue{to: w, news: make(chan struct{}, 1), done: make(chan struct{})}
}

// Write takes a line.
func (q *lineQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.pending)+len(line) > maxPending {
		q.dropped++
		return len(line), nil
	}
	q.pending = append(q.pending, line...)
	q.wake()
	return len(line), nil
}

func (q *lineQueue) wake() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}

// Run writes the lines until the queue is closed, and calls report with how many were dropped when it can write again.
func (q *lineQueue) Run(report func(dropped uint64)) {
	defer close(q.done)
	var writing []byte
	var reported uint64
	for range q.news {
		q.mu.Lock()
		writing, q.pending = q.pending, writing[:0]
		closed, dropped := q.closed, q.dropped
		q.mu.Unlock()
		if len(writing) > 0 {
			_, _ = q.to.Write(writing) // a log that can't be written has no place to say so
		}
		if closed {
			return
		}
		if dropped > reported {
			report(dropped - reported)
			reported = dropped
		}
	}
}

// close ends Run once all lines are written, and waits for that, for flushFor at most.
func (q *lineQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.wake()
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(flushFor):
	}
}

// lost returns how many lines were dropped.
func (q *lineQueue) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// metrics returns what there is to measure of the log.
func (q *lineQueue) metrics() []prometheus.Collector {
	return []prometheus.Collector{prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "log_lines_dropped_total",
		Help: "Log lines that were dropped because whatever reads the log was too slow.",
	}, func() float64 { return float64(q.lost()) })}
}
