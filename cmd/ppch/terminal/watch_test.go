package terminal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"ppch/cmd/ppch/terminal"
	"ppch/component/componenttest"
)

// event formats an event of a stream.
func event(id, name, data string) string {
	return fmt.Sprintf("id: %s\nevent: %s\ndata: {%s,\"time\":\"2026-11-22T10:00:00Z\"}\n\n", id, name, data)
}

// streams sends events and, if open is set, keeps the stream open.
func streams(open bool, events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, strings.Join(events, ""))
		_ = http.NewResponseController(w).Flush()
		if open {
			<-r.Context().Done()
		}
	}
}

// screen is a buffer that can be read while it is written.
type screen = componenttest.LogBuffer

// until waits for text, then cancels watch and returns its result.
func until(t *testing.T, s *screen, want string, watch func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- watch(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(s.String(), want); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("it ended with %v before %q came, after %q", err, want, s)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %q want %q in it", s, want)
		}
	}
	cancel()
	return <-done
}

func TestWatch_LinePerEvent(t *testing.T) {
	c := answers(t, map[string]http.HandlerFunc{"/api/events": streams(true,
		event("1", "status", `"domain":"muc.meet.jitsi","live":false,"status":"error: Prosody is away\u001b[2J"`),
		event("1", "reset", `"reason":"unknown-id"`),
		event("2", "room.started", `"display_name":"кафе"`),
		event("3", "participant.joined", `"display_name":"planning","participant_count":1,"occupant":{"id":"ada","name":"A\u202eda","kind":"user"}`),
		event("4", "participant.joined", `"display_name":"planning","participant_count":1,"occupant":{"id":"rec","name":"","kind":"recorder"}`),
		event("5", "participant.updated", `"display_name":"planning"`),
		event("6", "participant.left", `"display_name":"planning","participant_count":0,"occupant":null`),
		"id: 6\n\n", // an id without data
		event("7", "room.ended", `"display_name":"planning"`),
	)})
	var s screen
	if err := until(t, &s, "ended\n", func(ctx context.Context) error { return c.WatchLines(ctx, &s, "") }); err != nil {
		t.Errorf("got %v want nil", err)
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).Local().Format(time.TimeOnly) + "  "
	want := at + strings.Join([]string{
		"muc.meet.jitsi: error: Prosody is away·[2J", "events were missed (unknown-id)", "кафе started",
		"A·da joined planning, now 1 person", "rec (recorder) joined planning, now 1 person",
		"an occupant left planning, now 0 people", "planning ended",
	}, "\n"+at) + "\n"
	if s.String() != want {
		t.Errorf("got\n%s want\n%s", s.String(), want)
	}
}

// After a lost connection and a 503, the stream resumes after the last event.
func TestWatch_Reconnects(t *testing.T) {
	var requests atomic.Int32
	var since atomic.Value
	c := answers(t, map[string]http.HandlerFunc{"/api/events": func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			streams(false, event("41", "room.started", `"display_name":"planning"`))(w, r)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"code":"too-many-streams","detail":"There are too many.","status":503}`)
		default:
			since.Store(r.Header.Get("Last-Event-ID"))
			streams(true, event("42", "room.ended", `"display_name":"planning"`))(w, r)
		}
	}})
	var s screen
	if err := until(t, &s, "planning ended\n", func(ctx context.Context) error { return c.WatchLines(ctx, &s, "") }); err != nil {
		t.Errorf("got %v want nil", err)
	}
	componenttest.Has(t, s.String(), "  connection lost: EOF\n", "  connection lost: There are too many. (too-many-streams)\n")
	if since.Load() != "41" {
		t.Errorf("got the Last-Event-ID %v want 41", since.Load())
	}
}

// A revoked key ends a watch with the reason.
func TestWatch_EndsWhenRefused(t *testing.T) {
	var requests atomic.Int32
	refused := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"code":"wrong-key","detail":"This is no key.\u001b[2J","status":200}`)
	}
	c := answers(t, map[string]http.HandlerFunc{"/api/rooms": refused, "/api/events": func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 1 {
			refused(w, r)
			return
		}
		streams(false)(w, r)
	}})
	for name, err := range map[string]error{
		"lines": c.WatchLines(t.Context(), io.Discard, ""),
		"rooms": c.Rooms(t.Context(), io.Discard, terminal.List{}, terminal.Style{}),
		"table": c.WatchTable(t.Context(), io.Discard, "", func() terminal.Style { return terminal.Style{} }),
	} {
		if err == nil || err.Error() != "This is no key.·[2J (wrong-key)" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWatch_EndsWhenOutputFails(t *testing.T) {
	c := answers(t, map[string]http.HandlerFunc{
		"/api/events": streams(true, event("1", "room.started", `"display_name":"planning"`)),
		"/api/rooms":  says(listOf()),
	})
	for name, err := range map[string]error{
		"lines": c.WatchLines(t.Context(), full{}, ""),
		"JSON":  c.WatchJSON(t.Context(), full{}, io.Discard, ""),
		"table": c.WatchTable(t.Context(), full{}, "", func() terminal.Style { return terminal.Style{} }),
	} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// With 10,000 rooms, each redraw requests only the rooms that fit on the screen, and the totals.
func TestWatchTable_RequestsOnlyWhatFits(t *testing.T) {
	var mu sync.Mutex
	var limits []string
	names := make([]string, 30)
	for i := range names {
		names[i] = strings.Repeat("生", 50)
	}
	limited := true
	c := answers(t, map[string]http.HandlerFunc{
		"/api/events": streams(true, event("1", "room.started", `"display_name":"`+strings.Repeat("a", 300)+`"`)),
		"/api/rooms": func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			limits = append(limits, r.URL.Query().Get("limit"))
			var n int
			_, _ = fmt.Sscan(limits[len(limits)-1], &n)
			fmt.Fprint(w, strings.Replace(listOf(names[:n]...), `"next_cursor":null`, `"next_cursor":"more"`, 1))
		},
		"/api/stats": func(w http.ResponseWriter, _ *http.Request) {
			if mu.Lock(); limited {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, `{"code":"room-not-allowed","detail":"limited"}`)
			} else {
				fmt.Fprint(w, `{"rooms":10000,"participant_count":45678}`)
			}
			mu.Unlock()
		},
	})
	watch := func(s *screen) func(context.Context) error {
		return func(ctx context.Context) error {
			return c.WatchTable(ctx, s, "", func() terminal.Style { return terminal.Style{Width: 60, Height: 20} })
		}
	}
	var key, s screen
	if err := until(t, &key, "… and more, which this key can't count, as of ", watch(&key)); err != nil {
		t.Errorf("got %v want nil", err)
	}
	mu.Lock()
	limits, limited = nil, false
	mu.Unlock()
	if err := until(t, &s, "… 9988 more; 10000 rooms, 45678 people, as of ", watch(&s)); err != nil {
		t.Errorf("got %v want nil", err)
	}
	for frame := range strings.SplitSeq(s.String(), "\x1b[H") {
		lines := strings.Split(frame, "\r\n")
		for _, line := range lines {
			plain, _, _ := strings.Cut(line, "\x1b[K")
			if w := text.StringWidthWithoutEscSequences(plain); w > 60 {
				t.Errorf("got %d columns: %q", w, line)
			}
		}
		if len(lines) > 20 {
			t.Errorf("got %d lines: %q", len(lines), frame)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if got := slices.Compact(limits); !slices.Equal(got, []string{"12"}) {
		t.Errorf("got the limits %v want what fits on 20 lines", got)
	}
	if !strings.HasPrefix(s.String(), "\x1b[?1049h") || !strings.HasSuffix(s.String(), "\x1b[?25h\x1b[?1049l") {
		t.Errorf("got %q want the previous screen restored", s.String())
	}
}

// The terminal shrinks while no events arrive.
func TestWatchTable_RedrawsOnResize(t *testing.T) {
	c := answers(t, map[string]http.HandlerFunc{"/api/events": streams(true), "/api/rooms": says(listOf(strings.Repeat("a", 50)))})
	var s screen
	style := func() terminal.Style {
		if strings.Contains(s.String(), "aaa") {
			return terminal.Style{Width: 35, Height: 20}
		}
		return terminal.Style{Width: 80, Height: 20}
	}
	began := time.Now()
	if err := until(t, &s, "  "+strings.Repeat("a", 21)+"…", func(ctx context.Context) error { return c.WatchTable(ctx, &s, "", style) }); err != nil {
		t.Errorf("got %v want nil", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
