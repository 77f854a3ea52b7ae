package api

import (
	"net/http"
	"strconv"

	"ppch/api/view"
)

// getHealth handles "GET /health".
// It shows people how to fix problems; probes that restart things should use /livez and /readyz.
func (s *Server) getHealth(w *response, _ *http.Request) error {
	domains := s.directory.Domains()
	doc := view.NewHealth(domains)
	doc.Version, doc.Commit, doc.Built = s.version, view.OrNull(s.commit), view.Stamp(s.built)
	doc.LastAnswer = view.Stamp(s.prosody.Diagnostics().LastAnswer)
	p := domains[0].CountProblem()
	if p == nil {
		return writeJSON(w, http.StatusOK, doc)
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(p.RetryAfter)))
	}
	return writeJSON(w, http.StatusServiceUnavailable, doc)
}

// getInfo handles "GET /".
func (s *Server) getInfo(w *response, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, view.NewInfo(s.version))
}
