package web

import (
	"embed"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"
)

// dashboardFS are the files of the dashboard and the catalogues of its texts. The service serves each by its name.
//
//go:embed dashboard lang
var dashboardFS embed.FS

// dashboardPolicy lets the dashboard load files and data of this service only, and run no script but its own files:
// text that people write never becomes markup.
const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// siteName is where the page has the site's name.
const siteName = `<meta name="application-name" content="">`

// LoadDashboard returns the files of the dashboard by name; index.html is the page. The page shows the site's name, which may be empty.
func LoadDashboard(site string) (map[string]Asset, error) {
	files, err := loadDashboard()
	if err != nil {
		return nil, err
	}
	raw, err := dashboardFS.ReadFile("dashboard/index.html")
	if err != nil {
		return nil, fmt.Errorf("web: dashboard: %w", err)
	}
	named := strings.Replace(siteName, `""`, `"`+html.EscapeString(site)+`"`, 1)
	page, err := newText("index.html", []byte(strings.Replace(string(raw), siteName, named, 1)))
	if err != nil {
		return nil, err
	}
	page.policy = dashboardPolicy
	files = maps.Clone(files)
	files["index.html"] = page
	return files, nil
}

// loadDashboard returns the files without a site's name. It prepares them once.
var loadDashboard = sync.OnceValues(func() (map[string]Asset, error) {
	assets := make(map[string]Asset)
	for _, pattern := range []string{"dashboard/*", "lang/*"} {
		files, err := fs.Glob(dashboardFS, pattern)
		if err != nil {
			return nil, fmt.Errorf("web: dashboard: %w", err)
		}
		for _, file := range files {
			data, err := dashboardFS.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("web: dashboard: %w", err)
			}
			name := path.Base(file)
			a, err := newText(name, data)
			if err != nil {
				return nil, err
			}
			a.policy = dashboardPolicy
			assets[name] = a
		}
	}
	return assets, nil
})
