package main

import (
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxPending limits the bytes of log lines that wait for a blocked writer, such as a pipe without a reader.
	maxPending = 1 << 20

	// flushTimeout limits how long the process waits for such a writer before it exits.
	flushTimeout = 5 * time.Second
)

// lineQueue is a writer that never blocks: it queues lines for a writer that may. It drops and counts lines that don't fit.
// It is safe for concurrent use.
type lineQueue struct {
	to     io.Writer
	wakeup chan struct{} // holds a value if there may be something to write
	done   chan struct{} // closed when everything is written

	// mu protects what follows.
	mu      sync.Mutex
	pending []byte
	closed  bool
	dropped uint64
}

// newLineQueue returns a lineQueue that writes to w.
func newLineQueue(w io.Writer) *lineQueue {
	return &lineQueue{to: w, wakeup: make(chan struct{}, 1), done: make(chan struct{})}
}

// Write queues a line.
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
	case q.wakeup <- struct{}{}:
	default:
	}
}

// Run writes lines until the queue is closed. After dropped lines, it calls report once it can write again.
func (q *lineQueue) Run(report func(dropped uint64)) {
	defer close(q.done)
	var writing []byte
	var reported uint64
	for range q.wakeup {
		q.mu.Lock()
		writing, q.pending = q.pending, writing[:0]
		closed, dropped := q.closed, q.dropped
		q.mu.Unlock()
		if len(writing) > 0 {
			_, _ = q.to.Write(writing) // there is no other place for this error
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

// close ends Run and waits until all lines are written, at most for flushTimeout.
func (q *lineQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.wake()
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(flushTimeout):
	}
}

// lost returns the number of dropped lines.
func (q *lineQueue) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// metrics returns the metrics of the log.
func (q *lineQueue) metrics() []prometheus.Collector {
	return []prometheus.Collector{prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "log_lines_dropped_total",
		Help: "Log lines dropped because the log's reader was too slow.",
	}, func() float64 { return float64(q.lost()) })}
}
