package occupancy

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// strip deletes what the client deletes from each part of a path before it decodes it: _fixPathPart in uri.ts.
func strip(part string) (string, error) {
	part = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`:?#[]@!$&'()*+,;=></"`, r) {
			return -1
		}
		return r
	}, part)
	if d := decode(part); d == "." || d == ".." {
		// WHATWG URL §4.1, dot-segments.
		return "", refuse("no room is called %s: browsers take that out of an address", d)
	}
	return part, nil
}

// decode is JavaScript's decodeURIComponent where that succeeds, and leaves alone what isn't encoded.
func decode(s string) string {
	d, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(d) {
		return s
	}
	return d
}

// encode is JavaScript's encodeURIComponent, but with lower-case digits.
func encode(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.!~*'()", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// lower is JavaScript's toLowerCase: Unicode's mapping without a language (ECMA-262 §22.1.3.28).
// It isn't cases.Lower, which in x/text v0.18.0 forgets what stands before a Σ
// at each 128th byte, and what comes behind it beyond 30 dots.
func lower(s string) string {
	if !strings.ContainsAny(s, "İΣ") {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && endsWord(s[:i], s[i+len("Σ"):]):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// endsWord is the condition Final_Sigma of The Unicode Standard §3.13, for what NFKC leaves of Case_Ignorable.
func endsWord(before, after string) bool {
	ignored := func(r rune) bool {
		return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune("'.:\u00b7\u055f\u05f4\u2027\u2018\u2019", r)
	}
	cased := func(r rune) bool {
		return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Uppercase, unicode.Other_Lowercase)
	}
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRightFunc(before, ignored))
	first, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(after, ignored))
	return cased(last) && !cased(first)
}
