package api

import (
	"maps"
	"slices"
	"sync"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// shardHours is the last hour of each shard, where there are several. It is safe for concurrent use.
type shardHours struct {
	directory *occupancy.Directory

	// mu protects what follows, but only one goroutine takes samples.
	mu    sync.Mutex
	hours map[string]*lastHour
}

func newShardHours(directory *occupancy.Directory) *shardHours {
	return &shardHours{directory: directory, hours: make(map[string]*lastHour)}
}

// sample takes a sample of each shard.
func (s *shardHours) sample(now time.Time) {
	shards := s.directory.Shards()
	if len(shards) < 2 {
		return
	}
	for _, h := range s.keep(shards, now) {
		h.sample(now)
	}
}

// keep returns the hours of these shards, and drops those of others.
func (s *shardHours) keep(shards []*occupancy.Shard, now time.Time) []*lastHour {
	s.mu.Lock()
	defer s.mu.Unlock()
	hours := make(map[string]*lastHour, len(shards))
	for _, shard := range shards {
		name := shard.Name()
		if hours[name] = s.hours[name]; hours[name] == nil {
			hours[name] = &lastHour{directory: s.directory, shard: name, steps: make([]view.Step, 0, maxSteps), end: now.Truncate(historyStep)}
		}
	}
	s.hours = hours
	return slices.Collect(maps.Values(hours))
}

// of returns the last hour of a shard, or of all if the name is empty.
func (h *lastHour) of(shard string) *lastHour {
	if shard == "" || len(h.directory.Shards()) < 2 {
		return h
	}
	h.shards.mu.Lock()
	defer h.shards.mu.Unlock()
	if one := h.shards.hours[shard]; one != nil {
		return one
	}
	return &lastHour{end: time.Now().Truncate(historyStep)} // no sample yet
}
