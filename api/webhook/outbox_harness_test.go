package webhook_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"mellium.im/xmpp/jid"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"ppch/api/keys"
	"ppch/api/webhook"
	"ppch/component/componenttest"
	"ppch/component/history"
	"ppch/component/occupancy"
)

var _ history.Outbox = (*webhook.Outbox)(nil)

// station is an Outbox with a real store, which can be restarted.
type station struct {
	t      *testing.T
	folder string
	keys   *keys.Keyring
	owner  keys.Sum
	change func(webhook.Config) webhook.Config
	opened func() (closed func()) // runs before the outbox does; nil for nothing

	store  *history.Store
	outbox *webhook.Outbox
	stop   func()
	seq    uint64

	running atomic.Bool
}

const ownKey = "0123456789abcdef"

// newStation returns a running station.
func newStation(t *testing.T, change func(webhook.Config) webhook.Config) *station {
	t.Helper()
	ring := must(keys.NewKeyring(keys.KeyringConfig{Key: ownKey}))(t)
	s := &station{t: t, folder: t.TempDir(), keys: ring, owner: keys.SumOf(ownKey), change: change}
	if change == nil {
		s.change = func(c webhook.Config) webhook.Config {
			return c.Hasten(0, 0, 0, time.Millisecond, 20*time.Millisecond, time.Hour)
		}
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *station) start() {
	s.t.Helper()
	store := must(history.Open(s.t.Context(), s.folder, history.Options{}))(s.t)
	outbox := webhook.New(s.change(webhook.Config{
		Store: store, Keys: s.keys, Names: names(), Epoch: "20261122T080000Z-k3x", Reach: loopback, KeepLog: 72 * time.Hour, Version: "test",
	}))
	s.store, s.outbox = store, outbox
	closed := func() {}
	if s.opened != nil {
		closed = s.opened()
	}
	stop := componenttest.Run(s.t, outbox.Run)
	s.running.Store(true)
	s.stop = sync.OnceFunc(func() {
		s.running.Store(false)
		closed()
		stop()
		store.Close()
	})
}

func (s *station) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// add adds an endpoint.
func (s *station) add(id, url string, change func(*webhook.Settings)) webhook.Status {
	s.t.Helper()
	settings := webhook.Settings{URL: url, Names: true, Enabled: true}
	if change != nil {
		change(&settings)
	}
	status, _, err := s.outbox.Put(s.t.Context(), s.owner, id, settings, "")
	check(s.t, err)
	return status
}

// record stores changes in one transaction.
func (s *station) record(changes ...history.Event) {
	s.t.Helper()
	var committed func()
	check(s.t, s.store.Write(s.t.Context(), func(tx *history.Tx) (err error) {
		committed, err = s.outbox.Append(s.t.Context(), tx, changes)
		return err
	}))
	committed()
}

// alter changes the file.
func (s *station) alter(query string, args ...any) {
	s.t.Helper()
	check(s.t, s.store.Write(s.t.Context(), func(tx *history.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	}))
}

// joins returns a change for each of some people who join a room that others are in.
func (s *station) joins(room string, from, to int) (all []history.Event) {
	for i := from; i < to; i++ {
		s.seq++
		meeting := history.MeetingID("main", room+"@muc.meet.jitsi", at(0))
		nick := fmt.Sprintf("nick%05d", i)
		all = append(all, history.Event{
			Event: occupancy.Event{
				Seq: s.seq, Kind: occupancy.EventJoined, Room: jid.NewUnsafe(room, "muc.meet.jitsi", "").JID, Type: occupancy.RoomMain,
				Occupant: occupancy.Occupant{ID: nick, Name: fmt.Sprintf("Person %d", i), Kind: occupancy.KindUser}, Counts: occupancy.Counts{int32(i + 2)}, At: at(i % 50),
			},
			Shard: "main", Meeting: meeting, Stay: history.StayID(meeting, nick, at(i%50)), Before: occupancy.Counts{int32(i + 1)}, NotBefore: at(i % 50),
		})
	}
	return all
}

// inbox is a receiver that remembers what it has accepted.
type inbox struct {
	*httptest.Server
	t      *testing.T
	secret string

	mu     sync.Mutex
	answer func(got delivery) int // nil: 204
	got    []delivery
	tried  int
}

// delivery is one delivery as a receiver sees it.
type delivery struct{ id, typ, room, nick string }

func newInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{t: t}
	in.Server = httptest.NewServer(in)
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if in.secret != "" {
		verifier, err := standardwebhooks.NewWebhook(in.secret)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		if err != nil {
			in.t.Errorf("signature: %v", err)
		}
	}
	var doc struct {
		Type string
		Data struct {
			RoomJID  string `json:"room_jid"`
			EventID  string `json:"event_id"`
			Occupant struct{ ID string }
		}
	}
	_ = json.Unmarshal(body, &doc) // other formats leave it empty
	d := delivery{r.Header.Get("Webhook-Id"), doc.Type, doc.Data.RoomJID, doc.Data.Occupant.ID}
	if doc.Data.EventID != "" && doc.Data.EventID != d.id {
		in.t.Errorf("got the event %s with the id %s", doc.Data.EventID, d.id)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.tried++
	status := http.StatusNoContent
	if in.answer != nil {
		status = in.answer(d)
	}
	if status < 300 {
		in.got = append(in.got, d)
	}
	w.WriteHeader(status)
}

// fail sets what the receiver answers; nil is 204.
func (in *inbox) fail(answer func(delivery) int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.answer = answer
}

func (in *inbox) attempts() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.tried
}

// accepted returns what the receiver has accepted.
func (in *inbox) accepted() []delivery {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.got)
}

// wait waits until the receiver has accepted n deliveries, and returns the nicks by room in the order of their first delivery.
func (in *inbox) wait(n int) map[string][]string {
	in.t.Helper()
	eventually(in.t, func() string {
		if got := len(in.accepted()); got < n {
			return fmt.Sprintf("%d of %d deliveries", got, n)
		}
		return ""
	})
	return in.byRoom()
}

func (in *inbox) byRoom() map[string][]string {
	seen, rooms := map[string]bool{}, map[string][]string{}
	for _, d := range in.accepted() {
		if !seen[d.id] {
			seen[d.id] = true
			room, _, _ := strings.Cut(d.room, "@")
			rooms[room] = append(rooms[room], d.nick)
		}
	}
	return rooms
}

// eventually waits until check returns an empty text.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	problem := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if problem = check(); problem == "" {
			return
		}
	}
	t.Fatal("after 30 s: " + problem)
}

// nicks returns the nicks of joins.
func nicks(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("nick%05d", i))
	}
	return all
}

// writeKeys writes a keys file with these lines.
func writeKeys(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	check(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return file
}

// keyringOf returns the keys of these lines of a file.
func keyringOf(t *testing.T, lines ...string) *keys.Keyring {
	t.Helper()
	ring := must(keys.NewKeyring(keys.KeyringConfig{File: writeKeys(t, lines...), Names: names()}))(t)
	return ring
}

func sumOf(text string) keys.Sum { return keys.SumOf(text) }

// counter returns a counter of deliveries by result.
func counter(t *testing.T, o *webhook.Outbox, result string) int {
	t.Helper()
	return int(metric(t, o, "webhook_deliveries_total", result))
}

// metric returns the value of a metric, with a label or without one if that is empty.
func metric(t *testing.T, o *webhook.Outbox, name, label string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(o.Metrics()...)
	for _, f := range must(registry.Gather())(t) {
		for _, m := range f.GetMetric() {
			if labels := m.GetLabel(); f.GetName() == name && (label == "" && len(labels) == 0 || len(labels) == 1 && labels[0].GetValue() == label) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no metric %s %s", name, label)
	return 0
}

// must returns v, and ends the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// check ends the test if there is an error.
var check = componenttest.Check

// same reports how got differs from want.
var same = componenttest.Same
