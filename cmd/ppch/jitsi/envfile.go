package jitsi

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// EnvFile edits a .env file and keeps every byte that it doesn't have to change.
// It locates keys and values by the rules of Docker Compose (compose-go's package dotenv), and leaves
// their meaning to Compose: see Values. Not safe for concurrent use.
type EnvFile struct{ items []envItem }

// envItem is a part of the file: a statement with the rest of its line, or a line without one.
type envItem struct {
	text string
	key  string // empty for a line without a statement

	// from and to are the bounds of the value, quotes included. If the key has no value (it is
	// inherited from the environment), both are where it would be.
	from, to int
	valued   bool
}

const bom = "\uFEFF"

// ParseEnv parses any bytes. It keeps those that Compose refuses.
func ParseEnv(data []byte) *EnvFile {
	f, rest := &EnvFile{}, string(data)
	if strings.HasPrefix(rest, bom) {
		f.items, rest = append(f.items, envItem{text: bom}), rest[len(bom):]
	}
	for rest != "" {
		item := nextItem(rest)
		f.items, rest = append(f.items, item), rest[len(item.text):]
	}
	return f
}

// blank reports whether Compose takes r for space inside a line.
func blank(r rune) bool { return strings.ContainsRune("\t\v\f\r \u0085\u00A0", r) }

var exported = regexp.MustCompile(`^export\s+`)

func nextItem(s string) envItem {
	line := s[:lineEnd(s, 0)]
	statement := strings.TrimLeftFunc(line, unicode.IsSpace)
	if statement == "" || statement[0] == '#' {
		return envItem{text: line}
	}
	at := len(line) - len(statement)
	if exported.MatchString(statement) {
		at += len("export")
		at += len(s[at:]) - len(strings.TrimLeftFunc(s[at:], blank))
	}
	end, valued := keyEnd(s[at:])
	if end < 0 {
		return envItem{text: line}
	}
	item := envItem{key: strings.TrimRightFunc(s[at:at+end], unicode.IsSpace), valued: valued}
	if !valued {
		item.text, item.from, item.to = line, at+len(item.key), at+len(item.key)
		return item
	}
	item.from = len(s) - len(strings.TrimLeftFunc(s[at+end+1:], blank))
	item.text, item.to = value(s, item.from)
	if item.to < 0 {
		// An unterminated quote, which Compose refuses.
		return envItem{text: s}
	}
	return item
}

// keyEnd returns where the key at the start of s ends, -1 if there is none, and whether a value follows.
func keyEnd(s string) (end int, valued bool) {
	for i, r := range s {
		switch {
		case r == '=' || r == ':':
			return i, true
		case r == '\n':
			return i, false
		case !blank(r) && !strings.ContainsRune("_.-[]", r) && !unicode.IsLetter(r) && !unicode.IsNumber(r):
			return -1, false
		}
	}
	return -1, false
}

// value returns where the value that begins at from ends, and s up to the end of that line.
func value(s string, from int) (text string, to int) {
	if from == len(s) || s[from] != '"' && s[from] != '\'' {
		text = s[:lineEnd(s, from)]
		plain, _, _ := strings.Cut(strings.TrimSuffix(text[from:], "\n"), " #")
		return text, from + len(strings.TrimRightFunc(plain, unicode.IsSpace))
	}
	for i := from + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[from]:
			end := lineEnd(s, i+1)
			if rest := strings.TrimLeftFunc(s[i+1:end], unicode.IsSpace); rest != "" && rest[0] != '#' {
				end = i + 1 // the next statement is on the same line
			}
			return s[:end], i + 1
		}
	}
	return s, -1
}

// lineEnd returns where the line at from ends, its line feed included.
func lineEnd(s string, from int) int {
	if i := strings.IndexByte(s[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	return len(s)
}

// Bytes returns the content.
func (f *EnvFile) Bytes() []byte {
	var b strings.Builder
	for _, item := range f.items {
		b.WriteString(item.text)
	}
	return []byte(b.String())
}

// composeError matches Compose's error without the text that it quotes, which may be a secret.
var composeError = regexp.MustCompile(`line \d+: [a-z ]+[a-z]`)

// Values returns the variables that Compose reads from the file. lookup returns variables of the environment, which values may use.
// An error names the line.
func (f *EnvFile) Values(lookup func(string) (string, bool)) (map[string]string, error) {
	values, err := dotenv.ParseWithLookup(bytes.NewReader(f.Bytes()), lookup)
	if err != nil {
		return nil, withoutQuotedText(err)
	}
	return values, nil
}

// withoutQuotedText returns Compose's error without the text that it quotes from the file.
func withoutQuotedText(err error) error {
	if what := composeError.FindString(err.Error()); what != "" {
		return errors.New(what)
	}
	return errors.New("not a valid .env file")
}

// lastIndex returns the index of the last statement with this key, which is the one that counts, or -1.
func (f *EnvFile) lastIndex(key string) int {
	for i, item := range slices.Backward(f.items) {
		if item.key == key {
			return i
		}
	}
	return -1
}

// Set sets the value of key: in place if key exists, else at the end of the file.
func (f *EnvFile) Set(key, value string) {
	raw := value
	// Quotes are kept, because another statement may follow on the same line.
	if i := f.lastIndex(key); !needsNoQuotes.MatchString(value) || i >= 0 && strings.ContainsAny(f.items[i].text[f.items[i].from:f.items[i].to], `"'`) {
		raw = `"` + escapes.Replace(value) + `"`
	}
	f.set(key, raw)
}

// AddToList adds an item to a comma-separated value. It keeps the value's text, which may use other variables.
func (f *EnvFile) AddToList(key, item string) {
	i := f.lastIndex(key)
	if i < 0 {
		f.set(key, item)
		return
	}
	raw, closing := f.items[i].text[f.items[i].from:f.items[i].to], ""
	if raw != "" && (raw[0] == '"' || raw[0] == '\'') {
		raw, closing = raw[:len(raw)-1], raw[:1]
	}
	if raw != closing && !strings.HasSuffix(raw, ",") {
		raw += ","
	}
	f.set(key, raw+item+closing)
}

// RemoveFromList removes an item from a comma-separated value and keeps the rest.
func (f *EnvFile) RemoveFromList(key, item string) {
	i := f.lastIndex(key)
	if i < 0 {
		return
	}
	raw, opening, closing := f.items[i].text[f.items[i].from:f.items[i].to], "", ""
	if len(raw) > 1 && (raw[0] == '"' || raw[0] == '\'') {
		raw, opening, closing = raw[1:len(raw)-1], raw[:1], raw[:1]
	}
	items := strings.Split(raw, ",")
	f.set(key, opening+strings.Join(slices.DeleteFunc(items, func(s string) bool { return s == item }), ",")+closing)
}

// set is Set with the value as written in the file.
func (f *EnvFile) set(key, raw string) {
	i := f.lastIndex(key)
	if i < 0 {
		f.appendLine(key + "=" + raw)
		return
	}
	item := f.items[i]
	if !item.valued {
		raw = "=" + raw
	}
	f.items[i] = nextItem(item.text[:item.from] + raw + item.text[item.to:])
}

// appendLine adds a line with the file's line ending.
func (f *EnvFile) appendLine(line string) {
	eol := "\n"
	if i := slices.IndexFunc(f.items, func(item envItem) bool { return strings.HasSuffix(item.text, "\n") }); i >= 0 && strings.HasSuffix(f.items[i].text, "\r\n") {
		eol = "\r\n"
	}
	if n := len(f.items); n > 0 && f.items[n-1].text != bom && !strings.HasSuffix(f.items[n-1].text, "\n") {
		f.items = append(f.items, envItem{text: eol})
	}
	f.items = append(f.items, nextItem(line+eol))
}

// remove removes an item.
func (f *EnvFile) remove(i int) { f.items = slices.Delete(f.items, i, i+1) }

var needsNoQuotes = regexp.MustCompile(`^[A-Za-z0-9_./:@%,+-]*$`)

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`, "\r", `\r`)
