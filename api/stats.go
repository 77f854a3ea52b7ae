package api

import (
	"net/http"

	"ppch/api/view"
)

// errTotalsNotAllowed keeps totals from keys that are limited to some rooms: totals reveal something about the other rooms.
var errTotalsNotAllowed = &problem{kind: kindRoomNotAllowed, detail: "Totals are not available to an API key that is limited to some rooms."}

// getStats handles "GET /api/stats".
func (s *Server) getStats(w *response, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	if w.grant.Limited() {
		return errTotalsNotAllowed
	}
	surveys, err := s.directory.Stats("")
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, view.NewStats(surveys, s.names))
}
