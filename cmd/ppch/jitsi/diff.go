package jitsi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// Diff shows what the plan does to which file, as "diff -u" does. Secrets are hidden, those that were there before included.
func (p *Plan) Diff() string {
	var b strings.Builder
	for _, d := range p.mkdirs {
		fmt.Fprintf(&b, "new directory %s\n", p.relative(d.path))
	}
	for _, f := range p.files {
		if f.changed() {
			b.WriteString(p.diff(f))
		}
	}
	return b.String()
}

func (p *Plan) diff(f *file) string {
	name := p.relative(f.path)
	if f.kind == kindModule {
		return moduleDiff(f, name)
	}
	from, to := name, name
	if f.was == nil {
		from = "/dev/null"
	}
	if f.data == nil {
		to = "/dev/null"
	}
	was := f.was
	if was == nil {
		was = []byte{}
	}
	before, after := string(mask(f.kind, f.was, nil)), string(mask(f.kind, f.data, was))
	context := 3
	if f.kind == kindEnv {
		context = 0 // what is around is nobody's business
	}
	text, err := udiff.ToUnified(from, to, before, udiff.Lines(before, after), context)
	if err != nil {
		return fmt.Sprintf("%s can't be shown: %v\n", name, err) // edits of udiff's own making always fit
	}
	return text
}

// moduleDiff is a line: the module is long and nobody's to read here.
func moduleDiff(f *file, name string) string {
	version := func(data []byte) string {
		if v := versionOf(data); v != [3]int{} {
			return fmt.Sprintf("version %d.%d.%d", v[0], v[1], v[2])
		}
		return "an earlier version"
	}
	switch {
	case f.was == nil:
		return fmt.Sprintf("new file %s: %s, %d lines\n", name, version(f.data), len(lines(f.data)))
	case f.data == nil:
		return fmt.Sprintf("removed file %s\n", name)
	}
	return fmt.Sprintf("replaced file %s: %s by %s\n", name, version(f.was), version(f.data))
}

// shown are the variables whose values are no secrets.
var shown = append(slices.Clone(mucModules), globalModules, "PPCH_COMPONENT_DOMAIN", "PROSODY_URL", "MUC_DOMAIN",
	"PPCH_NETWORK_EXTERNAL", "PPCH_NETWORK_IS_EXTERNAL")

const (
	hidden    = "[hidden]"
	hiddenNew = "[hidden, new]"
)

// luaSecret finds what may be a secret in Prosody's configuration.
var luaSecret = regexp.MustCompile(`(?i)((?:secret|passw|token|credential|api_?key)\w*"?\]?\s*=\s*)[^\s{;][^;\n]*`)

// mask hides the values of a file. What the file that it is compared with doesn't have, if any, is marked as new.
func mask(k kind, data, other []byte) []byte {
	known := map[string]bool{}
	for _, line := range lines(other) {
		known[strings.TrimSpace(strings.TrimPrefix(line, bom))] = true
	}
	hide := func(text string) string {
		for line := range strings.Lines(text) {
			if other != nil && !known[strings.TrimSpace(line)] {
				return hiddenNew
			}
		}
		return hidden
	}
	var b strings.Builder
	if k != kindEnv {
		for line := range strings.Lines(string(data)) {
			b.WriteString(luaSecret.ReplaceAllString(line, "${1}"+hide(line)))
		}
		return []byte(b.String())
	}
	for _, item := range ParseEnv(data).items {
		switch {
		case item.key == "" && strings.HasPrefix(strings.TrimSpace(item.text), "#"):
			comment, _, assigns := strings.Cut(item.text, "=")
			if b.WriteString(comment); assigns {
				b.WriteString("=" + hidden + lineFeed(item.text))
			}
		case item.key == "" && strings.TrimSpace(item.text) == "", item.text == bom, slices.Contains(shown, item.key):
			b.WriteString(item.text)
		case item.key == "":
			b.WriteString(hidden + lineFeed(item.text))
		default:
			b.WriteString(item.text[:item.from] + hide(item.text) + lineFeed(item.text))
		}
	}
	return []byte(b.String())
}

// lineFeed returns the end of a line.
func lineFeed(text string) string {
	if strings.HasSuffix(text, "\n") {
		return "\n"
	}
	return ""
}
