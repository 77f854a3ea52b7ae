package main

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// BenchmarkBurdenOfReads is the processor time that Prosody takes (ms per second), by turns of ten seconds:
// while nobody asks anything, and the module compares what it told with what is;
// while 16 callers ask the service about 1,000 rooms of ten as fast as it answers;
// and while they ask a bare net/http handler that has nothing to do with Prosody, as a busy machine makes the same work take longer.
func BenchmarkBurdenOfReads(b *testing.B) {
	const rooms = 1000
	srv := fullServer(b, rooms)
	p := startProcess(b, buildProgram(b), envFor(srv))
	p.synced("room"+strconv.Itoa(rooms), 10)
	time.Sleep(5 * time.Second) // for the snapshot's garbage to be collected

	body := bodyOf(b, p.url+"/api/rooms/room1/participants", testKey)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	b.Cleanup(bare.Close)

	const turn = 10 * time.Second
	var idle, asked, elsewhere burden
	for b.Loop() {
		for range 3 {
			idle.add(b, srv, func() int64 { time.Sleep(turn); return 0 })
			asked.add(b, srv, func() int64 { return readRooms(b, p.url, rooms, turn) })
			elsewhere.add(b, srv, func() int64 { return readRooms(b, bare.URL, rooms, turn) })
		}
	}
	b.ReportMetric(idle.perSecond(), "idle-prosody-ms/s")
	b.ReportMetric(asked.perSecond(), "asked-prosody-ms/s")
	b.ReportMetric(elsewhere.perSecond(), "elsewhere-prosody-ms/s")
	b.ReportMetric(float64(asked.reads), "reads")
	b.ReportMetric(float64(elsewhere.reads), "elsewhere-reads")
	b.ReportMetric(0, "ns/op")
}

// burden is what Prosody did while something was read.
type burden struct {
	cpu   float64 // s
	took  time.Duration
	reads int64
}

func (u *burden) add(b *testing.B, srv *prosodytest.Server, read func() int64) {
	b.Helper()
	before, began := cpuSeconds(b, srv.PID()), time.Now()
	u.reads += read()
	u.cpu += cpuSeconds(b, srv.PID()) - before
	u.took += time.Since(began)
}

func (u *burden) perSecond() float64 { return 1000 * u.cpu / u.took.Seconds() }

// readRooms asks about rooms at random and returns how many answers there were.
func readRooms(b *testing.B, url string, rooms int, lasts time.Duration) int64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), lasts)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: (&net.Dialer{}).DialContext}}
	defer client.CloseIdleConnections()
	var n atomic.Int64
	var asking sync.WaitGroup
	for range 16 {
		asking.Go(func() {
			for ctx.Err() == nil {
				room := url + "/api/rooms/room" + strconv.Itoa(1+rand.IntN(rooms)) + "/participants"
				if err := ask(ctx, client, room, testKey); err == nil {
					n.Add(1)
				} else if ctx.Err() == nil {
					b.Error(err)
					return
				}
			}
		})
	}
	asking.Wait()
	return n.Load()
}
