package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Asset is a file that changes only with the program. It is safe for concurrent use.
type Asset struct {
	policy    string // Content-Security-Policy; "" for none
	mediaType string
	etag      string
	data      []byte
	gzipped   bool // whether data is
}

// mediaTypes are those of the assets by extension.
// Package mime does not help here: it reads the mime.types file of the system it runs on.
var mediaTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".png":  "image/png",
	".svg":  "image/svg+xml",
}

// NewAsset returns the asset with that name, whose data is gzipped if the name ends in ".gz".
func NewAsset(name string, data []byte) Asset {
	name, gzipped := strings.CutSuffix(name, ".gz")
	return Asset{
		mediaType: mediaTypes[path.Ext(name)],
		etag:      entityTag(data),
		data:      data,
		gzipped:   gzipped,
	}
}

// newText returns the asset of a text file, which it compresses.
func newText(name string, data []byte) (Asset, error) {
	var small bytes.Buffer
	z, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(data)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return Asset{}, fmt.Errorf("web: gzip %s: %w", name, err)
	}
	a := NewAsset(name+".gz", small.Bytes())
	if a.mediaType == "" {
		return Asset{}, fmt.Errorf("web: %s has an unknown type", name)
	}
	return a, nil
}

// entityTag returns the entity tag of data.
// It is weak, since a file has the same with and without gzip: RFC 9110 §8.8.1.
func entityTag(data []byte) string {
	sum := sha256.Sum256(data)
	return fmt.Sprintf(`W/"%x"`, sum[:8])
}

// Write answers with the file, or with 304 if the client has it already.
// Clients may keep it but must ask each time, so that a page never mixes files of two versions.
func (a Asset) Write(w http.ResponseWriter, r *http.Request) error {
	return a.WriteStatus(w, r, http.StatusOK)
}

// WriteStatus is Write with another status, of which no client keeps the file.
func (a Asset) WriteStatus(w http.ResponseWriter, r *http.Request, status int) error {
	h := w.Header()
	if a.policy != "" {
		h.Set("Content-Security-Policy", a.policy)
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	if a.gzipped {
		h.Add("Vary", "Accept-Encoding")
	}
	if status == http.StatusOK && MatchesETag(r.Header.Get("If-None-Match"), a.etag) {
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
	w.WriteHeader(status)
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("web: write: %w", err)
	}
	return nil
}

// gunzip returns data without its gzip.
func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("web: gunzip: %w", err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("web: gunzip: %w", err)
	}
	return plain, nil
}

// MatchesETag reports whether the If-None-Match header names the entity tag; it compares weakly, RFC 9110 §13.1.2.
func MatchesETag(header, etag string) bool {
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
