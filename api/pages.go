package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"ppch/api/web"
)

//go:embed openapi.yaml
var openapiYAML []byte

// loadDocument returns openapi.yaml as JSON. It converts it at the first request, because that takes longer than the rest of the service's start.
var loadDocument = sync.OnceValues(func() (web.Asset, error) {
	var parsed any
	if err := yaml.Unmarshal(openapiYAML, &parsed); err != nil {
		return web.Asset{}, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	document, err := json.Marshal(parsed)
	if err != nil {
		return web.Asset{}, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	return web.NewAsset("openapi.json", document), nil
})

// getDocument handles "GET /openapi.json".
func (s *Server) getDocument(w *response, r *http.Request) error {
	document, err := loadDocument()
	if err != nil {
		return err
	}
	return document.Write(w, r)
}

// getDocs handles "GET /docs" and "GET /docs/".
func (s *Server) getDocs(w *response, r *http.Request) error {
	if strings.HasSuffix(r.URL.Path, "/") {
		return s.docs.PageBelow.Write(w, r)
	}
	return s.docs.Page.Write(w, r)
}

// getDocsAsset handles "GET /docs/{asset}".
func (s *Server) getDocsAsset(w *response, r *http.Request) error {
	return writeAsset(w, r, s.docs.Files, w.vars["asset"])
}

// redirectToDashboard handles "GET /dashboard".
// The page loads its files from that folder. The location is relative, because a proxy may serve the API below another path;
// [http.Redirect] would make it absolute.
func (s *Server) redirectToDashboard(w *response, _ *http.Request) error {
	w.Header().Set("Location", "dashboard/")
	w.WriteHeader(http.StatusPermanentRedirect)
	return nil
}

// getDashboard handles "GET /dashboard/".
// It needs no key, because the page contains no data: it loads them with the user's key.
func (s *Server) getDashboard(w *response, r *http.Request) error {
	return writeAsset(w, r, s.dashboard, "index.html")
}

// getDashboardAsset handles "GET /dashboard/{asset}".
func (s *Server) getDashboardAsset(w *response, r *http.Request) error {
	return writeAsset(w, r, s.dashboard, w.vars["asset"])
}

func writeAsset(w *response, r *http.Request, files map[string]web.Asset, name string) error {
	file, ok := files[name]
	if !ok {
		return notFound(w, r)
	}
	return file.Write(w, r)
}
