package terminal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// room is what is shown of a room.
type room struct {
	Name         string         `json:"room_name"`
	Exists       bool           `json:"exists"`
	Participants int            `json:"participant_count"`
	Exact        bool           `json:"exact"`
	Counts       map[string]int `json:"counts"`
	CreatedAt    *time.Time     `json:"created_at"`
	AsOf         time.Time      `json:"as_of"`
	Note         string         `json:"note"`
	Subject      *string        `json:"subject"`
	Visitors     *int           `json:"visitors"`
	Lobby        *related       `json:"lobby"`
	Breakouts    []related      `json:"breakout_rooms"`
	Occupants    []occupant     `json:"occupants"`
	Duration     *int64         `json:"duration_seconds"`
}

type related struct {
	RoomJID      string  `json:"room_jid"`
	Name         *string `json:"name"`
	Participants *int    `json:"participant_count"`
}

type occupant struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Role     string `json:"role"`
	Duration *int64 `json:"duration_seconds"`
}

type list struct {
	Rooms []room    `json:"rooms"`
	Next  *string   `json:"next_cursor"`
	AsOf  time.Time `json:"as_of"`
}

// Rooms writes a table of the rooms that query asks for, all pages of them.
func (c *Client) Rooms(ctx context.Context, w io.Writer, query url.Values, style Style) error {
	all, err := c.rooms(ctx, query)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, roomsTable(all, style))
	return err
}

// rooms reads all pages of a list.
func (c *Client) rooms(ctx context.Context, query url.Values) (list, error) {
	var all list
	for {
		var page list
		if err := c.get(ctx, "/api/rooms", query, &page); err != nil {
			return list{}, err
		}
		all.Rooms, all.AsOf = append(all.Rooms, page.Rooms...), page.AsOf
		if page.Next == nil {
			return all, nil
		}
		query = clone(query)
		query.Set("cursor", *page.Next)
	}
}

func clone(query url.Values) url.Values {
	c := url.Values{}
	for name, values := range query {
		c[name] = slices.Clone(values)
	}
	return c
}

// RoomsJSON writes each room that query asks for as JSON in a line of its own.
func (c *Client) RoomsJSON(ctx context.Context, w io.Writer, query url.Values) error {
	for {
		var page struct {
			Rooms []json.RawMessage `json:"rooms"`
			Next  *string           `json:"next_cursor"`
		}
		if err := c.get(ctx, "/api/rooms", query, &page); err != nil {
			return err
		}
		for _, r := range page.Rooms {
			if _, err := fmt.Fprintf(w, "%s\n", r); err != nil {
				return err
			}
		}
		if page.Next == nil {
			return nil
		}
		query = clone(query)
		query.Set("cursor", *page.Next)
	}
}

// roomPath is the path of a room that is called name.
func roomPath(name string) string { return "/api/rooms/" + url.PathEscape(name) }

// Room writes who is in a room.
func (c *Client) Room(ctx context.Context, w io.Writer, name string, style Style) error {
	var r room
	if err := c.get(ctx, roomPath(name), nil, &r); err != nil {
		return err
	}
	_, err := io.WriteString(w, roomTable(r, style))
	return err
}

// RoomJSON writes what the service answers about a room.
func (c *Client) RoomJSON(ctx context.Context, w io.Writer, name string) error {
	var r json.RawMessage
	if err := c.get(ctx, roomPath(name), nil, &r); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s\n", r)
	return err
}

// Style is how tables look.
type Style struct {
	// Color is whether there may be colours; the terminal, and NO_COLOR, decide.
	Color bool

	// Width is how wide a line may be, 0 for any.
	Width int

	// Height is how many lines there may be, 0 for any.
	Height int
}

// newTable returns a table whose rows are cut to the width of the terminal.
func (s Style) newTable(header ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatUpper
	t.Style().Box.PaddingLeft = ""
	t.Style().Box.PaddingRight = "  "
	t.Style().Size.WidthMax = s.Width
	if s.Color {
		t.Style().Color.Header = text.Colors{text.Bold}
	}
	t.AppendHeader(header)
	return t
}

// roomsTable shows a list.
func roomsTable(l list, style Style) string {
	if len(l.Rooms) == 0 {
		return "No rooms are open.\n"
	}
	t := style.newTable("room", "people", "others", "open for", "beside it")
	shown := l.Rooms
	if room := style.Height - 3; style.Height > 0 && len(shown) > max(room, 1) {
		shown = shown[:max(room, 1)]
	}
	people := 0
	for _, r := range l.Rooms {
		people += r.Participants
	}
	for _, r := range shown {
		open := "?"
		if r.CreatedAt != nil {
			open = span(new(int64(r.AsOf.Sub(*r.CreatedAt) / time.Second)))
		}
		t.AppendRow(table.Row{readable(r.Name), r.number(), r.others(), open, r.beside()})
	}
	last := fmt.Sprintf("%d %s, %d %s, as of %s", len(l.Rooms), plural(len(l.Rooms), "room", "rooms"), people, plural(people, "person", "people"), l.AsOf.Local().Format(time.TimeOnly))
	if len(shown) < len(l.Rooms) {
		last = fmt.Sprintf("… %d more; ", len(l.Rooms)-len(shown)) + last
	}
	return trimmed(t.Render()) + last + "\n"
}

// roomTable shows one room.
func roomTable(r room, style Style) string {
	if !r.Exists {
		return fmt.Sprintf("There is no room %s now.\n", readable(r.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s", readable(r.Name), r.number(), plural(r.Participants, "person", "people"))
	for _, part := range []string{r.others(), r.beside()} {
		if part != "" {
			b.WriteString(", " + part)
		}
	}
	fmt.Fprintf(&b, "; open for %s, as of %s\n", span(r.Duration), r.AsOf.Local().Format(time.TimeOnly))
	if r.Note != "" {
		b.WriteString(Clean(r.Note) + "\n")
	}
	if r.Subject != nil {
		b.WriteString("Subject: " + Clean(*r.Subject) + "\n")
	}
	if len(r.Occupants) == 0 {
		return b.String()
	}
	t := style.newTable("name", "kind", "role", "here for", "nick")
	for _, o := range r.Occupants {
		t.AppendRow(table.Row{Clean(o.Name), o.Kind, Clean(o.Role), span(o.Duration), Clean(o.ID)})
	}
	return b.String() + trimmed(t.Render())
}

// trimmed returns the lines of a table without the blanks at their ends.
func trimmed(rendered string) string {
	var b strings.Builder
	for line := range strings.Lines(rendered) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// number returns how many people there are, marked where others may be among them.
func (r room) number() string {
	if !r.Exact {
		return fmt.Sprintf("≤%d", r.Participants)
	}
	return fmt.Sprint(r.Participants)
}

// others returns who is in the room besides people.
func (r room) others() string {
	var parts []string
	for _, kind := range []string{"recorder", "transcriber", "hidden", "visitor"} {
		if n := r.Counts[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return strings.Join(parts, ", ")
}

// beside returns who belongs to the meeting without being in the room.
func (r room) beside() string {
	var parts []string
	if r.Lobby != nil && r.Lobby.Participants != nil && *r.Lobby.Participants > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", *r.Lobby.Participants))
	}
	apart := 0
	for _, b := range r.Breakouts {
		if b.Participants != nil {
			apart += *b.Participants
		}
	}
	if apart > 0 {
		parts = append(parts, fmt.Sprintf("%d in breakout rooms", apart))
	}
	if r.Visitors != nil && *r.Visitors > 0 {
		parts = append(parts, fmt.Sprintf("%d visitors", *r.Visitors))
	}
	return strings.Join(parts, ", ")
}
