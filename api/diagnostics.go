package api

import (
	"net/http"

	"ppch/api/view"
)

// getDiagnostics handles "GET /api/diagnostics".
// It asks Prosody which MUC services there are, unless it has answered a moment ago.
func (s *Server) getDiagnostics(w *response, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	// Asked first, so that the rest is as recent as possible.
	services, err := s.prosody.Services()
	doc := view.NewDiagnostics(s.prosody.Diagnostics())
	doc.Version = s.version
	if err == nil {
		doc.Services = view.NewServices(services)
	}
	return writeJSON(w, http.StatusOK, doc)
}
