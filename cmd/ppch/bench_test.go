package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"ppch/prosody/prosodytest"
)

// BenchmarkCallersByDisco loads the running service, where every number has to be asked of Prosody,
// with 200 callers: first all of one room, then each of a room of its own, by turns.
//
// It reports for both what Prosody was asked (questions/s) and what that cost it (ms of CPU per second),
// and last how many times as much the callers of many rooms cost as those of one.
func BenchmarkCallersByDisco(b *testing.B) {
	srv := prosodytest.New(b, prosodytest.Options{})
	const callers = 200
	rooms := openRooms(b, srv, callers)
	wire := countQuestions(b, srv.ComponentAddr())
	url, key := startForBench(b, srv, wire.addr)

	var one, many sample
	for b.Loop() {
		one.add(load(b, srv, wire, url, key, callers, rooms[:1]))
		many.add(load(b, srv, wire, url, key, callers, rooms))
	}
	one.report(b, "one-room")
	many.report(b, "many-rooms")
	b.ReportMetric(many.questions/max(one.questions, 1), "questions-ratio")
	b.ReportMetric(0, "ns/op")
}

// sample is what happened in some seconds of load.
type sample struct {
	requests, questions, cpu float64
	took                     time.Duration
}

func (s *sample) add(o sample) {
	s.requests += o.requests
	s.questions += o.questions
	s.cpu += o.cpu
	s.took += o.took
}

func (s *sample) report(b *testing.B, name string) {
	b.ReportMetric(s.requests/s.took.Seconds(), name+"-req/s")
	b.ReportMetric(s.questions/s.took.Seconds(), name+"-questions/s")
	b.ReportMetric(s.cpu*1000/s.took.Seconds(), name+"-prosody-ms/s")
}

// load lets the callers ask about the rooms, turn by turn, for three seconds.
func load(b *testing.B, srv *prosodytest.Server, wire *wire, url, key string, callers int, rooms []string) sample {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 3*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	var requests, failed atomic.Int64
	var asking sync.WaitGroup
	began, questions, cpu := time.Now(), wire.questions.Load(), cpuSeconds(b, srv.PID())
	for i := range callers {
		asking.Go(func() {
			for ctx.Err() == nil {
				if err := ask(ctx, client, url+"/api/rooms/"+rooms[i%len(rooms)]+"/participants", key); err == nil {
					requests.Add(1)
				} else if ctx.Err() == nil {
					failed.Add(1)
				}
			}
		})
	}
	asking.Wait()
	if n := failed.Load(); n > 0 {
		b.Fatalf("%d requests failed", n)
	}
	return sample{
		requests:  float64(requests.Load()),
		questions: float64(wire.questions.Load() - questions),
		cpu:       cpuSeconds(b, srv.PID()) - cpu,
		took:      time.Since(began),
	}
}

func ask(ctx context.Context, client *http.Client, url, key string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", key)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return err
}

func openRooms(b *testing.B, srv *prosodytest.Server, n int) (names []string) {
	b.Helper()
	cast, err := srv.Cast(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cast.Close() })
	for i := range n {
		names = append(names, "room"+strconv.Itoa(i))
		if _, err := cast.Open(b.Context(), srv.Room(names[i])); err != nil {
			b.Fatal(err)
		}
	}
	return names
}

// startForBench runs the service until the benchmark ends and waits until it is ready.
func startForBench(b *testing.B, srv *prosodytest.Server, prosody string) (url, key string) {
	b.Helper()
	key = "key-of-the-benchmark"
	logs, log := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, envconfig.MapLookuper(map[string]string{
			"PPCH_API_KEY": key, "PPCH_RATE_LIMIT": "0", "PPCH_PORT": "0", "PROSODY_URL": "xmpp://" + prosody,
			"PPCH_COMPONENT_SECRET": srv.Secret(), "PPCH_COMPONENT_DOMAIN": srv.Domains.Component, "MUC_DOMAIN": srv.Domains.MUC,
		}), log)
		log.Close()
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	addr := make(chan string, 1)
	go func() {
		d := json.NewDecoder(logs)
		for {
			var line struct{ Msg, Listen string }
			if err := d.Decode(&line); err != nil {
				return
			}
			if line.Msg == "ppch started" {
				addr <- line.Listen
				// To read more of the log would be measured as well.
				_, _ = io.Copy(io.Discard, logs)
				return
			}
		}
	}()
	url = "http://" + <-addr
	for ask(ctx, http.DefaultClient, url+"/readyz", "") != nil {
		time.Sleep(10 * time.Millisecond)
	}
	return url, key
}

// wire is a connection to Prosody on which questions are counted.
type wire struct {
	addr      string
	questions atomic.Int64
}

func countQuestions(b *testing.B, to string) *wire {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	w := &wire{addr: l.Addr().String()}
	go func() {
		from, err := l.Accept()
		if err != nil {
			return
		}
		into, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(from, into)
			from.Close()
		}()
		_, _ = io.Copy(io.MultiWriter(into, w), from)
		into.Close()
	}()
	return w
}

// Write counts the questions in what the component sends; a stanza cut in two by reads is rare enough.
func (w *wire) Write(p []byte) (int, error) {
	w.questions.Add(int64(bytes.Count(p, []byte("disco#info"))))
	return len(p), nil
}

// cpuSeconds returns the processor time that a process has used (proc(5), stat: utime and stime in ticks of 10 ms).
func cpuSeconds(b *testing.B, pid int) float64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, err := strconv.ParseFloat(fields[11], 64)
	if err != nil {
		b.Fatal(err)
	}
	system, err := strconv.ParseFloat(fields[12], 64)
	if err != nil {
		b.Fatal(err)
	}
	return (user + system) / 100
}
