package api_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ppch/api"
	"ppch/component/occupancy"
)

// crowdVariable is set in the process that holds the subscribers of a benchmark, so that they aren't measured with the service:
// its value is how many, and where.
const crowdVariable = "PPCH_TEST_CROWD"

// arrival is what the crowd tells of one event: when the first of them had it, and the last.
type arrival struct{ First, Last int64 }

// crowd subscribes, tells on standard output that all have done so, and then when each event came to everybody.
func crowd(what string) error {
	count, addr, _ := strings.Cut(what, "@")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	came := make(chan int64, n)
	ready := make(chan error, n)
	limit := make(chan struct{}, 100)
	for range n {
		limit <- struct{}{}
		go func() {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				_, err = io.WriteString(conn, "GET /api/events HTTP/1.1\r\nHost: ppch\r\nX-API-Key: "+testKey+"\r\n\r\n")
			}
			<-limit
			if err != nil {
				ready <- err
				return
			}
			lines := bufio.NewReaderSize(conn, 1024)
			for {
				line, err := lines.ReadSlice('\n')
				if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
					return
				}
				switch string(line) {
				case "event: status\n":
					ready <- nil
				case "event: participant.joined\n":
					came <- time.Now().UnixNano()
				}
			}
		}()
	}
	for range n {
		if err := <-ready; err != nil {
			return err
		}
	}
	fmt.Println("ready")
	for {
		var all []int64
		for range n {
			all = append(all, <-came)
		}
		if err := json.NewEncoder(os.Stdout).Encode(arrival{slices.Min(all), slices.Max(all)}); err != nil {
			return err
		}
	}
}

// used returns how much memory the service has in use, without what only awaits collection.
func used() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// BenchmarkSubscribers tells how soon one join is told to 5,000 subscribers, and what each of them costs while nothing happens.
func BenchmarkSubscribers(b *testing.B) {
	const n = 5000
	d := newSite(b)
	s := start(b, telling(d.Directory), func(cfg *api.Config) { cfg.Log = nil })
	before := used()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crowdVariable+"="+strconv.Itoa(n)+"@"+s.Addr().String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		b.Fatalf("got %q, %v", line, err)
	}
	time.Sleep(time.Second)
	memory := float64(used()-before) / n

	var spreads, delays []float64
	i := 0
	for b.Loop() {
		i++
		began := time.Now().UnixNano()
		d.tell(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{person(strconv.Itoa(i))}})
		line, err := lines.ReadBytes('\n')
		if err != nil {
			b.Fatal(err)
		}
		var a arrival
		if err := json.Unmarshal(line, &a); err != nil {
			b.Fatal(err)
		}
		spreads = append(spreads, float64(a.Last-a.First)/1e6)
		delays = append(delays, float64(a.Last-began)/1e6)
		time.Sleep(100 * time.Millisecond)
	}
	slices.Sort(spreads)
	slices.Sort(delays)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(memory/1024, "KiB/subscriber")
	b.ReportMetric(spreads[len(spreads)/2], "ms-first-to-last")
	b.ReportMetric(spreads[len(spreads)-1], "ms-first-to-last-worst")
	b.ReportMetric(delays[len(delays)/2], "ms-to-last")
	if stats := s.Streams(); stats.Open != n || stats.Resets["lagged"] != 0 {
		b.Errorf("got %+v", stats)
	}
}
