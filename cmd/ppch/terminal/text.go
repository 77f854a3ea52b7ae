package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/rivo/uniseg"
)

// Clean makes untrusted text safe for a terminal: it replaces what would move the cursor, change colors or change the
// direction of writing.
func Clean(untrusted string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || harms(r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(untrusted, "·"))
}

// harms reports whether a terminal could interpret r as a control character. The joiner within emoji is safe.
func harms(r rune) bool {
	return r != '\u200d' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// LineOfJSON returns equivalent JSON in one line, with control characters escaped.
func LineOfJSON(raw []byte) string {
	var line bytes.Buffer
	if err := json.Compact(&line, bytes.ToValidUTF8(raw, []byte("\ufffd"))); err != nil {
		panic(err) // raw is valid JSON
	}
	var b strings.Builder
	for _, r := range line.String() {
		if !harms(r) {
			b.WriteRune(r)
			continue
		}
		// JSON allows them only in strings (RFC 8259, section 7).
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String() + "\n"
}

// shown returns the display name of a room for the terminal. Given to a command, it finds the same room.
func shown(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "/" + name // otherwise it would be a flag
	}
	return Clean(name)
}

// width returns the columns that a text takes on a terminal, by the measure of the tables.
func width(s string) int { return text.StringWidthWithoutEscSequences(s) }

// fit shortens a text to a number of columns and marks the cut with "…"; 0 is unlimited.
// It never divides a character with its accents, or an emoji of several code points (UAX #29).
func fit(s string, columns int) string {
	if columns <= 0 || width(s) <= columns {
		return s
	}
	end, used, state := 0, 1, -1 // one column for the mark
	for rest := s; rest != ""; {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if used += width(cluster); used > columns {
			break
		}
		end += len(cluster)
	}
	return s[:end] + "…"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// span formats a duration in seconds with at most two units, or "?" if it is unknown.
func span(seconds *int64) string {
	if seconds == nil {
		return "?"
	}
	d := time.Duration(*seconds) * time.Second
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd %dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
