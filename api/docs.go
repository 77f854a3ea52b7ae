package api

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/swaggest/swgui/v5/static"
	"sigs.k8s.io/yaml"
)

var (
	//go:embed openapi.yaml
	openapiYAML []byte

	//go:embed docs.html
	docsHTML string

	//go:embed docs.js
	docsJS []byte
)

// below makes of the page at /docs the one at /docs/, whose links start from one folder below.
// It is no template: with html/template the linker can leave out no exported method of any type, which costs megabytes.
var below = strings.NewReplacer(`="docs/`, `="./`, `="openapi.json"`, `="../openapi.json"`)

// docsPolicy lets the docs page load what this service serves, and nothing else:
// the page must work, and stay silent, where there is no internet.
// Swagger UI sets style attributes and draws its icons from data: URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is a file that changes only with the program.
type asset struct {
	mediaType string
	etag      string
	data      []byte
	gzipped   bool // whether data is
}

// mediaTypes are those of the assets by extension.
// Package mime is no help here: it believes the mime.types file of the system it runs on.
var mediaTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".png":  "image/png",
	".svg":  "image/svg+xml",
}

// newAsset returns the asset of the given name, whose data is gzipped if the name ends in ".gz".
func newAsset(name string, data []byte) asset {
	name, gzipped := strings.CutSuffix(name, ".gz")
	return asset{
		mediaType: mediaTypes[path.Ext(name)],
		etag:      entityTag(data),
		data:      data,
		gzipped:   gzipped,
	}
}

// entityTag returns the entity tag of data.
// It is weak, since a file has the same with and without gzip: RFC 9110 §8.8.1.
func entityTag(data []byte) string {
	sum := sha256.Sum256(data)
	return fmt.Sprintf(`W/"%x"`, sum[:8])
}

// docsFiles are the OpenAPI document and the files of the docs page.
type docsFiles struct {
	document func() (asset, error)
	assets   map[string]asset
}

// loadDocs returns the files, which are the same for every Server and therefore prepared once.
var loadDocs = sync.OnceValues(func() (docsFiles, error) {
	assets := map[string]asset{"docs.js": newAsset("docs.js", docsJS)}
	for _, name := range []string{"swagger-ui.css.gz", "swagger-ui-bundle.js.gz", "favicon-32x32.png"} {
		data, err := static.FS.ReadFile(name)
		if err != nil {
			return docsFiles{}, fmt.Errorf("api: docs page: %w", err)
		}
		assets[strings.TrimSuffix(name, ".gz")] = newAsset(name, data)
	}
	return docsFiles{sync.OnceValues(loadDocument), assets}, nil
})

// loadDocument returns the contract as JSON. To make that takes longer than the whole start of the service otherwise,
// so it is left to whoever asks first.
func loadDocument() (asset, error) {
	document, err := yaml.YAMLToJSON(openapiYAML)
	if err != nil {
		return asset{}, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	return newAsset("openapi.json", document), nil
}

// getDocument handles "GET /openapi.json".
func (s *Server) getDocument(w http.ResponseWriter, r *http.Request) error {
	document, err := s.docs.document()
	if err != nil {
		return err
	}
	return document.write(w, r)
}

// getDocs handles "GET /docs" and "GET /docs/".
// All its links are relative, and so differ between the two, because a proxy may serve us below a path of its own.
func (s *Server) getDocs(w http.ResponseWriter, r *http.Request) error {
	page := docsHTML
	if strings.HasSuffix(r.URL.Path, "/") {
		page = below.Replace(page)
	}
	w.Header().Set("Content-Security-Policy", docsPolicy)
	return newAsset("docs.html", []byte(page)).write(w, r)
}

// getDocsAsset handles "GET /docs/{asset}".
func (s *Server) getDocsAsset(w http.ResponseWriter, r *http.Request) error {
	file, ok := s.docs.assets[exchangeOf(w).asset]
	if !ok {
		return notFound(w, r)
	}
	return file.write(w, r)
}

// write answers with the file, or with 304 if the client has it already.
// Clients may keep it but must ask each time, so that a page never mixes files of two versions.
func (a asset) write(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	if a.gzipped {
		h.Add("Vary", "Accept-Encoding")
	}
	if matches(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	data := a.data
	if a.gzipped && accepts(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
	} else if a.gzipped {
		var err error
		if data, err = gunzip(data); err != nil {
			return err
		}
	}
	h.Set("Content-Type", a.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("api: write: %w", err)
	}
	return nil
}

// gunzip returns data without its gzip.
func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("api: gunzip: %w", err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("api: gunzip: %w", err)
	}
	return plain, nil
}

// matches reports whether the If-None-Match header names the entity tag; it compares weakly, RFC 9110 §13.1.2.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// accepts reports whether the Accept-Encoding header names the coding; one with a weight of 0 is refused thereby.
func accepts(header, coding string) bool {
	for item := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			q, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			value, err := strconv.ParseFloat(q, 64)
			return !found || err != nil || value > 0
		}
	}
	return false
}
