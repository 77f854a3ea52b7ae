package terminal_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"ppch/cmd/ppch/terminal"
)

func TestClean_ReplacesControlCharacters(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"letters of any script":   {"Анна 生命 שלום é", "Анна 生命 שלום é"},
		"an emoji of several":     {"👩\u200d🚀", "👩\u200d🚀"},
		"a colour":                {"\x1b[31mred", "·[31mred"},
		"a title of the window":   {"a\x1b]0;b\x07", "a·]0;b·"},
		"a control of eight bits": {"a\u009b2J", "a·2J"},
		"the same, not in UTF-8":  {"a\x9b2J", "a·2J"},
		"another line":            {"a\r\nb\u2028c\td", "a··b·c·d"},
		"reversed text":           {"a\u202egpj.exe\u2066\u200f", "a·gpj.exe··"},
		"zero-width characters":   {"a\u200bb\ufeff", "a·b·"},
		"a replacement character": {"\ufffd", "·"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := terminal.Clean(tt.in); got != tt.want {
				t.Errorf("got %q want %q", got, tt.want)
			}
		})
	}
}

// A terminal shows any name and interprets nothing in it.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"Ada", "\x1b[2J", "\u202e", "\x9b", "Кафе\n", "\U000e0041", "\u200d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := terminal.Clean(s)
		if !utf8.ValidString(got) {
			t.Errorf("got %q", got)
		}
		if i := strings.IndexFunc(got, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
		}); i >= 0 {
			t.Errorf("got %q of %q", got, s)
		}
		if terminal.Clean(got) != got {
			t.Errorf("got %q, which isn't clean", got)
		}
	})
}
