package webhook_test

import (
	"encoding/json"
	"strings"
	"testing"

	"ppch/api/webhook"
)

func TestTemplate_Parse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                 "needs one",
		"{nick} joined":                    "{nick} is unknown: use {display_name}, {domain}, {event}",
		`{"text":"{room_name}"`:            "begins like JSON but isn't",
		`{"n": {participant_count}}`:       "begins like JSON but isn't",
		"\xff":                             "isn't UTF-8",
		strings.Repeat("x", 5000):          "has 5000 bytes, 4096 are allowed",
		`{"text":"{room_name}"}`:           "",
		"{participant} is in {room_name}":  "",
		"[{tenant}] {participant} arrived": "",
		"no field at all":                  "",
	} {
		_, err := webhook.ParseTemplate(in)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: got %v want %q", in, err, want)
		}
	}
}

func TestTemplate_MediaType(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"text":"{participant} joined"}`: "application/json",
		"{participant} joined":            "text/plain; charset=utf-8",
		"[{tenant}] {participant} joined": "text/plain; charset=utf-8",
		`"{participant}"`:                 "text/plain; charset=utf-8",
	} {
		template := must(webhook.ParseTemplate(in))(t)
		if got := template.ContentType(); got != want {
			t.Errorf("%s: got %s want %s", in, got, want)
		}
	}
}

// A guest chooses a name that calls everybody, disguises a link or breaks out of its line.
func TestTemplate_DefusesNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"@everyone":               "@\u200beveryone",
		"<!channel>":              "‹!channel›",
		"<https://evil|bank>":     "‹https:\u200b//evil|bank›",
		"[bank](https://evil)":    "[bank]\u200b(https:\u200b//evil)",
		"a\nb\r\nc\u2028d":        "a b  c d",
		"\u202eabc\u0007\x00":     "abc",
		`quote " and \ backslash`: `quote " and \ backslash`,
		"{room_name}":             "{room_name}",
		strings.Repeat("ä", 300):  strings.Repeat("ä", 200) + "…",
	} {
		e := event(webhook.ParticipantJoined)
		e.Occupant.Name = name
		for _, text := range []string{"{participant}", `{"text":"{participant}"}`} {
			template := must(webhook.ParseTemplate(text))(t)
			m, _ := webhook.Render(e, webhook.FormatText, true, template)
			got := string(m.Body)
			if strings.HasPrefix(text, `{"`) {
				var doc struct{ Text string }
				if err := json.Unmarshal(m.Body, &doc); err != nil {
					t.Errorf("%q: %s: %v", name, m.Body, err)
				}
				got = doc.Text
			}
			if got != want {
				t.Errorf("%q in %s: got %q want %q", name, text, got, want)
			}
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("{participant} joined", "Ada")
	f.Add(`{"text":"{participant}"}`, "\"}\n")
	f.Add(`{"a":"\\{participant}","{room_name}":[{"b":"{kind}"}]}`, "\\")
	f.Fuzz(func(t *testing.T, text, name string) {
		template, err := webhook.ParseTemplate(text)
		if err != nil {
			return
		}
		e := event(webhook.ParticipantJoined)
		e.Occupant.Name = name
		m, _ := webhook.Render(e, webhook.FormatText, true, template)
		if m.ContentType == "application/json" && !json.Valid(m.Body) {
			t.Errorf("%q with the name %q: got %q, which isn't JSON", text, name, m.Body)
		}
	})
}
