package occupancy

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// browserEncode is what a browser makes of part of a path before the client sees it:
// the path percent-encode set of WHATWG URL §1.3, and the | that Chromium also encodes.
func browserEncode(part string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(part) {
		if c > ' ' && c < 0x7f && strings.IndexByte("\"#<>?^`{|}", c) < 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}

// deletedChars are the characters that the client deletes from each part of a path before it decodes it: _fixPathPart in uri.ts.
const deletedChars = `:?#[]@!$&'()*+,;=></"`

// stripDeleted deletes what the client deletes.
func stripDeleted(part string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(deletedChars, r) {
			return -1
		}
		return r
	}, part)
}

// decodeURIComponent is JavaScript's decodeURIComponent where that succeeds, and leaves alone what isn't encoded.
func decodeURIComponent(s string) string {
	d, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(d) {
		return s
	}
	return d
}

// encodeURIComponent is JavaScript's encodeURIComponent, but with lower-case digits.
func encodeURIComponent(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.!~*'()", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// toLowerCase is JavaScript's toLowerCase: Unicode's mapping without a language (ECMA-262 §22.1.3.28).
// It isn't cases.Lower, which in x/text v0.18.0 forgets what stands before a Σ
// at each 128th byte, and what comes behind it beyond 30 dots.
func toLowerCase(s string) string {
	if !strings.ContainsAny(s, "İΣ") {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && isFinalSigma(s[:i], s[i+len("Σ"):]):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// isFinalSigma is the condition Final_Sigma of The Unicode Standard §3.13, for what NFKC leaves of Case_Ignorable.
func isFinalSigma(before, after string) bool {
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

// nameprep is about what Prosody makes of a label of a host name (RFC 3491 §3 and §4).
// It differs for characters that Unicode 3.2 didn't have, which Prosody refuses.
func nameprep(s string) string {
	s = strings.Map(func(r rune) rune {
		// RFC 3454 §B.1.
		if r == '\u00ad' || r == '\u034f' || r == '\u1806' || '\u180b' <= r && r <= '\u180d' || '\u200b' <= r && r <= '\u200d' ||
			r == '\u2060' || '\ufe00' <= r && r <= '\ufe0f' || r == '\ufeff' {
			return -1
		}
		return r
	}, s)
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
}

// lowerASCII lower-cases ASCII and nothing else.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
