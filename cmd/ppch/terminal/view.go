package terminal

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/tmaxmax/go-sse"
)

// The clock of a table that is watched.
const (
	// redrawEvery is how often a table is read and drawn anew while things happen, so that a storm costs little.
	redrawEvery = 500 * time.Millisecond

	// ageEvery is how often it is while nothing happens, since durations grow.
	ageEvery = 10 * time.Second
)

// lastEvents is how many events are shown below a table.
const lastEvents = 5

// What a terminal is told. The other screen is drawn on, so that what was there before comes back,
// with no cursor, and with no line that goes on in the next, since terminals differ in how wide an emoji is.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// WatchTable draws who is there, and draws it anew as that changes, until ctx ends.
// It draws to a terminal, whose size style tells each time.
func (c *Client) WatchTable(ctx context.Context, w io.Writer, name string, style func() Style) error {
	v := &view{client: c, w: w, name: name, style: style, changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	following := make(chan error, 1)
	go func() {
		following <- c.follow(ctx, eventsPath(name), v.take, v.lose)
		cancel()
	}()
	_, err := io.WriteString(w, enterScreen)
	if err == nil {
		err = v.run(ctx)
	}
	_, left := io.WriteString(w, leaveScreen)
	cancel()
	return cmp.Or(<-following, err, left)
}

// view is a table that is being watched.
type view struct {
	client  *Client
	w       io.Writer
	name    string
	style   func() Style
	changed chan struct{}

	// mu protects what follows.
	mu    sync.Mutex
	lines []string // the last events, newest last
}

// take notes an event. Also one without a word to say may change what is shown.
func (v *view) take(e sse.Event) error {
	v.note(lineFor(e))
	return nil
}

func (v *view) lose(err error) { v.note(lossOf(err)) }

func (v *view) note(line string) {
	if line != "" {
		v.mu.Lock()
		v.lines = append(v.lines, line)
		v.lines = v.lines[max(0, len(v.lines)-lastEvents):]
		v.mu.Unlock()
	}
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// run draws until ctx ends, or what is watched is refused for good.
func (v *view) run(ctx context.Context) error {
	ticks := time.NewTicker(redrawEvery)
	defer ticks.Stop()
	for {
		drawn, size := time.Now(), v.style()
		if err := v.draw(ctx, size); err != nil {
			return err
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return nil
			case <-ticks.C:
			}
			select {
			case <-v.changed:
				again = true
			default:
				again = v.style() != size || time.Since(drawn) >= ageEvery
			}
		}
	}
}

// draw reads what there is and shows it, or why that can't be known now.
func (v *view) draw(ctx context.Context, style Style) error {
	table, err := v.table(ctx, style)
	var p *Problem
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &p) && p.lasts():
		return err
	case err != nil:
		table = "Not known now: " + Clean(err.Error()) + "\n"
	}
	v.mu.Lock()
	lines := strings.Split(table+"\n"+strings.Join(v.lines, "\n"), "\n")
	v.mu.Unlock()
	if style.Height > 0 {
		lines = lines[:min(len(lines), style.Height)]
	}
	for i, line := range lines {
		lines[i] = text.Snip(line, style.Width, "…")
	}
	// Every line is cleared as it is written, for to clear all before would flicker.
	_, err = io.WriteString(v.w, home+strings.Join(lines, clearLine+"\r\n")+clearLine+clearBelow)
	return err
}

// table returns what is to be above the events. However many rooms there are, it asks only for those that fit.
func (v *view) table(ctx context.Context, style Style) (string, error) {
	if style.Height > 0 {
		style.Height = max(style.Height-lastEvents-1, 3)
	}
	if v.name != "" {
		_, r, err := v.client.room(ctx, v.name)
		if err != nil {
			return "", err
		}
		return firstLines(roomTable(r, style), style.Height), nil
	}
	limit := 100
	if rows := style.rows(); rows > 0 {
		limit = min(rows, 1000)
	}
	p, err := v.client.page(ctx, url.Values{"sort": {"participants"}, "limit": {strconv.Itoa(limit)}})
	if err != nil {
		return "", err
	}
	rooms, err := v.client.shown(p)
	if err != nil {
		return "", err
	}
	all := totals{known: true, asOf: p.AsOf}
	if p.Next == nil {
		all.add(rooms)
	} else if err := v.client.count(ctx, &all); err != nil {
		return "", err
	}
	return roomsTable(rooms, all, style), nil
}

// count asks how many rooms and people there are. A key that is limited to rooms may not know.
func (c *Client) count(ctx context.Context, all *totals) error {
	var stats struct {
		Rooms  *int `json:"rooms"`
		People *int `json:"participant_count"`
	}
	err := c.get(ctx, "/api/stats", nil, &stats)
	var p *Problem
	switch {
	case errors.As(err, &p) && p.Status == http.StatusForbidden:
		all.known = false
	case err != nil:
		return err
	case stats.Rooms == nil || stats.People == nil:
		return c.notPPCH("numbers without rooms or participant_count")
	default:
		all.rooms, all.people = *stats.Rooms, *stats.People
	}
	return nil
}

// firstLines cuts text to a number of lines, 0 for any.
func firstLines(text string, limit int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if limit == 0 || len(lines) <= limit {
		return text
	}
	return strings.Join(lines[:limit-1], "") + "… " + strconv.Itoa(len(lines)-limit+1) + " more\n"
}
