package terminal

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Style is the look of tables.
type Style struct {
	// Color allows colors, unless NO_COLOR is set.
	Color bool

	// Width limits the length of a line; 0 is unlimited.
	Width int

	// Height limits the number of lines; 0 is unlimited.
	Height int
}

// newTable returns a table that cuts rows to the width of the terminal.
func (s Style) newTable(header ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatUpper
	t.Style().Box.PaddingLeft = ""
	t.Style().Box.PaddingRight = "  "
	t.Style().Box.UnfinishedRow = "…"
	t.Style().Size.WidthMax = s.Width
	if s.Color {
		t.Style().Color.Header = text.Colors{text.Bold}
	}
	t.AppendHeader(header)
	return t
}

// totals count all rooms, even if a table shows only some.
type totals struct {
	// known is false if the key is limited to some rooms.
	known         bool
	rooms, people int
	asOf          time.Time
}

func (t *totals) add(rooms []room) {
	t.rooms += len(rooms)
	for _, r := range rooms {
		t.people += r.Participants
	}
}

// rows returns how many rooms fit, next to the header and the totals; 0 is unlimited.
func (s Style) rows() int {
	if s.Height == 0 {
		return 0
	}
	return max(s.Height-2, 1)
}

// roomsTable shows rooms, with the totals below.
func roomsTable(rooms []room, all totals, style Style) string {
	if len(rooms) == 0 {
		return "No rooms are open.\n"
	}
	t := style.newTable("room", "people", "other", "age", "lobby/breakout")
	for _, r := range rooms {
		age := "?"
		if r.CreatedAt != nil {
			age = span(new(int64(r.AsOf.Sub(*r.CreatedAt) / time.Second)))
		}
		t.AppendRow(table.Row{readable(r.Name), r.number(), r.other(), age, r.related()})
	}
	last := fmt.Sprintf("%d %s, %d %s", all.rooms, plural(all.rooms, "room", "rooms"), all.people, plural(all.people, "person", "people"))
	switch {
	case !all.known:
		last = "… and more, which this key can't count"
	case len(rooms) < all.rooms:
		last = fmt.Sprintf("… %d more; ", all.rooms-len(rooms)) + last
	}
	return trimmed(t.Render()) + last + ", as of " + all.asOf.Local().Format(time.TimeOnly) + "\n"
}

// roomTable shows one room.
func roomTable(r room, style Style) string {
	var b strings.Builder
	if !r.Exists {
		fmt.Fprintf(&b, "There is no room %s now.\n", readable(r.Name))
	}
	if r.NameNote != "" {
		b.WriteString(Clean(r.NameNote) + "\n")
	}
	if !r.Exists {
		return b.String()
	}
	fmt.Fprintf(&b, "%s: %s %s", readable(r.Name), r.number(), plural(r.Participants, "person", "people"))
	for _, part := range []string{r.other(), r.related(), r.unsure()} {
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
		t.AppendRow(table.Row{Clean(cmp.Or(o.Name, o.ID)), Clean(o.Kind), Clean(o.Role), span(o.Duration), Clean(o.ID)})
	}
	return b.String() + trimmed(t.Render())
}

// trimmed returns the lines of a table without trailing blanks.
func trimmed(rendered string) string {
	var b strings.Builder
	for line := range strings.Lines(rendered) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// number returns the number of people; ≤ marks a count that may include others.
func (r room) number() string {
	if !r.Exact {
		return fmt.Sprintf("≤%d", r.Participants)
	}
	return fmt.Sprint(r.Participants)
}

// other returns the occupants that are not counted.
func (r room) other() string {
	var parts []string
	for _, kind := range []string{"recorder", "transcriber", "hidden", "visitor"} {
		if n := r.Counts[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return strings.Join(parts, ", ")
}

// related returns participants of the meeting outside the room.
func (r room) related() string {
	var parts []string
	if r.Lobby != nil && r.Lobby.Participants != nil && *r.Lobby.Participants > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", *r.Lobby.Participants))
	}
	inBreakouts := 0
	for _, b := range r.Breakouts {
		if b.Participants != nil {
			inBreakouts += *b.Participants
		}
	}
	if inBreakouts > 0 {
		parts = append(parts, fmt.Sprintf("%d in breakout rooms", inBreakouts))
	}
	// Focus counts all visitors of the meeting, including those in this room.
	if elsewhere := r.visitors() - r.Counts["visitor"]; elsewhere > 0 {
		parts = append(parts, fmt.Sprintf("%d %s elsewhere", elsewhere, plural(elsewhere, "visitor", "visitors")))
	}
	return strings.Join(parts, ", ")
}

func (r room) visitors() int {
	if r.Visitors == nil {
		return 0
	}
	return *r.Visitors
}

// unsure notes unknown visitors in an otherwise exact room.
func (r room) unsure() string {
	if r.Visitors == nil && r.Exact && r.Type == "main" {
		return "visitors elsewhere unknown"
	}
	return ""
}
