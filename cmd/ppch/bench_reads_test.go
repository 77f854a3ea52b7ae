package main

import (
	"context"
	"io"
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

// BenchmarkReadsWithModule reads a room of 20 over HTTP with 16 connections, by turns from the service
// and from a bare net/http handler that writes the same bytes. It reports both and their ratio,
// and what Prosody's processor time was meanwhile, in ms per second.
func BenchmarkReadsWithModule(b *testing.B) {
	srv := prosodytest.New(b, prosodytest.Options{Module: true, HideRooms: true})
	openRooms(b, srv, 1)
	crowd, err := srv.Crowd(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { crowd.Close() })
	if _, err := crowd.Join(b.Context(), 19, srv.Room("room0")); err != nil {
		b.Fatal(err)
	}
	url, key := startForBench(b, srv, srv.ComponentAddr())
	url += "/api/rooms/room0/participants"
	body := bodyOf(b, url, key)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	b.Cleanup(bare.Close)

	var ours, theirs, cpu float64
	for b.Loop() {
		before, began := cpuSeconds(b, srv.PID()), time.Now()
		ours += reads(b, url, key)
		cpu += (cpuSeconds(b, srv.PID()) - before) / time.Since(began).Seconds()
		theirs += reads(b, bare.URL, key)
	}
	b.ReportMetric(ours/float64(b.N), "service-req/s")
	b.ReportMetric(theirs/float64(b.N), "bare-req/s")
	b.ReportMetric(ours/theirs, "ratio")
	b.ReportMetric(cpu*1000/float64(b.N), "prosody-ms/s")
	b.ReportMetric(0, "ns/op")
}

func bodyOf(b *testing.B, url, key string) []byte {
	b.Helper()
	for {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("X-API-Key", key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			b.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			return body
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// reads returns how many requests a second were answered in two seconds.
func reads(b *testing.B, url, key string) float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: (&net.Dialer{}).DialContext}}
	defer client.CloseIdleConnections()
	var n atomic.Int64
	var asking sync.WaitGroup
	began := time.Now()
	for range 16 {
		asking.Go(func() {
			for ctx.Err() == nil {
				if ask(ctx, client, url, key) == nil {
					n.Add(1)
				}
			}
		})
	}
	asking.Wait()
	return float64(n.Load()) / time.Since(began).Seconds()
}
