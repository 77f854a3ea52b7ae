package admin

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// maxShown is how many characters of a name are shown, and maxWords how many of a sentence of another program.
// A guest can choose a name of a thousand, and a list of these would be too long for a stanza.
const (
	maxShown = 64
	maxWords = 500
)

// show returns a name for a line of text: guests choose names,
// and may put line ends into them, or characters that reverse the rest of the line.
func show(name string) string { return clip(name, maxShown) }

// clip returns what show does, of up to limit characters.
func clip(text string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n == limit {
			b.WriteString("…")
			break
		}
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case r == utf8.RuneError, unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), !unicode.IsGraphic(r):
			continue
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimSpace(b.String())
}

// roomName returns the name of the room at an address. The name finds that room when a person types it,
// so it is not shortened; no address is longer than 1 KiB.
func (h *Handler) roomName(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	room := jid.NewUnsafe(local, domain, "").JID
	name := h.Names.Display(room)
	if name == "all" {
		return "/all" // "watch all" means all rooms
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) && r != '\u200c' && r != '\u200d' {
			return '·' // a room that no Jitsi client made
		}
		return r
	}, name)
}

// tenantOf returns the tenant in the localpart of a room, or "".
func tenantOf(local string) string {
	if rest, ok := strings.CutPrefix(local, "["); ok {
		if tenant, name, ok := strings.Cut(rest, "]"); ok && name != "" {
			return tenant
		}
	}
	return ""
}

// occupantName returns the name of an occupant, or its nick.
func occupantName(o *occupancy.Occupant) string {
	if name := show(o.Name); name != "" {
		return name
	}
	return show(o.ID)
}

// count returns a number with its noun.
func count[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func people(n int) string { return count(n, "person", "people") }

// stamp returns a time by XEP-0082, or an empty string for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// ago returns how long ago a time was, or an empty string for the zero time.
func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return time.Since(t).Round(time.Second).String()
}
