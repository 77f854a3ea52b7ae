package api

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// The limits on log lines about refused requests.
const (
	// samplesOfOne is how many refusals per address and reason are logged within sampleFor:
	// enough to find the request of a person who reports a problem document.
	sampleFor    = 10 * time.Second
	samplesOfOne = 10

	// maxSamples is how many are logged in that time in total. For up to maxRepeated pairs of address and reason,
	// the log then has the number of further refusals.
	maxSamples  = 200
	maxRepeated = 20
)

// sampler decides which refusals are logged: the first few per address and reason, and the number of the others.
// It is safe for concurrent use, but Run may be called only once.
type sampler struct {
	log   *slog.Logger
	every time.Duration

	// mu protects what follows; flush resets it.
	mu      sync.Mutex
	samples map[sample]samples
	logged  int
	others  int // refusals neither logged nor in samples
}

// samples is how many refusals with one sample key were logged, and how many were not.
type samples struct{ logged, further int }

// sample identifies refusals of which only the first few are logged.
type sample struct {
	from   netip.Prefix
	reason string
}

func newSampler(log *slog.Logger) *sampler {
	return &sampler{log: log, every: sampleFor, samples: make(map[sample]samples)}
}

// allows reports whether to log a refusal. With DEBUG, every refusal is logged.
func (s *sampler) allows(remote, reason string) bool {
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		return true
	}
	key := sample{origin(remote), reason}
	s.mu.Lock()
	defer s.mu.Unlock()
	of, known := s.samples[key]
	full := s.logged >= maxSamples
	if full && !known {
		s.others++
		return false
	}
	take := !full && of.logged < samplesOfOne
	if take {
		of.logged++
		s.logged++
	} else {
		of.further++
	}
	s.samples[key] = of
	return take
}

// Run logs the number of unlogged refusals at intervals until ctx ends, and returns nil.
func (s *sampler) Run(ctx context.Context) error {
	next := time.NewTicker(s.every)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			s.flush()
		}
	}
}

// flush logs the number of unlogged refusals since the last call.
func (s *sampler) flush() {
	s.mu.Lock()
	came, others := s.samples, s.others
	s.samples, s.logged, s.others = make(map[sample]samples), 0, 0
	s.mu.Unlock()
	maps.DeleteFunc(came, func(_ sample, of samples) bool { return of.further == 0 })
	most := slices.SortedStableFunc(maps.Keys(came), func(a, b sample) int {
		return cmp.Or(came[b].further-came[a].further, strings.Compare(a.reason, b.reason), a.from.Addr().Compare(b.from.Addr()))
	})
	for i, key := range most {
		n := came[key].further
		if i >= maxRepeated {
			others += n
			continue
		}
		s.log.Info("request refused again", "reason", key.reason, "remote", key.address(), "count", n)
	}
	if others > 0 {
		s.log.Info("more requests refused", "count", others)
	}
}

// address returns the address of the refusals, or their network for IPv6.
func (s sample) address() string {
	if s.from.IsSingleIP() {
		return s.from.Addr().String()
	}
	return s.from.String()
}

// errorLog returns the logger for errors of net/http outside of requests, such as a lack of file descriptors.
func (s *sampler) errorLog() *slog.Logger {
	return slog.New(sampledHandler{s.log.Handler(), s})
}

// sampledHandler samples records by the beginning of their messages.
type sampledHandler struct {
	slog.Handler
	sampler *sampler
}

// Handle logs r if it is among the first few with its beginning.
func (h sampledHandler) Handle(ctx context.Context, r slog.Record) error {
	who, text, _ := strings.Cut(r.Message, ":") // "http: Accept error: …"
	what, _, _ := strings.Cut(text, ":")
	if !h.sampler.allows("", who+":"+what) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
