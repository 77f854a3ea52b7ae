package api

import (
	"net/http"
	"time"

	"github.com/gorilla/mux"
)

// HTTP returns the server beneath s, for tests that can't wait as long as its timeouts.
// It may be changed only before Run.
func (s *Server) HTTP() *http.Server { return s.http }

// Impatient makes s drain for no longer than d, and may be called only before Run.
func (s *Server) Impatient(d time.Duration) { s.drainFor = d }

// CloseListener makes s unable to serve.
func (s *Server) CloseListener() error { return s.listener.Close() }

// Router returns the router beneath all wrapping.
func (s *Server) Router() *mux.Router { return s.router }

// Wrap returns next inside of what every request goes through.
func (s *Server) Wrap(next http.Handler) http.Handler { return s.wrap(next) }

// TypeBase begins the type of every problem.
const TypeBase = typeBase
