package api_test

import (
	"bufio"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// BenchmarkStreams opens 1,000 event streams and reports how much memory each takes, stacks and live objects apart.
// It includes less than 1 KiB for the client.
func BenchmarkStreams(b *testing.B) {
	const streams = 1000
	addr := serve(b, town(b).Directory)
	measure := func() (objects, stacks float64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc), float64(m.StackInuse)
	}
	for b.Loop() {
		objects, stacks := measure()
		var open []net.Conn
		for range streams {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				_, err = c.Write([]byte("GET /api/events HTTP/1.1\r\nHost: ppch\r\nX-API-Key: " + testKey + "\r\n\r\n"))
			}
			check(b, err)
			open = append(open, c)
			r := bufio.NewReaderSize(c, 256)
			for line := ""; !strings.HasPrefix(line, "event: status"); {
				if line, err = r.ReadString('\n'); err != nil {
					b.Fatal(err)
				}
			}
		}
		time.Sleep(100 * time.Millisecond) // until all wait for events
		objectsNow, stacksNow := measure()
		b.ReportMetric((objectsNow-objects)/streams, "objects-B/stream")
		b.ReportMetric((stacksNow-stacks)/streams, "stacks-B/stream")
		for _, c := range open {
			_ = c.Close()
		}
	}
}
