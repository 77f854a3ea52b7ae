package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxTemplate is the largest size of a template in bytes, maxValue that of one value in a message in characters.
const (
	maxTemplate = 4096
	maxValue    = 200
)

// placeholder is a field in a template.
var placeholder = regexp.MustCompile(`\{[A-Za-z_]+\}`)

// textFields are the fields of templates. Those of people are for endpoints with names.
var textFields = map[string]func(e *Event, names bool) string{
	"event":     func(e *Event, _ bool) string { return string(e.Type) },
	"time":      func(e *Event, _ bool) string { return e.At.UTC().Format(timestamp) },
	"room_name": func(e *Event, _ bool) string { return e.Room.Name },

	"display_name": func(e *Event, _ bool) string { return e.Room.Display },
	"meeting_url":  func(e *Event, _ bool) string { return e.Room.URL },
	"room_jid":     func(e *Event, _ bool) string { return e.Room.JID },
	"tenant":       func(e *Event, _ bool) string { return e.Room.Tenant },
	"domain":       func(e *Event, _ bool) string { return e.Domain },
	"reason":       func(e *Event, _ bool) string { return e.Reason },

	"meeting_id": func(e *Event, _ bool) string { return e.Room.MeetingID },
	"participant_count": func(e *Event, _ bool) string {
		if e.Participants == nil {
			return "?"
		}
		return strconv.Itoa(*e.Participants)
	},
	"participant": func(e *Event, names bool) string {
		if e.Occupant == nil || !names || e.Occupant.Name == "" {
			return "A participant"
		}
		return e.Occupant.Name
	},
	"kind": func(e *Event, _ bool) string {
		if e.Occupant == nil {
			return ""
		}
		return string(e.Occupant.Kind)
	},
}

// Template is the body of FormatText, with {field} for values of the event.
type Template struct {
	text string
	json bool
}

// ParseTemplate returns the template for a text. A text that is JSON stays JSON, for programs such as Slack, Mattermost and Discord; any other is plain text.
func ParseTemplate(text string) (*Template, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, errors.New(`template: the format text needs one, such as {"text":"{participant} joined {room_name}"}`)
	case len(text) > maxTemplate:
		return nil, fmt.Errorf("template: has %d bytes, %d are allowed", len(text), maxTemplate)
	case strings.ToValidUTF8(text, "") != text:
		return nil, errors.New("template: isn't UTF-8")
	}
	for _, field := range placeholder.FindAllString(text, -1) {
		if textFields[strings.Trim(field, "{}")] == nil {
			return nil, fmt.Errorf("template: the field %s is unknown: use %s", shorten(field), fieldList())
		}
	}
	t := &Template{text: text}
	start := strings.TrimSpace(text)
	t.json = strings.ContainsAny(start[:1], "{[") && json.Valid([]byte(text))
	if !t.json && strings.HasPrefix(start, "{") && !beginsWithField(start) {
		return nil, errors.New(`template: begins like JSON but isn't; a {field} must be within quotes, as in {"text":"{room_name}"}`)
	}
	return t, nil
}

// beginsWithField reports whether a template's text begins with a field, rather than with a JSON object.
func beginsWithField(text string) bool {
	at := placeholder.FindStringIndex(text)
	return at != nil && at[0] == 0
}

// fieldList lists all fields for an error.
func fieldList() string {
	var fields []string
	for name := range textFields {
		fields = append(fields, "{"+name+"}")
	}
	slices.Sort(fields)
	return strings.Join(fields, ", ")
}

// ContentType returns the media type of the messages.
func (t *Template) ContentType() string {
	if t.json {
		return mediaJSON
	}
	return "text/plain; charset=utf-8"
}

// render returns the message for an event.
func (t *Template) render(e *Event, names bool) []byte {
	return []byte(placeholder.ReplaceAllStringFunc(t.text, func(field string) string {
		value := defuse(textFields[strings.Trim(field, "{}")](e, names))
		if !t.json {
			return value
		}
		quoted := encode(value)
		return string(quoted[1 : len(quoted)-1])
	}))
}

// breaks are sequences that chat programs read as a mention, a link or markup, and what shows the same without that meaning.
// Names are chosen by guests, so none of them may call a channel or disguise a link.
var breaks = strings.NewReplacer(
	"@", "@\u200b", // Discord, Mattermost, Matrix: @everyone
	"<", "‹", ">", "›", // Slack: <!channel>, <https://…|text>
	"](", "]\u200b(", // Markdown: [text](https://…)
	"://", ":\u200b//",
	"`", "'",
)

// defuse returns a value for a line of text that people read.
func defuse(value string) string {
	value = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, strings.ToValidUTF8(value, ""))
	if r := []rune(value); len(r) > maxValue {
		value = string(r[:maxValue]) + "…"
	}
	return breaks.Replace(value)
}
