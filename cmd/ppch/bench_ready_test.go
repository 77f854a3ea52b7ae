package main

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// BenchmarkReady starts the program beside a Prosody that runs already and has no rooms, twenty-one times.
// It reports how long that takes until /readyz says that questions are answered: the median, and the longest.
func BenchmarkReady(b *testing.B) {
	srv := prosodytest.New(b, prosodytest.Options{Module: true})
	program := buildProgram(b)
	for b.Loop() {
		var all []time.Duration
		for range 21 {
			began := time.Now()
			p := startProcess(b, program, envFor(srv))
			s := &service{url: p.url, client: &http.Client{Transport: &http.Transport{}}}
			within(b, 10*time.Second, time.Millisecond, "the service is ready", func() bool {
				a, err := s.try(context.Background(), "/readyz")
				return err == nil && a.status == http.StatusOK
			})
			all = append(all, time.Since(began))
			s.client.CloseIdleConnections()
			p.kill()
		}
		slices.Sort(all)
		b.ReportMetric(milliseconds(all[len(all)/2]), "ready-ms")
		b.ReportMetric(milliseconds(all[len(all)-1]), "longest-ready-ms")
		b.ReportMetric(0, "ns/op")
	}
}
