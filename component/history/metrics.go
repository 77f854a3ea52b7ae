package history

import "time"

// StoreMetrics counts the write transactions of a Store since the program started.
type StoreMetrics struct {
	Transactions, Failures uint64
	Took                   time.Duration // all of them together
}

// Metrics returns the counts of write transactions.
func (s *Store) Metrics() StoreMetrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}
