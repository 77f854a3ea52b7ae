package view

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Cache holds encoded values up to a total size, and evicts the least recently used first.
// It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	max int

	// mu protects what follows.
	mu     sync.Mutex
	values *simplelru.LRU[K, sized[V]]
	bytes  int
}

type sized[V any] struct {
	value V
	bytes int
}

// entryBytes is the approximate size of an entry without its value.
const entryBytes = 256

// NewCache returns an empty Cache of that many bytes.
func NewCache[K comparable, V any](maxBytes int) *Cache[K, V] {
	c := &Cache[K, V]{max: maxBytes}
	values, err := simplelru.NewLRU(maxBytes/entryBytes, func(_ K, v sized[V]) { c.bytes -= v.bytes })
	if err != nil {
		panic(err) // only for a size that isn't positive
	}
	c.values = values
	return c
}

// Get returns the value for a key, and whether there is one.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.values.Get(key)
	return v.value, ok
}

// Add adds a value of that many bytes, unless it is larger than the whole cache.
func (c *Cache[K, V]) Add(key K, value V, bytes int) {
	bytes += entryBytes
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values.Remove(key)
	if bytes > c.max {
		return
	}
	for c.bytes+bytes > c.max {
		c.values.RemoveOldest()
	}
	c.values.Add(key, sized[V]{value, bytes})
	c.bytes += bytes
}
