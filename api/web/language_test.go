package web_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// catalogue returns the texts of a language: each key with its texts by plural category, "" for a text without plurals.
func catalogue(t *testing.T, language string) map[string]map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("lang", language+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]map[string]string)
	for key, value := range raw {
		switch value := value.(type) {
		case string:
			texts[key] = map[string]string{"": value}
		case map[string]any:
			texts[key] = make(map[string]string)
			for category, text := range value {
				texts[key][category] = text.(string)
			}
		}
	}
	return texts
}

var (
	placeholder = regexp.MustCompile(`\{\w+\}`)
	keyInCode   = regexp.MustCompile(`\b(?:t|parts|hasText)\((?:[^()"]*\? )?"([^"]+)"(?: : "([^"]+)")?`)
	keyInPage   = regexp.MustCompile(`data-t(?:-[a-z-]+)?="([^"]+)"`)
	keyPrefix   = regexp.MustCompile("`([a-zA-Z.]+)\\.\\$\\{")
	keyText     = regexp.MustCompile(`"([a-zA-Z]+(?:\.[a-zA-Z]+)+)"`)
)

// French punctuation stays with its word at the end of a line, and no French or Spanish text has a space before an ellipsis.
func TestLanguages_KeepPunctuation(t *testing.T) {
	t.Parallel()
	wrong := map[string]*regexp.Regexp{"fr": regexp.MustCompile(`« | [:;!?»…]`), "es": regexp.MustCompile(`\s…`)}
	for language, wrong := range wrong {
		for key, texts := range catalogue(t, language) {
			for _, text := range texts {
				if wrong.MatchString(text) {
					t.Errorf("%s: %s has the wrong space: %q", language, key, text)
				}
			}
		}
	}
}

// Each language has the texts of English, with the same values in them.
func TestLanguages_HaveTheSameTexts(t *testing.T) {
	t.Parallel()
	values := func(text string) string {
		found := placeholder.FindAllString(text, -1)
		slices.Sort(found)
		return strings.Join(found, " ")
	}
	english := catalogue(t, "en")
	for _, language := range []string{"de", "fr", "es"} {
		own := catalogue(t, language)
		for key := range english {
			if _, ok := own[key]; !ok {
				t.Errorf("%s lacks %s", language, key)
			}
		}
		for key, texts := range own {
			want, ok := english[key]
			if !ok {
				t.Errorf("%s has %s, which English lacks", language, key)
				continue
			}
			if got, want := slices.Sorted(maps.Keys(texts)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
				t.Errorf("%s: %s has the forms %q want %q", language, key, got, want)
			}
			for category, text := range texts {
				if got := values(text); text == "" || got != values(want[category]) {
					t.Errorf("%s: %s is %q, with the values %s want %s", language, key, text, got, values(want[category]))
				}
			}
		}
	}
}

// The pages use all texts, and no others.
func TestLanguages_FitThePages(t *testing.T) {
	t.Parallel()
	english := catalogue(t, "en")
	used := make(map[string]bool)
	var prefixes []string
	files, err := filepath.Glob("dashboard/*")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	shared, err := filepath.Glob("share/*")
	if err != nil || len(shared) == 0 {
		t.Fatal(err, shared)
	}
	files = append(files, shared...)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		page := string(data)
		found := keyInPage.FindAllStringSubmatch(page, -1)
		if filepath.Ext(file) == ".js" {
			found = keyInCode.FindAllStringSubmatch(page, -1)
			for _, m := range keyPrefix.FindAllStringSubmatch(page, -1) {
				prefixes = append(prefixes, m[1]+".")
			}
			for _, m := range keyText.FindAllStringSubmatch(page, -1) {
				used[m[1]] = true // passed on before it is looked up
			}
		}
		for _, m := range found {
			for _, key := range m[1:] {
				if key != "" && english[key] == nil {
					t.Errorf("%s uses %s, which has no text", file, key)
				}
				used[key] = true
			}
		}
	}
	for key := range english {
		built := slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		if !used[key] && !built {
			t.Errorf("no page uses the text %s", key)
		}
	}
}
