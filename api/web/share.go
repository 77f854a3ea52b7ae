package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
)

// shareFS are the files of the page of share links. The service serves each by its name, like the dashboard's catalogues and language.js.
//
//go:embed share
var shareFS embed.FS

// sharePolicy is dashboardPolicy for pages that some origins may frame.
const sharePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors %s; require-trusted-types-for 'script'; trusted-types 'none'"

// LoadShare returns the files of the page of share links by name; share.html is the page.
// Pages of the given origins may show it in a frame.
func LoadShare(origins ...string) (map[string]Asset, error) {
	policy := fmt.Sprintf(sharePolicy, "'none'")
	if len(origins) > 0 {
		policy = fmt.Sprintf(sharePolicy, "'self' "+strings.Join(origins, " "))
	}
	files, err := loadShare()
	if err != nil {
		return nil, err
	}
	assets := make(map[string]Asset, len(files))
	for name, a := range files {
		a.policy = policy
		assets[name] = a
	}
	return assets, nil
}

// loadShare returns the files without a policy. It prepares them once.
var loadShare = sync.OnceValues(func() (map[string]Asset, error) {
	assets := make(map[string]Asset)
	add := func(files embed.FS, pattern string) error {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			return err
		}
		for _, file := range names {
			data, err := files.ReadFile(file)
			if err != nil {
				return err
			}
			if assets[path.Base(file)], err = newText(path.Base(file), data); err != nil {
				return err
			}
		}
		return nil
	}
	for _, err := range []error{add(shareFS, "share/*"), add(dashboardFS, "lang/*"), add(dashboardFS, "dashboard/language.js")} {
		if err != nil {
			return nil, fmt.Errorf("web: share: %w", err)
		}
	}
	return assets, nil
})

// Languages are those of the share page and the badge, the default first.
var Languages = []string{"en", "de", "fr", "es"}

// texts returns the texts of each language by key: a string, or an object of plural forms.
var texts = sync.OnceValue(func() map[string]map[string]any {
	all := make(map[string]map[string]any)
	for _, language := range Languages {
		data, err := dashboardFS.ReadFile("lang/" + language + ".json")
		if err != nil {
			panic(err) // it is embedded
		}
		var catalogue map[string]any
		if err := json.Unmarshal(data, &catalogue); err != nil {
			panic(fmt.Errorf("web: %s: %w", language, err)) // a test reads each
		}
		all[language] = catalogue
	}
	return all
})

// Text returns a text of the catalogues in one of the Languages, with n for {n}, whose form depends on n.
func Text(language, key string, n int) string {
	text := texts()[language][key]
	if forms, ok := text.(map[string]any); ok {
		text = forms["other"]
		if n == 1 || n == 0 && language == "fr" {
			text = forms["one"]
		}
	}
	s, _ := text.(string)
	return strings.ReplaceAll(s, "{n}", strconv.Itoa(n))
}
