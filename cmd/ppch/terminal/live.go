package terminal

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/tmaxmax/go-sse"
)

// Intervals of a live table.
const (
	// redrawEvery limits how often a table is loaded and redrawn, so that many events cost little.
	redrawEvery = 500 * time.Millisecond

	// ageEvery redraws without events, because durations grow.
	ageEvery = 10 * time.Second
)

// lastEvents is the number of events shown below a table.
const lastEvents = 5

// Control sequences. The table uses the alternate screen, which restores the previous contents, without a cursor and
// without line wrapping, because terminals disagree on the width of emoji.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// WatchTable draws a live table of people until ctx ends. It writes to a terminal, whose current size style returns.
func (c *Client) WatchTable(ctx context.Context, w io.Writer, name string, style func() Style) error {
	v := &liveTable{client: c, w: w, name: name, style: style, changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	following := make(chan error, 1)
	go func() {
		following <- c.follow(ctx, eventsPath(name), v.receive, v.lost)
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

// liveTable is a table that is redrawn when rooms change.
type liveTable struct {
	client  *Client
	w       io.Writer
	name    string
	style   func() Style
	changed chan struct{}

	// mu protects what follows.
	mu    sync.Mutex
	lines []func(width int) string // the last events, newest last
}

// receive adds an event. An event without a text may change the table too.
func (v *liveTable) receive(e sse.Event) error {
	v.add(func(width int) string { return lineFor(e, width) })
	return nil
}

func (v *liveTable) lost(err error) {
	line := lossOf(err)
	v.add(func(int) string { return line })
}

func (v *liveTable) add(line func(width int) string) {
	if line(0) != "" {
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

// run redraws until ctx ends or the service refuses finally.
func (v *liveTable) run(ctx context.Context) error {
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

// draw loads and draws the table, or the reason why it is unavailable.
func (v *liveTable) draw(ctx context.Context, style Style) error {
	table, err := v.table(ctx, style)
	var p *Problem
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &p) && p.isFinal():
		return err
	case err != nil:
		table = "Unavailable: " + Clean(err.Error()) + "\n"
	}
	lines := strings.Split(table, "\n")
	v.mu.Lock()
	for _, line := range v.lines {
		lines = append(lines, line(style.Width))
	}
	v.mu.Unlock()
	if style.Height > 0 {
		lines = lines[:min(len(lines), style.Height)]
	}
	for i, line := range lines {
		lines[i] = text.Snip(line, style.Width, "…")
	}
	// Clear each line as it is written: clearing the screen first would flicker.
	_, err = io.WriteString(v.w, home+strings.Join(lines, clearLine+"\r\n")+clearLine+clearBelow)
	return err
}

// table returns the part above the events. It requests only the rooms that fit.
func (v *liveTable) table(ctx context.Context, style Style) (string, error) {
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
	rooms, err := v.client.listed(p)
	if err != nil {
		return "", err
	}
	slices.SortStableFunc(rooms, func(a, b listed) int { return compare(a, b, "participants", true) })
	all := totals{known: true, asOf: p.asOf}
	if p.NextCursor == nil {
		all.add(rooms)
	} else if err := v.client.count(ctx, &all); err != nil {
		return "", err
	}
	return roomsTable(rooms, all, List{}.none(), style), nil
}

// count requests the totals, which a key limited to some rooms can't see.
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
		return c.notPPCH("totals without rooms or participant_count")
	default:
		all.rooms, all.people = *stats.Rooms, *stats.People
	}
	return nil
}

// firstLines cuts text to a number of lines; 0 is unlimited.
func firstLines(text string, limit int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if limit == 0 || len(lines) <= limit {
		return text
	}
	return strings.Join(lines[:limit-1], "") + "… " + strconv.Itoa(len(lines)-limit+1) + " more\n"
}
