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

// EnvFile is a .env file of which every byte is kept but those that Set and its like change.
// It finds where keys and values are by the rules of Docker Compose (compose-go's package dotenv),
// which alone says what they mean: see Values. Not safe for concurrent use.
type EnvFile struct{ items []envItem }

// envItem is a stretch of the file: a statement with the rest of its line, or a line without one.
type envItem struct {
	text string
	key  string // empty where this is no statement

	// from and to are where the value is, quotes included. Where the key has none (its value
	// is inherited from the environment then) both are where it would be.
	from, to int
	valued   bool
}

const bom = "\uFEFF"

// ParseEnv reads any bytes, those that Compose refuses included: such are kept as they are.
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

// blank is what Compose takes for space inside a line.
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
		// A quote that never ends, which Compose refuses.
		return envItem{text: s}
	}
	return item
}

// keyEnd returns where the key that s begins with ends, and whether a value follows. It is -1 where there is no key.
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

// value returns s up to the end of the line on which the value ends that begins at from, and where the value ends.
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

// lineEnd returns where the line ends that from is on, its line feed included.
func lineEnd(s string, from int) int {
	if i := strings.IndexByte(s[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	return len(s)
}

// Bytes returns the file.
func (f *EnvFile) Bytes() []byte {
	var b strings.Builder
	for _, item := range f.items {
		b.WriteString(item.text)
	}
	return []byte(b.String())
}

// complaint is what Compose says of a file, but for the text that it quotes, which may be a secret.
var complaint = regexp.MustCompile(`line \d+: [a-z ]+[a-z]`)

// Values returns what Compose reads from the file. lookup gives the variables of the environment, which it may refer to.
// An error names the line.
func (f *EnvFile) Values(lookup func(string) (string, bool)) (map[string]string, error) {
	values, err := dotenv.ParseWithLookup(bytes.NewReader(f.Bytes()), lookup)
	if err != nil {
		return nil, plain(err)
	}
	return values, nil
}

// plain returns what Compose says of a file without what it quotes from there.
func plain(err error) error {
	if what := complaint.FindString(err.Error()); what != "" {
		return errors.New(what)
	}
	return errors.New("this is no file of variables")
}

// last returns where the statement is that counts, of several with the same key, or -1.
func (f *EnvFile) last(key string) int {
	for i, item := range slices.Backward(f.items) {
		if item.key == key {
			return i
		}
	}
	return -1
}

// Set gives key a value: in its place where it has one, at the end of the file otherwise.
func (f *EnvFile) Set(key, value string) {
	raw := value
	// What was in quotes stays so: another statement may follow on the same line.
	if i := f.last(key); !needsNoQuotes.MatchString(value) || i >= 0 && strings.ContainsAny(f.items[i].text[f.items[i].from:f.items[i].to], `"'`) {
		raw = `"` + escapes.Replace(value) + `"`
	}
	f.set(key, raw)
}

// AddToList adds an item to a comma-separated value, whose text may refer to other variables.
func (f *EnvFile) AddToList(key, item string) {
	i := f.last(key)
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

// RemoveFromList removes an item from a comma-separated value, of which nothing else changes.
func (f *EnvFile) RemoveFromList(key, item string) {
	i := f.last(key)
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

// set is Set with the value's text as it is to stand in the file.
func (f *EnvFile) set(key, raw string) {
	i := f.last(key)
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

// appendLine adds a line with the line end that the file has.
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
