package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"ppch/component/occupancy"
)

// Clean returns text that somebody wrote as a terminal may show it:
// what would move the cursor, change colours or turn the direction of writing is replaced.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || harms(r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(text, "·"))
}

// harms is whether a terminal may take r for more than a letter. What joins the parts of an emoji doesn't.
func harms(r rune) bool {
	return r != '\u200d' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// LineOfJSON returns JSON in one line, with what a terminal must not get escaped. It means the same.
func LineOfJSON(raw []byte) string {
	var line bytes.Buffer
	if err := json.Compact(&line, bytes.ToValidUTF8(raw, []byte("\ufffd"))); err != nil {
		panic(err) // it was read as JSON
	}
	var b strings.Builder
	for _, r := range line.String() {
		if !harms(r) {
			b.WriteRune(r)
			continue
		}
		// All of them are in strings, for JSON has none elsewhere (RFC 8259, section 7).
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String() + "\n"
}

// readable returns the name of a room as people write it, so that it leads to that room if it is given to a command.
func readable(name string) string {
	name = occupancy.Readable(name)
	if strings.HasPrefix(name, "-") {
		name = "/" + name // else it would be a flag
	}
	return Clean(name)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// span returns a duration in seconds as people say it, in two units at most, or "?" where it isn't known.
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
