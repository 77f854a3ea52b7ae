package api_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/api/keys"
	"ppch/component/occupancy"
)

// slowConn is a client's connection that reads at most 1 KiB in 20 ms.
type slowConn struct{ net.Conn }

func (c slowConn) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return c.Conn.Read(p[:min(len(p), 1024)])
}

// A slow client keeps its stream busy: there is always something to send.
// A silent stream sends only a keep-alive every 15 s.
func TestEvents_StreamEndsWithin15sOfItsKey(t *testing.T) {
	t.Parallel()
	const secret = "a secret that all nodes share"
	for _, c := range []struct {
		name          string
		before, after string // the key's fields; the file changes after 12 s
		ticket        bool   // valid for 14 s more
		silent        bool
	}{
		{name: "the key is removed", before: "scope=all"},
		{name: "the key is removed, without events", before: "scope=all", silent: true},
		{name: "the key lacks the scope now", before: "scope=all", after: "scope=count"},
		{name: "the key expires", before: "scope=all expires=2000-01-01T00:00:14Z", after: "scope=all expires=2000-01-01T00:00:14Z"},
		{name: "the ticket expires", before: "scope=all", after: "scope=all", ticket: true},
	} {
		for version, set := range map[string]func(*http.Protocols, bool){
			"HTTP/1.1": (*http.Protocols).SetHTTP1, "HTTP/2": (*http.Protocols).SetUnencryptedHTTP2,
		} {
			t.Run(c.name+" over "+version, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := apitest.NewDirectory(t)
					file := filepath.Join(t.TempDir(), "keys")
					write := func(fields string) {
						text := apitest.KeyLine("another key", "name=other scope=all")
						if fields != "" {
							text += apitest.KeyLine(testKey, "name=client "+fields)
						}
						if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
							t.Fatal(err)
						}
					}
					write(c.before)
					keys := keyring(keys.KeyringConfig{File: file, Names: names})
					s := prepare(t, withDirectory(d.Directory), func(cfg *api.Config) { cfg.Keys, cfg.Secret = keys, secret })
					protocols := new(http.Protocols)
					set(protocols, true)
					stop := overPipes(t, s, protocols)
					defer func() {
						stop()
						time.Sleep(time.Second) // for clients that still read
					}()
					transport := s.client.Transport.(*http.Transport)
					dial := transport.DialContext
					transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						conn, err := dial(ctx, network, addr)
						return slowConn{conn}, err
					}
					ctx, cancel := context.WithCancel(t.Context())
					var running sync.WaitGroup
					defer running.Wait()
					defer cancel()
					running.Go(func() { _ = keys.Run(ctx, nil) })

					target, header := "/api/events", []string(nil)
					if c.ticket {
						ticket := issue(t, secret, time.Now().Add(14*time.Second-time.Hour))
						target, header = target+"?ticket="+ticket, []string{"X-API-Key", ""}
					}
					f := s.follow(target, header...)
					f.Until("status")
					running.Go(func() {
						for turn := 0; ctx.Err() == nil && !c.silent; turn++ {
							d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", turn)}})
							time.Sleep(10 * time.Millisecond)
						}
					})
					time.Sleep(12 * time.Second)
					if got := s.Streams().Open; got != 1 {
						t.Fatalf("got %d streams before the end, want one", got)
					}
					write(c.after)
					time.Sleep(15 * time.Second)
					if got := s.Streams().Open; got != 0 {
						t.Errorf("got %d streams 15 s after the end, want none", got)
					}
					f.Leave()
					_ = f.Ended()
				})
			})
		}
	}
}

// A waiting request returns nothing that the key no longer allows.
func TestWait_EndsWithTheKey(t *testing.T) {
	for name, c := range map[string]struct {
		fields string // the key's fields while the request waits
		status int
		code   string
	}{
		"the key is withdrawn":        {"", 403, "wrong-key"},
		"the key expires":             {"scope=all expires=1999-12-31", 403, "key-expired"},
		"the key expires meanwhile":   {"scope=all expires=2000-01-01T00:00:15Z", 403, "key-expired"},
		"the key lacks the scope now": {"scope=metrics", 403, "scope-missing"},
		"the key is for other rooms":  {"scope=all room=other", 403, "room-not-allowed"},
		"the key may not read names":  {"scope=count", 200, ""},
		"the key has the same rights": {"scope=all", 304, ""},
		"the key has another scope":   {"scope=participants", 304, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "keys")
				write := func(fields string) {
					text := apitest.KeyLine("another key", "name=other scope=all")
					if fields != "" {
						text += apitest.KeyLine(testKey, "name=client "+fields)
					}
					if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				write("scope=all")
				keys := keyring(keys.KeyringConfig{File: file, Names: names})
				s := prepare(t, withDirectory(apitest.NewMeetings(t, map[string]int{"daily": 1}).Directory), func(cfg *api.Config) { cfg.Keys = keys })
				defer func() { _ = s.CloseListener() }()
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				defer running.Wait()
				defer cancel()
				running.Go(func() { _ = keys.Run(ctx, nil) })
				ask := func(target, etag string) *httptest.ResponseRecorder {
					r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
					r.Header.Set("X-API-Key", testKey)
					r.Header.Set("If-None-Match", etag)
					w := &deadlineRecorder{httptest.NewRecorder()}
					s.Handler().ServeHTTP(w, r)
					return w.ResponseRecorder
				}
				before := ask("/api/rooms/daily/participants", "")
				time.AfterFunc(5*time.Second, func() { write(c.fields) })
				began := time.Now()
				got := ask("/api/rooms/daily/participants?wait=30s", before.Header().Get("ETag"))
				if took := time.Since(began); got.Code != c.status || took > 20*time.Second && c.status == 403 {
					t.Errorf("got %d after %s, want %d", got.Code, took, c.status)
				}
				a := answer{got.Code, got.Header(), got.Body.Bytes()}
				switch {
				case c.code != "":
					a.wantProblem(t, c.status, c.code)
				case got.Code == 200 && len(a.object(t)["participants"].([]any)) > 0:
					t.Errorf("got %s, want no names", a.body)
				}
			})
		})
	}
}

// deadlineRecorder is a recorder that accepts a write deadline.
type deadlineRecorder struct{ *httptest.ResponseRecorder }

func (deadlineRecorder) SetWriteDeadline(time.Time) error { return nil }

// issue returns a ticket for the tests' key.
func issue(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	tickets, err := keys.NewTickets(secret)
	if err != nil {
		t.Fatal(err)
	}
	ticket, _ := tickets.Issue(keys.SumOf(testKey), at)
	return ticket
}

// Streams notice a new keys file immediately.
func TestEvents_StreamEndsWithItsKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, before, after string
		target              string
		want                []string // the names in events of two joins, the second after the file changed
	}{
		{"the key stays", "scope=all", "scope=all", "/api/events", []string{"ann", "bob"}},
		{"the key is withdrawn", "scope=all", "", "/api/events", []string{"ann"}},
		{"the key has expired", "scope=all", "scope=all expires=1999-12-31", "/api/events", []string{"ann"}},
		{"the key lacks the scope now", "scope=all", "scope=count", "/api/events", []string{"ann"}},
		{"the key is for another room now", "scope=all", "scope=all room=other", "/api/rooms/daily/events", []string{"ann"}},
		{"the key may no longer read names", "scope=all", "scope=events", "/api/events", []string{"ann", ""}},
		{"with a ticket, the key is removed", "scope=all", "", "/api/events?ticket=", []string{"ann"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := apitest.NewDirectory(t)
				file := filepath.Join(t.TempDir(), "keys")
				write := func(fields string) {
					text := apitest.KeyLine("another-key-of-a-client", "name=other scope=all")
					if fields != "" {
						text += apitest.KeyLine(testKey, "name=client "+fields)
					}
					if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				write(c.before)
				ring := keyring(keys.KeyringConfig{File: file, Names: names})
				s := prepare(t, withDirectory(d.Directory), func(cfg *api.Config) { cfg.Keys = ring })
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { _ = s.RunHub(ctx) })
				running.Go(func() { _ = ring.Run(ctx, nil) })
				target := c.target
				leaving, leave := context.WithTimeout(t.Context(), time.Minute)
				defer leave()
				r := httptest.NewRequestWithContext(leaving, http.MethodGet, target, nil)
				r.Header.Set("X-API-Key", testKey)
				if strings.HasSuffix(target, "ticket=") {
					post := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/events/ticket", nil)
					post.Header.Set("X-API-Key", testKey)
					w := httptest.NewRecorder()
					s.Handler().ServeHTTP(w, post)
					var issued struct{ Ticket string }
					if err := json.Unmarshal(w.Body.Bytes(), &issued); err != nil {
						t.Fatal(err)
					}
					r = httptest.NewRequestWithContext(leaving, http.MethodGet, target+issued.Ticket, nil)
				}
				w := deadlineRecorder{httptest.NewRecorder()}
				running.Go(func() {
					time.Sleep(5 * time.Second)
					d.Join("daily", "ann")
					time.Sleep(time.Second)
					write(c.after)
					time.Sleep(30 * time.Second)
					d.Join("daily", "bob")
				})
				s.Handler().ServeHTTP(w, r)
				if len(c.want) == 1 {
					again := httptest.NewRecorder()
					s.Handler().ServeHTTP(again, r.WithContext(ctx))
					if again.Code != http.StatusForbidden {
						t.Errorf("got %d for the next stream", again.Code)
					}
				}
				stop()
				running.Wait()
				_ = s.CloseListener()
				var got []string
				for _, m := range regexp.MustCompile(`event: participant.joined\n.*?"occupant":(?:null|\{"id":"(\w+)")`).FindAllStringSubmatch(w.Body.String(), -1) {
					got = append(got, m[1])
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q\n%s", got, c.want, w.Body.String())
				}
			})
		})
	}
}
