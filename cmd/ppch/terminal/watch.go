package terminal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

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

// event is what is shown of an event.
type event struct {
	Time         time.Time `json:"time"`
	RoomName     string    `json:"room_name"`
	Participants int       `json:"participant_count"`
	Occupant     *occupant `json:"occupant"`

	// Of what is no event of a room.
	Reason string `json:"reason"`
	Domain string `json:"domain"`
	Status string `json:"status"`
}

// eventsPath is the path of the stream about a room, or about all if name is empty.
func eventsPath(name string) string {
	if name == "" {
		return "/api/events"
	}
	return roomPath(name) + "/events"
}

// WatchJSON writes each event as JSON in a line of its own until ctx ends.
func (c *Client) WatchJSON(ctx context.Context, w io.Writer, name string) error {
	return c.follow(ctx, eventsPath(name), nil, func(e sse.Event) {
		if json.Valid([]byte(e.Data)) {
			fmt.Fprintln(w, e.Data)
		}
	}, func(error) {})
}

// WatchLines writes a line of text for each event until ctx ends.
func (c *Client) WatchLines(ctx context.Context, w io.Writer, name string) error {
	return c.follow(ctx, eventsPath(name), nil, func(e sse.Event) {
		if line := lineFor(e); line != "" {
			fmt.Fprintln(w, line)
		}
	}, func(err error) { fmt.Fprintln(w, "connection lost:", err) })
}

// WatchTable draws who is there, and draws it anew as that changes, until ctx ends.
// It draws to a terminal, whose size style tells each time.
func (c *Client) WatchTable(ctx context.Context, w io.Writer, name string, style func() Style) error {
	v := &view{client: c, w: w, name: name, style: style, changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	following := make(chan error, 1)
	go func() {
		err := c.follow(ctx, eventsPath(name), nil, v.take, v.lose)
		cancel(err)
		following <- err
	}()
	// The other screen of the terminal is drawn on, and what was there before comes back.
	fmt.Fprint(w, "\x1b[?1049h\x1b[?25l")
	err := v.run(ctx)
	fmt.Fprint(w, "\x1b[?25h\x1b[?1049l")
	cancel(nil)
	if followed := <-following; followed != nil {
		return followed
	}
	return err
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

// take notes an event.
func (v *view) take(e sse.Event) {
	if line := lineFor(e); line != "" {
		v.note(line)
	}
}

func (v *view) lose(err error) { v.note("connection lost: " + Clean(err.Error())) }

func (v *view) note(line string) {
	v.mu.Lock()
	v.lines = append(v.lines, line)
	v.lines = v.lines[max(0, len(v.lines)-lastEvents):]
	v.mu.Unlock()
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// run draws until ctx ends.
func (v *view) run(ctx context.Context) error {
	for {
		if err := v.draw(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(redrawEvery):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-v.changed:
		case <-time.After(ageEvery):
		}
	}
}

// draw reads what there is and shows it, or why that can't be known now.
func (v *view) draw(ctx context.Context) error {
	style := v.style()
	table, err := v.table(ctx, style)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		table = "Not known now: " + Clean(err.Error()) + "\n"
	}
	v.mu.Lock()
	text := table + "\n" + strings.Join(v.lines, "\n")
	v.mu.Unlock()
	// Every line is cleared as it is written, for to clear all before would flicker.
	_, err = io.WriteString(v.w, "\x1b[H"+strings.ReplaceAll(text, "\n", "\x1b[K\r\n")+"\x1b[K\x1b[J")
	return err
}

func (v *view) table(ctx context.Context, style Style) (string, error) {
	if style.Height > 0 {
		style.Height = max(style.Height-lastEvents-1, 4)
	}
	if v.name != "" {
		var r room
		if err := v.client.get(ctx, roomPath(v.name), nil, &r); err != nil {
			return "", err
		}
		return firstLines(roomTable(r, style), style.Height), nil
	}
	all, err := v.client.rooms(ctx, url.Values{"sort": {"participants"}, "limit": {"1000"}})
	if err != nil {
		return "", err
	}
	return roomsTable(all, style), nil
}

// firstLines cuts text to a number of lines, 0 for any.
func firstLines(text string, limit int) string {
	lines := strings.SplitAfter(text, "\n")
	if limit == 0 || len(lines) <= limit {
		return text
	}
	return strings.Join(lines[:limit-1], "") + fmt.Sprintf("… %d more\n", len(lines)-limit)
}

// lineFor says an event in words, or nothing where there is nothing to say.
func lineFor(e sse.Event) string {
	var v event
	if json.Unmarshal([]byte(e.Data), &v) != nil {
		return ""
	}
	room := readable(v.RoomName)
	who := "somebody"
	if v.Occupant != nil {
		who = Clean(v.Occupant.Name)
		if who == "" {
			who = Clean(v.Occupant.ID)
		}
		if v.Occupant.Kind != "user" {
			who += " (" + Clean(v.Occupant.Kind) + ")"
		}
	}
	at := v.Time.Local().Format(time.TimeOnly) + "  "
	switch e.Type {
	case "participant.joined":
		return fmt.Sprintf("%s%s joined %s, where %d are now", at, who, room, v.Participants)
	case "participant.left":
		return fmt.Sprintf("%s%s left %s, where %d are now", at, who, room, v.Participants)
	case "room.started":
		return at + room + " started"
	case "room.ended":
		return at + room + " ended"
	case "reset":
		return at + "what happened in between isn't known (" + Clean(v.Reason) + ")"
	case "status":
		return at + Clean(v.Domain) + ": " + Clean(v.Status)
	}
	return ""
}
