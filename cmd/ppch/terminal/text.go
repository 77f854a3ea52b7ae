package terminal

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Clean returns text that somebody wrote as a terminal may show it:
// what would move the cursor, change colours or turn the direction of writing is replaced.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r) && r != '\u200d', r == unicode.ReplacementChar, r == '\u2028', r == '\u2029':
			return '·'
		}
		return r
	}, strings.ToValidUTF8(text, "·"))
}

// readable returns the name of a room as people write it; where it is encoded, that is for the wire.
func readable(name string) string {
	if plain, err := url.PathUnescape(name); err == nil && utf8.ValidString(plain) {
		name = plain
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
