package api

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"sync"
)

// dashboardFS are the files of the dashboard, each of which is served under its name.
//
//go:embed dashboard
var dashboardFS embed.FS

// dashboardPolicy lets the dashboard load and ask what is this service's, and run no script that is not a file of its own:
// what people write, which the page shows, never becomes markup.
const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// loadDashboard returns the files by their names. They are the same for every Server and therefore prepared once.
var loadDashboard = sync.OnceValues(func() (map[string]asset, error) {
	files, err := fs.Glob(dashboardFS, "dashboard/*")
	if err != nil {
		return nil, fmt.Errorf("api: dashboard: %w", err)
	}
	assets := make(map[string]asset, len(files))
	for _, file := range files {
		data, err := dashboardFS.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("api: dashboard: %w", err)
		}
		name := file[len("dashboard/"):]
		assets[name] = newAsset(name, data)
		if assets[name].mediaType == "" {
			return nil, fmt.Errorf("api: dashboard: %s is of no type that is known", name)
		}
	}
	return assets, nil
})

// redirectToDashboard handles "GET /dashboard".
// The page loads its files from one folder below. The way there is relative, because a proxy may serve us below a path of its own;
// [http.Redirect] would make it absolute.
func (s *Server) redirectToDashboard(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Location", "dashboard/")
	w.WriteHeader(http.StatusPermanentRedirect)
	return nil
}

// getDashboard handles "GET /dashboard/".
// It asks for no key, since the page holds nothing but itself: what it shows it reads with the key of who looks at it.
func (s *Server) getDashboard(w http.ResponseWriter, r *http.Request) error {
	return s.writeDashboard(w, r, "index.html")
}

// getDashboardAsset handles "GET /dashboard/{asset}".
func (s *Server) getDashboardAsset(w http.ResponseWriter, r *http.Request) error {
	return s.writeDashboard(w, r, exchangeOf(w).asset)
}

func (s *Server) writeDashboard(w http.ResponseWriter, r *http.Request, name string) error {
	file, ok := s.dashboard[name]
	if !ok {
		return notFound(w, r)
	}
	w.Header().Set("Content-Security-Policy", dashboardPolicy)
	return file.write(w, r)
}
