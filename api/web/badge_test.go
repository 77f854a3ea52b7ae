package web_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"ppch/api/web"
)

// badgeContent returns the text of a badge, which must be well-formed and hold nothing but shapes and text.
func badgeContent(t *testing.T, badge []byte) (text []string) {
	t.Helper()
	allowed := map[string]bool{"svg": true, "title": true, "clipPath": true, "rect": true, "g": true, "text": true}
	d := xml.NewDecoder(strings.NewReader(string(badge)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text
		}
		if err != nil {
			t.Fatalf("%v: %s", err, badge)
		}
		switch token := token.(type) {
		case xml.CharData:
			text = append(text, string(token))
		case xml.StartElement:
			if !allowed[token.Name.Local] {
				t.Fatalf("got an element %s in %s", token.Name.Local, badge)
			}
			for _, a := range token.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || a.Name.Local == "style" {
					t.Fatalf("got an attribute %s in %s", a.Name.Local, badge)
				}
			}
		case xml.EndElement:
		default:
			t.Fatalf("got %T in %s", token, badge)
		}
	}
}

func TestBadge_HostileNames(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"planning":                                 "planning",
		`"/><script>alert(1)</script>`:             `"/><script>alert(1)</script>`,
		"</text></svg><svg onload='alert(1)'>":     "</text></svg><svg onload='alert(1)'>",
		"]]><!ENTITY x SYSTEM 'file:///etc'>&x;":   "]]><!ENTITY x SYSTEM 'file:///etc'>&x;",
		"\u202egnp.exe\u2066":                      "gnp.exe",
		"a\x00b\x1b[31m\r\nc\ufffe":                "ab[31mc",
		"a\xff\xfeb":                               "ab",
		" \u200b ":                                 "",
		strings.Repeat("long ", 1000):              strings.Repeat("long ", 9) + "lo…",
		"кафе 会议室 غرفة":                            "кафе 会议室 غرفة",
		strings.Repeat("👩‍👩‍👧‍👦", 2):               "👩👩👧👦👩👩👧👦",
		strings.Repeat("\u0301", 40) + "combining": strings.Repeat("\u0301", 40) + "combini…",
	} {
		badge := web.Badge(label, "3 people", true)
		text := badgeContent(t, badge)
		if !utf8.Valid(badge) || len(text) < 2 || text[0] != want+" · 3 people" {
			t.Errorf("%q: got %q, want %q", label, text, want)
		}
		if len(badge) > 4096 {
			t.Errorf("%q: got %d bytes", label, len(badge))
		}
	}
}

func FuzzBadge(f *testing.F) {
	f.Add("planning", "3 people")
	f.Add("<&\"'>", "\x00")
	f.Fuzz(func(t *testing.T, label, value string) { badgeContent(t, web.Badge(label, value, true)) })
}

func TestText_Plurals(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0 people":    web.Text("en", "people", 0),
		"1 person":    web.Text("en", "people", 1),
		"0 personne":  web.Text("fr", "people", 0),
		"2 personnes": web.Text("fr", "people", 2),
		"1 Raum":      web.Text("de", "rooms", 1),
		"12 salas":    web.Text("es", "rooms", 12),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, language := range web.Languages {
		for _, key := range []string{"people", "rooms", "unknown", "share.ended.title"} {
			if web.Text(language, key, 2) == "" {
				t.Errorf("%s has no text %s", language, key)
			}
		}
	}
}
