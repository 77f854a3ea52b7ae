package occupancy

import "unicode"

// blank reports whether nothing of a display name can be seen. Jitsi's clients show such a name as none.
func blank(name string) bool {
	for _, r := range name {
		if !unseen(r) {
			return false
		}
	}
	return true
}

// invisible are the characters that Unicode has programs draw as nothing (UAX #44, Default_Ignorable_Code_Point),
// among them letters such as the Hangul filler.
var invisible = []*unicode.RangeTable{unicode.Cc, unicode.Cf, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector}

func unseen(r rune) bool {
	const brailleBlank = '\u2800'
	if r < 0x7f {
		return r <= ' '
	}
	return r == brailleBlank || unicode.In(r, invisible...) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}
