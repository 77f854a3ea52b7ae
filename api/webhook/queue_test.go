package webhook_test

import (
	"slices"
	"testing"
	"time"

	"ppch/api/webhook"
)

// What is stored while the file is being read must not be forgotten: it isn't in what was read.
func TestQueue_StoredWhileReading(t *testing.T) {
	t.Parallel()
	q := webhook.NewQueue()
	q.ReadLanes([]int64{1}, func() { q.Push(2, 20) })
	if !q.WantsLanes() {
		t.Error("lane 2, which the file has, is forgotten")
	}
	q.ReadLanes([]int64{1, 2}, func() {})
	if q.WantsLanes() {
		t.Error("the lanes would be read forever")
	}
	numbers, more := q.ReadLane([]int64{10, 11}, func() { q.Push(1, 12); q.Push(2, 12) })
	if !more || !slices.Equal(numbers, []int64{10, 11}) {
		t.Errorf("got %v, %t: message 12 is forgotten", numbers, more)
	}
}

// The file may have a message before the queue does: between the commit and the push. It must not be sent twice.
func TestQueue_ReadBeforePushed(t *testing.T) {
	t.Parallel()
	q := webhook.NewQueue()
	q.ReadLanes([]int64{1}, func() {})
	numbers, _ := q.ReadLane([]int64{10, 11}, func() {})
	q.Push(1, 11)
	q.Push(1, 12)
	if want := []int64{10, 11, 12}; !slices.Equal(numbers, want[:2]) || !slices.Equal(q.Messages(1), want) {
		t.Errorf("got %v, then %v want %v", numbers, q.Messages(1), want)
	}
}

// A replayed message is in memory without its body, so that its lane is read; others may have joined it since.
func TestQueue_StoredWhileReadingAReplay(t *testing.T) {
	t.Parallel()
	q := webhook.NewQueue()
	q.ReadLanes(nil, func() {})
	q.Push(1, 10)
	numbers, more := q.ReadLane([]int64{10}, func() { q.Push(1, 11) })
	if more || !slices.Equal(numbers, []int64{10, 11}) {
		t.Errorf("got %v, %t want messages 10 and 11", numbers, more)
	}
}

// The receiver works again while lanes are read that were to wait for an hour.
func TestQueue_RecoversWhileReading(t *testing.T) {
	t.Parallel()
	q := webhook.NewQueue().DueAt(time.Now().Add(time.Hour))
	q.ReadLanes([]int64{1}, q.Recover)
	if !q.Due() {
		t.Error("the lane waits for an hour")
	}
	q = webhook.NewQueue().DueAt(time.Now().Add(time.Hour))
	q.ReadLanes([]int64{1}, func() {})
	if q.Due() {
		t.Error("the lane doesn't wait")
	}
}
