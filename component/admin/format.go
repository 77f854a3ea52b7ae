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

// maxShown is how many characters of a name are shown.
// Whoever makes a room may choose a name of a thousand, and a list of these would be too long a stanza.
const maxShown = 64

// show returns a name as it can stand in a line of text: names are chosen by strangers,
// who may put line ends into them, or characters that turn the rest of the line around.
func show(name string) string {
	var b strings.Builder
	n := 0
	for _, r := range name {
		if n == maxShown {
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

// roomName returns the name of a room, given its address, as a person can write it to mean that room.
// Therefore it isn't cut; no address is longer than 1 KiB.
func (h *Handler) roomName(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	room := jid.NewUnsafe(local, domain, "").JID
	name := occupancy.Readable(h.Names.Name(room))
	if name == "all" {
		return "/all" // to watch all is another thing
	}
	if tenant, rest := cutTenant(name); tenant != "" {
		if same, err := h.Names.Room(tenant + "/" + rest); err == nil && same.Equal(room) {
			name = tenant + "/" + rest
		}
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) && r != '\u200c' && r != '\u200d' {
			return '·' // in a room that isn't of Jitsi's clients
		}
		return r
	}, name)
}

// cutTenant takes the localpart of a room apart. The tenant is empty where there is none.
func cutTenant(local string) (tenant, name string) {
	if strings.HasPrefix(local, "[") {
		if tenant, name, ok := strings.Cut(local[1:], "]"); ok && name != "" {
			return tenant, name
		}
	}
	return "", local
}

// occupantName returns the name of an occupant, or else its nick.
func occupantName(o *occupancy.Occupant) string {
	if name := show(o.Name); name != "" {
		return name
	}
	return show(o.ID)
}

// count returns a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func people(n int) string { return count(n, "person", "people") }

// stamp returns a moment as XEP-0082 has it, or nothing for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// ago returns how long ago a moment was, or nothing for the zero time.
func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return time.Since(t).Round(time.Second).String()
}
