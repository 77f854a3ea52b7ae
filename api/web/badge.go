package web

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode"
)

// The badge, in pixels. Its font is Verdana, or one that is about as wide.
const (
	badgePadding = 7
	badgeLabel   = 48 // characters of the label at most

	badgeGrey  = "#4b535c"
	badgeGreen = "#1a7f43" // people are there; white on it has a contrast of 5.1, and of 7.9 on grey
	badgeIdle  = "#6a727b" // the room is empty, or the number is unknown
)

// Badge returns an image of two words side by side, such as "planning" and "3 people", in another color if people are there.
// Both may be any text.
func Badge(label, value string, occupied bool) []byte {
	label, value = badgeText(label), badgeText(value)
	color := badgeIdle
	if occupied {
		color = badgeGreen
	}
	left, right := badgeWidth(label)+2*badgePadding, badgeWidth(value)+2*badgePadding
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="20" role="img" aria-label="%s · %s">`, left+right, escaped(label), escaped(value))
	fmt.Fprintf(&b, `<title>%s · %s</title>`, escaped(label), escaped(value))
	fmt.Fprintf(&b, `<clipPath id="r"><rect width="%d" height="20" rx="3"/></clipPath><g clip-path="url(#r)">`, left+right)
	fmt.Fprintf(&b, `<rect width="%d" height="20" fill="%s"/><rect x="%d" width="%d" height="20" fill="%s"/></g>`, left, badgeGrey, left, right, color)
	b.WriteString(`<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,Noto Sans,sans-serif" font-size="11">`)
	fmt.Fprintf(&b, `<text x="%d" y="14" textLength="%d">%s</text>`, left/2, left-2*badgePadding, escaped(label))
	fmt.Fprintf(&b, `<text x="%d" y="14" textLength="%d">%s</text></g></svg>`, left+right/2, right-2*badgePadding, escaped(value))
	return []byte(b.String())
}

// badgeText returns s for a badge: shortened, and without what would be invisible or turn the text around.
func badgeText(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.TrimSpace(s))
	if all := []rune(s); len(all) > badgeLabel {
		s = string(all[:badgeLabel-1]) + "…"
	}
	return s
}

// escaped returns s for text and attributes of XML. It replaces what XML can't hold.
func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder never fails
	return b.String()
}

// badgeWidth returns about how wide a text is in 11 px Verdana. The image sets its text to that width.
func badgeWidth(s string) int {
	width := 0.0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case strings.ContainsRune("ijlI.,:;'|!()[]/ ·-", r):
			width += 4.2
		case strings.ContainsRune("mwMW…", r):
			width += 10
		case r >= 0x1100:
			width += 11.5
		case unicode.IsUpper(r):
			width += 7.8
		default:
			width += 6.9
		}
	}
	return max(1, int(width+0.5))
}
