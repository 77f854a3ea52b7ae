package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"ppch/component/cluster"
	"ppch/component/occupancy"
)

// withAnswer runs a collector that answers questions.
func withAnswer(t *testing.T, cfg cluster.Config, answer func(context.Context, []byte) ([]byte, error)) *member {
	t.Helper()
	m := newMember(t, cfg)
	var err error
	m.collector, err = cluster.NewCollector(cluster.CollectorConfig{Conn: m.conn, Shard: m.shard, Name: cfg.Name, Version: "2.0.0", Answer: answer, Log: cfg.Log})
	if err != nil {
		t.Fatal(err)
	}
	return m.run(m.collector.Run)
}

// echo answers with the name of the collector and the question.
func echo(name string) func(context.Context, []byte) ([]byte, error) {
	return func(_ context.Context, question []byte) ([]byte, error) {
		return []byte(name + ": " + string(question)), nil
	}
}

// asker runs a History.
func asker(t *testing.T, cfg cluster.Config) *cluster.History {
	t.Helper()
	m := newMember(t, cfg)
	h := cluster.NewHistory(cluster.HistoryConfig{Conn: m.conn, Log: cfg.Log})
	m.run(h.Run)
	return h
}

// ask returns the answers to a question, in the order of the names, with errors in brackets.
func ask(t *testing.T, h *cluster.History, question string, once bool) (all []string) {
	t.Helper()
	h.Ask(t.Context(), "main", []byte(question), once, func(name string, answer []byte, err error) {
		if err != nil {
			answer = fmt.Appendf(nil, "%s (%v)", name, err)
		}
		all = append(all, string(answer))
	})
	slices.Sort(all)
	return all
}

func TestHistory_AsksAllCollectors(t *testing.T) {
	s := runNATS(t)
	h := asker(t, options(t, s.ClientURL(), "node"))
	a := withAnswer(t, options(t, s.ClientURL(), "a.meet.jitsi"), echo("a"))
	withAnswer(t, options(t, s.ClientURL(), "b.meet.jitsi"), echo("b"))
	eventually(t, 10*time.Second, func() string {
		if got := ask(t, h, "who?", false); !slices.Equal(got, []string{"a: who?", "b: who?"}) {
			return fmt.Sprintf("got %q", got)
		}
		return ""
	})
	a.stop()
	eventually(t, 10*time.Second, func() string {
		if got := ask(t, h, "who?", true); !slices.Equal(got, []string{"a.meet.jitsi (the collector is silent)", "b: who?"}) {
			return fmt.Sprintf("got %q", got)
		}
		return ""
	})
}

func TestHistory_NoCollector(t *testing.T) {
	s := runNATS(t)
	h := asker(t, options(t, s.ClientURL(), "node"))
	var got error
	h.Ask(t.Context(), "main", []byte("who?"), false, func(_ string, _ []byte, err error) { got = err })
	if !errors.Is(got, cluster.ErrNoCollector) {
		t.Errorf("got %v want that no collector was heard", got)
	}
}

// Without NATS, the collectors aren't to blame.
func TestHistory_Offline(t *testing.T) {
	s := runNATS(t)
	h := asker(t, options(t, s.ClientURL(), "node"))
	withAnswer(t, options(t, s.ClientURL(), "a.meet.jitsi"), echo("a"))
	if got := ask(t, h, "who?", false); !slices.Equal(got, []string{"a: who?"}) {
		t.Errorf("got %q", got)
	}
	s.Stop()
	eventually(t, 10*time.Second, func() string {
		if got := ask(t, h, "who?", false); !slices.Equal(got, []string{"a.meet.jitsi (this PPCH has no connection to NATS)"}) {
			return fmt.Sprintf("got %q", got)
		}
		return ""
	})
	s.Start()
	eventually(t, 10*time.Second, func() string {
		if got := ask(t, h, "who?", false); !slices.Equal(got, []string{"a: who?"}) {
			return fmt.Sprintf("got %q", got)
		}
		return ""
	})
}

// A collector of a release without questions is named at once, not after a timeout.
func TestHistory_CollectorWithoutAnswers(t *testing.T) {
	s := runNATS(t)
	h := asker(t, options(t, s.ClientURL(), "node"))
	withAnswer(t, options(t, s.ClientURL(), "a.meet.jitsi"), nil)
	if got := ask(t, h, "who?", false); len(got) != 1 || !strings.Contains(got[0], "doesn't listen") {
		t.Errorf("got %q want that the collector doesn't listen", got)
	}
}

// An answer that is longer than a message of NATS may be comes in parts, in any order.
func TestHistory_LongAnswer(t *testing.T) {
	s := runNATS(t, func(o *server.Options) { o.MaxPayload = 4 << 10 })
	long := bytes.Repeat([]byte("0123456789abcdef\n"), 20_000)
	withAnswer(t, options(t, s.ClientURL(), "a.meet.jitsi"), func(context.Context, []byte) ([]byte, error) { return long, nil })
	withAnswer(t, options(t, s.ClientURL(), "b.meet.jitsi"), func(context.Context, []byte) ([]byte, error) { return make([]byte, 33<<20), nil })
	h := asker(t, options(t, s.ClientURL(), "node"))
	h.Ask(t.Context(), "main", []byte("all"), true, func(name string, answer []byte, err error) {
		switch {
		case name == "a.meet.jitsi" && (err != nil || !bytes.Equal(answer, long)):
			t.Errorf("got %d bytes, %v want %d", len(answer), err, len(long))
		case name == "b.meet.jitsi" && (err == nil || !strings.Contains(err.Error(), "ask for less")):
			t.Errorf("got %d bytes, %v want that it is too long", len(answer), err)
		}
	})
	if got := ask(t, h, strings.Repeat("x", 8<<10), false); !strings.Contains(got[0], "question is too long") {
		t.Errorf("got %q want that the question is too long", got)
	}
}

// hostile publishes answers to every question, and repeats all that it has seen.
func hostile(t *testing.T, url string) (answers *atomic.Int64, repeat func()) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	answers = &atomic.Int64{}
	var mu sync.Mutex
	var seen []*nats.Msg
	if _, err := nc.Subscribe("ppch.*.*.history", func(m *nats.Msg) {
		mu.Lock()
		seen = append(seen, m)
		mu.Unlock()
		body := m.Data[bytes.IndexByte(m.Data, '\n')+1:]
		forged := bytes.Replace(body, []byte(`"kind":"question"`), []byte(`"kind":"answer","part":1,"parts":1`), 1)
		for _, data := range [][]byte{
			nil, []byte("garbage"), bytes.Repeat([]byte("x"), 500<<10), m.Data,
			cluster.Wrap("another secret", forged), cluster.OtherVersion(secret, "9", forged), cluster.Wrap(secret, []byte("{}\n")),
		} {
			answers.Add(1)
			_ = nc.Publish(m.Reply, data)
		}
		_ = nc.Flush()
	}); err != nil {
		t.Fatal(err)
	}
	_ = nc.Flush()
	return answers, func() {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range seen {
			_ = nc.PublishRequest(m.Subject, nc.NewRespInbox(), m.Data)
		}
		_ = nc.Flush()
	}
}

func TestHistory_HostileAnswers(t *testing.T) {
	s := runNATS(t)
	answers, _ := hostile(t, s.ClientURL())
	withAnswer(t, options(t, s.ClientURL(), "a.meet.jitsi"), func(context.Context, []byte) ([]byte, error) {
		time.Sleep(beat) // so that the others come first
		return []byte("the truth"), nil
	})
	h := asker(t, options(t, s.ClientURL(), "node"))
	if got := ask(t, h, "who?", true); !slices.Equal(got, []string{"the truth"}) {
		t.Errorf("got %q want the collector's answer", got)
	}
	if answers.Load() == 0 {
		t.Error("no other program answered")
	}
	withAnswer(t, options(t, s.ClientURL(), "b.meet.jitsi"), func(context.Context, []byte) ([]byte, error) { return nil, errors.New("out of order") })
	eventually(t, 10*time.Second, func() string {
		if got := ask(t, h, "who?", true); !slices.Equal(got, []string{"b.meet.jitsi (out of order)", "the truth"}) {
			return fmt.Sprintf("got %q", got)
		}
		return ""
	})
}

// An erasure that is repeated by another program has no effect on what was recorded since.
func TestHistory_RepeatedQuestion(t *testing.T) {
	s := runNATS(t)
	_, repeat := hostile(t, s.ClientURL())
	var asked atomic.Int64
	withAnswer(t, options(t, s.ClientURL(), "a.meet.jitsi"), func(_ context.Context, question []byte) ([]byte, error) {
		asked.Add(1)
		return question, nil
	})
	h := asker(t, options(t, s.ClientURL(), "node"))
	if got := ask(t, h, "erase", true); !slices.Equal(got, []string{"erase"}) {
		t.Fatalf("got %q", got)
	}
	repeat()
	if got := ask(t, h, "after it", true); !slices.Equal(got, []string{"after it"}) {
		t.Fatalf("got %q", got)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the collector answered %d questions want 2", n)
	}
}

// Another program has the collector's sealed answer to one question, and sends it to all later ones.
func TestHistory_AnswerToAnotherQuestion(t *testing.T) {
	s := runNATS(t)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var old atomic.Pointer[nats.Msg]
	var sent atomic.Int64
	for subject, f := range map[string]func(*nats.Msg){
		"_INBOX.>": func(m *nats.Msg) { old.CompareAndSwap(nil, m) },
		"ppch.*.*.history": func(m *nats.Msg) {
			if answer := old.Load(); answer != nil {
				sent.Add(1)
				_ = nc.Publish(m.Reply, answer.Data)
				_ = nc.Flush()
			}
		},
	} {
		if _, err := nc.Subscribe(subject, f); err != nil {
			t.Fatal(err)
		}
	}
	_ = nc.Flush()
	withAnswer(t, options(t, s.ClientURL(), "a.meet.jitsi"), func(_ context.Context, question []byte) ([]byte, error) {
		time.Sleep(beat) // so that the other program is first
		return question, nil
	})
	h := asker(t, options(t, s.ClientURL(), "node"))
	for _, question := range []string{"who was there?", "who left?"} {
		if got := ask(t, h, question, false); !slices.Equal(got, []string{question}) {
			t.Errorf("got %q for %q", got, question)
		}
	}
	if sent.Load() == 0 {
		t.Error("the other program sent nothing")
	}
}

// The part of an answer that never comes is waited for, but not for long.
func TestHistory_UnfinishedAnswer(t *testing.T) {
	s := runNATS(t)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if _, err := nc.Subscribe("ppch.*.*.history", func(m *nats.Msg) {
		body := m.Data[bytes.IndexByte(m.Data, '\n')+1:]
		half := bytes.Replace(body, []byte(`"kind":"question"`), []byte(`"kind":"answer","part":1,"parts":2`), 1)
		for range 3 { // the same part
			_ = nc.Publish(m.Reply, cluster.Wrap(secret, half))
		}
	}); err != nil {
		t.Fatal(err)
	}
	_ = nc.Flush()
	withAnswer(t, options(t, s.ClientURL(), "a.meet.jitsi"), nil)
	h := asker(t, options(t, s.ClientURL(), "node"))
	if got := ask(t, h, "who?", false); len(got) != 1 || !strings.Contains(got[0], "deadline exceeded") {
		t.Errorf("got %q want that the rest did not come", got)
	}
}

// A collector of a newer release is named with its version, as soon as it is heard.
func TestHistory_OtherVersion(t *testing.T) {
	s := runNATS(t)
	h := asker(t, options(t, s.ClientURL(), "node"))
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	for i := range 1000 { // more than there can be, before a genuine one is heard
		_ = nc.Publish(fmt.Sprintf("ppch.main.c%d.state", i), cluster.OtherVersion(secret, "9", []byte("{}\n")))
		_ = nc.Publish(fmt.Sprintf("ppch.shard%d.c.state", i), cluster.OtherVersion(secret, "9", []byte("{}\n")))
	}
	_ = nc.Flush()
	withAnswer(t, options(t, s.ClientURL(), "a.meet.jitsi"), echo("a"))
	eventually(t, 10*time.Second, func() string {
		for _, name := range []string{"a_meet_jitsi", "b_meet_jitsi"} {
			_ = nc.Publish("ppch.main."+name+".state", cluster.OtherVersion(secret, "9", []byte("{}\n")))
		}
		_ = nc.Flush()
		want := []string{"a: who?", "b_meet_jitsi (cluster: message of version 9, this PPCH speaks version 1)"}
		if got := ask(t, h, "who?", false); !slices.Equal(got, want) {
			return fmt.Sprintf("got %q want %q", got, want)
		}
		return ""
	})
}

// A collector that asks others receives answers on a subject of its own, and doesn't ask itself.
func TestHistory_CollectorAsks(t *testing.T) {
	s := runNATS(t)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var reply atomic.Value
	if _, err := nc.Subscribe("ppch.*.*.history", func(m *nats.Msg) { reply.Store(m.Reply) }); err != nil {
		t.Fatal(err)
	}
	_ = nc.Flush()
	cfg := options(t, s.ClientURL(), "a.meet.jitsi")
	cfg.Shard, cfg.Collector = "main", cfg.Name
	a := withAnswer(t, cfg, echo("a"))
	withAnswer(t, options(t, s.ClientURL(), "b.meet.jitsi"), echo("b"))
	h := cluster.NewHistory(cluster.HistoryConfig{Conn: a.conn, Collectors: func() []*cluster.Collector { return []*cluster.Collector{a.collector} }, Log: cfg.Log})
	var g sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	g.Go(func() { _ = h.Run(ctx) })
	t.Cleanup(g.Wait)
	t.Cleanup(cancel)
	eventually(t, 10*time.Second, func() string {
		if got := ask(t, h, "who?", true); !slices.Equal(got, []string{"b: who?"}) {
			return fmt.Sprintf("got %q", got)
		}
		return ""
	})
	if got, _ := reply.Load().(string); !strings.HasPrefix(got, "ppch.main.a_meet_jitsi.answer.") {
		t.Errorf("the answer was to be sent to %q", got)
	}
}

// Without the permission to ask, the answer says so, and rooms stay readable.
func TestHistory_Forbidden(t *testing.T) {
	s := runNATS(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "collector", Password: "c"},
			{Username: "node", Password: "n", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: []string{"ppch.*.*.snapshot.*"}},
				Subscribe: &server.SubjectPermission{Allow: []string{"ppch.*.*.state", "ppch.*.*.batch", "_INBOX.>"}},
			}},
		}
	})
	as := func(user, password, name string) cluster.Config {
		o := options(t, s.ClientURL(), name)
		o.User, o.Password = user, password
		return o
	}
	a := withAnswer(t, as("collector", "c", "a.meet.jitsi"), echo("a"))
	a.up()
	node := newNode(t, as("node", "n", "node"))
	h := cluster.NewHistory(cluster.HistoryConfig{Conn: node.conn})
	node.run(h.Run)
	if got := ask(t, h, "who?", false); len(got) != 1 || !strings.Contains(got[0], "NATS forbids this PPCH to publish to ppch.main.a_meet_jitsi.history") {
		t.Errorf("got %q want the missing permission", got)
	}
	if p := node.conn.Diagnostics().Problem; p == nil || p.Reason != occupancy.ReasonNATSForbidden {
		t.Errorf("got the problem %v want the missing permission", p)
	}
	eventually(t, 10*time.Second, func() string {
		if d, err := node.shard.Domain(domain); err != nil || d.Problem != nil {
			return fmt.Sprintf("got %v, %v want current rooms", d.Problem, err)
		}
		return ""
	})
}
