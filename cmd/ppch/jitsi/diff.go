package jitsi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// Diff shows the plan's changes in the format of "diff -u". It hides all secrets, old and new.
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
	if f.before == nil {
		from = "/dev/null"
	}
	if f.after == nil {
		to = "/dev/null"
	}
	was := f.before
	if was == nil {
		was = []byte{}
	}
	before, after := string(mask(f.kind, f.before, nil)), string(mask(f.kind, f.after, was))
	context := 3
	if f.kind == kindEnv {
		context = 0 // the lines around are private
	}
	text, err := udiff.ToUnified(from, to, before, udiff.Lines(before, after), context)
	if err != nil {
		return fmt.Sprintf("%s: no diff: %v\n", name, err) // udiff's own edits always fit
	}
	return text
}

// moduleDiff summarises the change of the module, which is too long to show, in one line.
func moduleDiff(f *file, name string) string {
	version := func(data []byte) string {
		if v := versionOf(data); v != [3]int{} {
			return fmt.Sprintf("version %d.%d.%d", v[0], v[1], v[2])
		}
		return "an earlier version"
	}
	switch {
	case f.before == nil:
		return fmt.Sprintf("new file %s: %s, %d lines\n", name, version(f.after), len(lines(f.after)))
	case f.after == nil:
		return fmt.Sprintf("removed file %s\n", name)
	}
	return fmt.Sprintf("updated file %s: %s to %s\n", name, version(f.before), version(f.after))
}

// notSecret are the variables whose values are shown.
var notSecret = append(slices.Clone(mucModules), globalModulesVariable, "PPCH_COMPONENT_DOMAIN", "PROSODY_URL", "MUC_DOMAIN", "PPCH_MEET_URL",
	"PPCH_NETWORK_EXTERNAL", "PPCH_NETWORK_IS_EXTERNAL")

const (
	hidden    = "[hidden]"
	hiddenNew = "[hidden, new]"
)

// luaSecret finds possible secrets in Prosody's configuration.
var luaSecret = regexp.MustCompile(`(?i)((?:secret|passw|token|credential|api_?key)\w*"?\]?\s*=\s*)[^\s{;][^;\n]*`)

// mask hides the values of a file. Values on lines that other lacks are marked as new, unless other is nil.
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
		case item.key == "" && strings.TrimSpace(item.text) == "", item.text == bom, slices.Contains(notSecret, item.key):
			b.WriteString(item.text)
		case item.key == "":
			b.WriteString(hidden + lineFeed(item.text))
		default:
			b.WriteString(item.text[:item.from] + hide(item.text) + lineFeed(item.text))
		}
	}
	return []byte(b.String())
}

// lineFeed returns the line feed that text ends with, if any.
func lineFeed(text string) string {
	if strings.HasSuffix(text, "\n") {
		return "\n"
	}
	return ""
}
