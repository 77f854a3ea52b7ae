package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ppch/prosody/prosodytest"
)

// The load of webhooks: joins and leaves a second, half of each, and receivers of each event.
const (
	webhookEvents    = 400
	webhookReceivers = 10
)

// webhooks measures the processor time of a service that stores 400 events a second and delivers each to ten receivers, compared with a
// program that only posts the same bodies; when a receiver gets an event compared with a client of the event stream; and whether a
// receiver that refuses connections delays the others.
func webhooks(t *trial) {
	t.title(fmt.Sprintf("Webhooks: %d events a second to %d receivers", webhookEvents, webhookReceivers))
	srv := t.prosody(prosodytest.Options{Module: true, HideRooms: true})
	cast := must(srv.Cast(t.ctx))(t)
	t.cleanup(func() { _ = cast.Close() })
	c := t.churn(srv, cast, 100, 8)
	in := t.receivers()
	s := t.serviceWith(srv, []string{"PPCH_DATA_DIR=" + must(os.MkdirTemp(t.dir, "data"))(t), "PPCH_WEBHOOK_ALLOW=127.0.0.1"})
	t.ready(s)
	for i, url := range in.urls {
		t.putWebhook(s, fmt.Sprint("r", i), url, true)
	}
	stream := newSightings()
	events := must(subscribe(t.ctx, s.url))(t)
	var following sync.WaitGroup
	following.Go(func() { stream.follow(events) })
	t.cleanup(func() {
		s.stop()
		following.Wait()
	})
	joins := max(t.plan.joins, webhookEvents)
	run := func() (cpu, median, p99 float64) {
		stream.forget()
		in.forget()
		before := t.cpu(s.pid())
		t.check(c.Run(t.ctx, webhookEvents/2, joins))
		in.await(t, joins)
		cpu = milliseconds(t.cpu(s.pid())-before) / float64(2*joins)
		later := waits(stream.all(), stream.all(), in.seen.all())
		return cpu, percentile(later, 50), percentile(later, 99)
	}
	run() // connections are open and the file has its size
	var later50, later99 sample
	ours, bare := t.alternate(t.plan.pairs, func() []float64 {
		cpu, median, p99 := run()
		later50, later99 = append(later50, median), append(later99, p99)
		return []float64{cpu}
	}, func() []float64 { return []float64{t.post(in)} })
	t.row(row{What: "processor time of an event, stored and sent to ten receivers", Unit: "ms", PPCH: ours[0], Peer: "a client that posts the same", Other: bare[0], Goal: atMost("ratio", 2)})
	t.row(row{What: "how much later than the event stream, median", Unit: "ms", PPCH: later50})
	t.row(row{What: "how much later than the event stream, p99", Unit: "ms", PPCH: later99, Goal: atMost("value", 100)})

	dead := fmt.Sprintf("http://127.0.0.1:%d/", must(prosodytest.FreePort())(t))
	latency := func(enabled bool) func() []float64 {
		return func() []float64 {
			t.putWebhook(s, "dead", dead, enabled)
			_, median, p99 := run()
			return []float64{median, p99}
		}
	}
	with, without := t.alternate(t.plan.pairs, latency(true), latency(false))
	t.row(row{What: "the same, with a second receiver that refuses connections, median", Unit: "ms", PPCH: with[0], Peer: "without it", Other: without[0], Goal: atMost("ratio", 1.1)})
	t.row(row{What: "the same, with a second receiver that refuses connections, p99", Unit: "ms", PPCH: with[1], Peer: "without it", Other: without[1]})
}

// putWebhook creates a webhook or changes it.
func (t *trial) putWebhook(s *service, id, url string, enabled bool) {
	body := must(json.Marshal(map[string]any{"url": url, "enabled": enabled, "names": true, "events": []string{"participant.joined", "participant.left"}}))(t)
	for {
		req := must(http.NewRequestWithContext(t.ctx, http.MethodPut, s.url+"/api/webhooks/"+id, bytes.NewReader(body)))(t)
		req.Header.Set("X-API-Key", key)
		req.Header.Set("Content-Type", "application/json")
		resp := must(client.Do(req))(t) //nolint:bodyclose // closed below
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusOK, http.StatusCreated:
			return
		case http.StatusServiceUnavailable: // the store isn't open yet
			t.sleep(10 * time.Millisecond)
		default:
			t.check(fmt.Errorf("webhook %s: %s %s", id, resp.Status, text))
		}
	}
}

// receivers are servers that accept everything. The first notes when each person's join arrives, and keeps the bodies.
type receivers struct {
	urls []string
	seen *sightings

	// mu protects what follows.
	mu     sync.Mutex
	bodies []string
	count  int // of all receivers
}

func (t *trial) receivers() *receivers {
	in := &receivers{seen: newSightings()}
	for i := range webhookReceivers {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			at := time.Now()
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusNoContent)
			in.mu.Lock()
			in.count++
			in.mu.Unlock()
			if i == 0 {
				in.note(body, at)
			}
		}))
		t.cleanup(server.Close)
		in.urls = append(in.urls, server.URL)
	}
	return in
}

func (in *receivers) note(body []byte, at time.Time) {
	var e struct {
		Type string
		Data struct{ Occupant struct{ ID string } }
	}
	if json.Unmarshal(body, &e) == nil && e.Type == "participant.joined" {
		in.seen.note(e.Data.Occupant.ID, at)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bodies = append(in.bodies, string(body))
}

func (in *receivers) forget() {
	in.seen.forget()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bodies, in.count = nil, 0
}

// await waits until all receivers have the events of some joins and as many leaves.
func (in *receivers) await(t *trial, joins int) {
	for end := time.Now().Add(30 * time.Second); ; t.sleep(10 * time.Millisecond) {
		in.mu.Lock()
		got := in.count
		in.mu.Unlock()
		if got >= 2*joins*len(in.urls) {
			return
		}
		if time.Now().After(end) {
			t.check(fmt.Errorf("the receivers got %d of %d deliveries", got, 2*joins*len(in.urls)))
		}
	}
}

// posts is what the bare client sends.
type posts struct {
	URLs, Bodies []string
	Rate         int
}

// post posts the bodies that the first receiver has got to all receivers with the bare client, and returns its processor time for each, in ms.
func (t *trial) post(in *receivers) float64 {
	in.mu.Lock()
	raw := must(json.Marshal(posts{in.urls, in.bodies, webhookEvents}))(t)
	n := len(in.bodies)
	in.mu.Unlock()
	cmd := exec.CommandContext(t.ctx, must(os.Executable())(t), "post") // #nosec G204 -- this program itself
	cmd.Stdin = bytes.NewReader(raw)
	out := must(cmd.Output())(t)
	spent := must(strconv.ParseFloat(string(bytes.TrimSpace(out)), 64))(t)
	return spent / float64(n)
}

// newPost returns "ppch-bench post", the limit of deliveries: a separate process that only posts the bodies it received on standard input,
// in order for each receiver, and prints its processor time in ms.
func newPost() *cobra.Command {
	return &cobra.Command{
		Use:    "post",
		Short:  "Post fixed bodies",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var p posts
			if err := json.NewDecoder(cmd.InOrStdin()).Decode(&p); err != nil {
				return err
			}
			t := &trial{session: &session{ctx: cmd.Context()}}
			return t.try(func() {
				before := t.cpu(os.Getpid())
				t.postAll(p)
				fmt.Fprintln(cmd.OutOrStdout(), milliseconds(t.cpu(os.Getpid())-before))
			})
		},
	}
}

// postAll posts all bodies to all URLs. Of each URL up to eight posts run at a time, as of a service.
func (t *trial) postAll(p posts) {
	var running sync.WaitGroup
	var queues []chan string
	for _, url := range p.URLs {
		queue := make(chan string, len(p.Bodies))
		queues = append(queues, queue)
		poster := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
		for range 8 {
			running.Go(func() {
				for body := range queue {
					resp, err := poster.Post(url, "application/json", bytes.NewReader([]byte(body)))
					if err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
				}
			})
		}
	}
	due := time.Now()
	for _, body := range p.Bodies {
		due = due.Add(time.Second / time.Duration(p.Rate))
		time.Sleep(time.Until(due))
		for _, queue := range queues {
			queue <- body
		}
	}
	for _, queue := range queues {
		close(queue)
	}
	running.Wait()
}
