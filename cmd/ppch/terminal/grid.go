package terminal

import (
	"strings"

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

// rest returns the columns that a text leaves for a name on its line; 0 is unlimited.
func (s Style) rest(text string) int {
	if s.Width == 0 {
		return 0
	}
	return max(s.Width-width(text), 8)
}

// rows returns how many rooms fit, next to the header and the totals; 0 is unlimited.
func (s Style) rows() int {
	if s.Height == 0 {
		return 0
	}
	return max(s.Height-2, 1)
}

// newTable returns a table in which only the column of names, counted from 1, gives way on a narrow terminal.
func (s Style) newTable(names int, header ...string) *grid {
	return &grid{style: s, names: names, rows: [][]string{header}}
}

// grid collects the rows of a table before it knows how much room is left for names.
type grid struct {
	style Style
	names int
	rows  [][]string // the first is the header
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

const (
	gap      = 2  // columns between cells
	minNames = 20 // columns for names, even if the line is cut at its end then
)

// String renders the table without empty columns. A line that is too long even with shortened names is cut at its end.
func (g *grid) String() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatUpper
	t.Style().Box.PaddingLeft = ""
	t.Style().Box.PaddingRight = strings.Repeat(" ", gap)
	t.SuppressEmptyColumns()
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "people", Align: text.AlignRight}})
	left := g.left()
	for i, cells := range g.rows {
		row := make(table.Row, len(cells))
		for j, cell := range cells {
			if j == g.names-1 {
				cell = fit(cell, left)
			}
			row[j] = cell
		}
		if i == 0 {
			t.AppendHeader(row)
		} else {
			t.AppendRow(row)
		}
	}
	return g.style.lines(t.Render())
}

// left returns the columns that the other cells leave for names; 0 is unlimited.
func (g *grid) left() int {
	if g.style.Width == 0 {
		return 0
	}
	left := g.style.Width
	for j := range g.rows[0] {
		if j == g.names-1 {
			continue
		}
		widest := 0
		for _, cells := range g.rows[1:] {
			widest = max(widest, width(cells[j]))
		}
		if widest > 0 {
			left -= max(widest, width(g.rows[0][j])) + gap
		}
	}
	return max(left, minNames)
}

// lines returns a rendered table without trailing blanks, each line cut to the width, and the first one bold.
func (s Style) lines(rendered string) string {
	lines := strings.Split(rendered, "\n")
	for i, line := range lines {
		lines[i] = fit(strings.TrimRight(line, " "), s.Width)
	}
	if s.Color {
		lines[0] = text.Bold.Sprint(lines[0])
	}
	return strings.Join(lines, "\n") + "\n"
}
