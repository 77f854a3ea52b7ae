package web

import (
	"embed"
	"fmt"
	"io/fs"
	"sync"
)

// dashboardFS are the files of the dashboard, each of which is served under its name.
//
//go:embed dashboard
var dashboardFS embed.FS

// dashboardPolicy lets the dashboard load files and data of this service only, and run no script but its own files:
// text that people write never becomes markup.
const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// LoadDashboard returns the files of the dashboard by name; index.html is the page. They are prepared once.
var LoadDashboard = sync.OnceValues(func() (map[string]Asset, error) {
	files, err := fs.Glob(dashboardFS, "dashboard/*")
	if err != nil {
		return nil, fmt.Errorf("web: dashboard: %w", err)
	}
	assets := make(map[string]Asset, len(files))
	for _, file := range files {
		data, err := dashboardFS.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("web: dashboard: %w", err)
		}
		name := file[len("dashboard/"):]
		a := NewAsset(name, data)
		if a.mediaType == "" {
			return nil, fmt.Errorf("web: dashboard: %s has an unknown type", name)
		}
		a.policy = dashboardPolicy
		assets[name] = a
	}
	return assets, nil
})
