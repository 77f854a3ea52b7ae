package occupancy

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// browserEncode encodes part of a path as a browser does before the client sees it:
// the path percent-encode set of WHATWG URL §1.3, plus |, which Chromium also encodes.
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

// deletedChars are the characters that the client deletes from each part of a path before decoding it (_fixPathPart in uri.ts).
const deletedChars = `:?#[]@!$&'()*+,;=></"`

// stripDeleted deletes deletedChars.
func stripDeleted(part string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(deletedChars, r) {
			return -1
		}
		return r
	}, part)
}

// decodeURIComponent is JavaScript's, but returns s where that would fail.
func decodeURIComponent(s string) string {
	d, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(d) {
		return s
	}
	return d
}

// encodeURIComponent is JavaScript's, but with lower-case digits.
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

// toLowerCase is JavaScript's: Unicode's mapping without a language (ECMA-262 §22.1.3.28).
// cases.Lower won't do: in x/text v0.18.0 it loses the text before a Σ
// at each 128th byte, and the text after it beyond 30 dots.
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

// isFinalSigma is the condition Final_Sigma of The Unicode Standard §3.13, for the Case_Ignorable characters that NFKC keeps.
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

// nameprep prepares a label of a host name nearly as Prosody does (RFC 3491 §3 and §4).
// It differs only for characters that are newer than Unicode 3.2, which Prosody rejects.
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
