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

// What the log has of refusals, however many there are.
const (
	// samplesOfOne is how many refusals of one address for one reason are logged within sampleFor:
	// enough for people, whose problem documents lead to a line of the log. These stand for all others.
	sampleFor    = 10 * time.Second
	samplesOfOne = 10

	// maxSamples is how many are logged in that time of all addresses, and maxRepeated for how many addresses and reasons
	// the log has how many were not.
	maxSamples  = 200
	maxRepeated = 20
)

// sampler decides which refusals are logged: the first few of each address and reason, and of the others their number.
// It is safe for concurrent use, but Run may be called only once.
type sampler struct {
	log   *slog.Logger
	every time.Duration

	// mu protects what follows, all of it since the last flush.
	mu      sync.Mutex
	samples map[sample]samples
	logged  int
	others  int // not logged, and in no samples
}

// samples is how many refusals of a kind were logged, and how many were not.
type samples struct{ logged, further int }

// sample is what refusals have in common of which one is logged.
type sample struct {
	from   netip.Prefix
	reason string
}

func newSampler(log *slog.Logger) *sampler {
	return &sampler{log: log, every: sampleFor, samples: make(map[sample]samples)}
}

// allows reports whether a refusal is to be logged. While everything is logged, each one is.
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

// Run logs now and then how many refusals were not logged, until ctx ends; it returns nil.
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

// flush logs how many refusals were not logged since the last time, and begins anew.
func (s *sampler) flush() {
	s.mu.Lock()
	came, others := s.samples, s.others
	s.samples, s.logged, s.others = make(map[sample]samples), 0, 0
	s.mu.Unlock()
	maps.DeleteFunc(came, func(_ sample, of samples) bool { return of.further == 0 })
	most := slices.SortedFunc(maps.Keys(came), func(a, b sample) int {
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

// address returns where the refusals come from: an address, or a network.
func (s sample) address() string {
	if s.from.IsSingleIP() {
		return s.from.Addr().String()
	}
	return s.from.String()
}

// errorLog returns where net/http writes what goes wrong outside of requests, such as that there are no file descriptors left.
func (s *sampler) errorLog() *slog.Logger {
	return slog.New(sampledHandler{s.log.Handler(), s})
}

// sampledHandler samples records by what their messages begin with.
type sampledHandler struct {
	slog.Handler
	sampler *sampler
}

// Handle logs the first record of its kind.
func (h sampledHandler) Handle(ctx context.Context, r slog.Record) error {
	who, text, _ := strings.Cut(r.Message, ":") // "http: Accept error: …"
	what, _, _ := strings.Cut(text, ":")
	if !h.sampler.allows("", who+":"+what) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
