package api

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// traffic measures requests by route, method and status. It is safe for concurrent use.
type traffic struct {
	durations *prometheus.HistogramVec

	// known are the series that there have been. It is replaced, never changed, so that a request waits for nobody.
	known atomic.Pointer[map[series]prometheus.Observer]

	// mu is held by whoever replaces known.
	mu sync.Mutex
}

// series is one line in a graph: there are as many as routes, methods and statuses go together, whatever clients send.
type series struct {
	route, method string
	status        int
}

func newTraffic() *traffic {
	t := &traffic{
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds",
			Help: "Time until requests were answered, by route template.",
			// An answer out of memory takes some 0.1 ms, a question to Prosody some ms, and 5 s at most.
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "method", "code"}),
	}
	t.known.Store(&map[series]prometheus.Observer{})
	return t
}

// observe counts a request that took so long. This is done for every request: it allocates nothing.
func (t *traffic) observe(route, method string, status int, took time.Duration) {
	at := series{route, methodLabel(method), status}
	observer, ok := (*t.known.Load())[at]
	if !ok {
		observer = t.add(at)
	}
	observer.Observe(took.Seconds())
}

// add returns the observer of a series that is known from now on.
func (t *traffic) add(at series) prometheus.Observer {
	t.mu.Lock()
	defer t.mu.Unlock()
	observer := t.durations.WithLabelValues(at.route, at.method, strconv.Itoa(at.status))
	known := maps.Clone(*t.known.Load())
	known[at] = observer
	t.known.Store(&known)
	return observer
}

// methodLabel returns the method, or "other" for one that no route has: clients may make up as many as they like.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
