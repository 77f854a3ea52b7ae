package main

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// BenchmarkMemory is how much memory the service takes (MiB) for that many people in rooms of ten:
// once all are known, and at most while it starts over three times, which takes a second copy beside the one that is served.
func BenchmarkMemory(b *testing.B) {
	program := buildProgram(b)
	for _, rooms := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("%d-occupants", 10*rooms), func(b *testing.B) {
			srv := fullServer(b, rooms)
			network := must(prosodytest.NewNetwork(srv.ComponentAddr()))(b)
			defer network.Close()
			last := "room" + strconv.Itoa(rooms)
			var synced, most float64
			for b.Loop() {
				env := envFor(srv)
				env["PROSODY_URL"] = "xmpp://" + network.Addr()
				p := startProcess(b, program, env)
				b.Cleanup(p.kill)
				p.synced(last, 10)
				now, _ := memory(b, p.pid())
				synced = max(synced, now)
				for range 3 {
					broken := time.Now()
					network.Break()
					within(b, time.Minute, 10*time.Millisecond, "all is known anew", func() bool { return p.tells(last, 10, broken) })
				}
				_, peak := memory(b, p.pid())
				most = max(most, peak)
				p.kill()
			}
			b.ReportMetric(synced, "synced-MiB")
			b.ReportMetric(most, "most-MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}
