package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"ppch/api/view"
)

// getHealth handles "GET /health".
// It shows people how to fix problems; probes that restart things should use /livez and /readyz.
func (s *Server) getHealth(w *response, _ *http.Request) error {
	domains := s.cfg.Directory.Domains()
	doc := view.NewHealth(domains)
	doc.Version, doc.Commit, doc.Built = s.cfg.Version, view.OrNull(s.cfg.Commit), view.Stamp(s.cfg.Built)
	doc.LastAnswer = view.Stamp(s.cfg.Prosody.Diagnostics().LastAnswer)
	doc.Store = view.NewStoreHealth(s.cfg.Meetings)
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
	return writeJSON(w, http.StatusOK, view.NewInfo(s.cfg.Version))
}

// check is one line of a probe's text for people.
type check struct {
	name   string
	passed bool
	detail string
}

// getLive handles "GET /livez": 200 while this process answers.
// It depends on nothing else, because a restart of this service never fixes Prosody.
func (s *Server) getLive(w *response, r *http.Request) error {
	q, err := parseQuery(r, "verbose")
	if err != nil {
		return err
	}
	return writeProbe(w, q, "livez", true, []check{{name: "ping", passed: true}})
}

// getReady handles "GET /readyz": 200 while rooms of the main MUC domain can be read, in any mode.
func (s *Server) getReady(w *response, r *http.Request) error {
	q, err := parseQuery(r, "verbose")
	if err != nil {
		return err
	}
	domains := s.cfg.Directory.Domains()
	main := domains[0]
	stream := check{name: "stream", passed: main.Connected}
	if !main.Connected {
		stream.detail = main.Problem.Remedy
	}
	checks := []check{stream}
	for _, domain := range domains {
		c := check{name: domain.JID.String(), passed: domain.Problem == nil, detail: string(domain.Mode)}
		if !c.passed {
			c.detail = domain.Problem.Remedy
		}
		checks = append(checks, c)
	}
	if main.Problem != nil && main.Problem.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(main.Problem.RetryAfter)))
	}
	return writeProbe(w, q, "readyz", main.Problem == nil, checks)
}

// writeProbe answers a probe like the endpoints of Kubernetes: programs read only the status,
// people read one line of text per check, with ?verbose or if the probe fails.
// A failed probe is not a problem document, because the request succeeded; /health has the same as JSON.
func writeProbe(w *response, q *query, probe string, passed bool, checks []check) error {
	status, verdict := http.StatusOK, "passed"
	if !passed {
		status, verdict = http.StatusServiceUnavailable, "failed"
	}
	text := "ok\n"
	if !passed || q.values.Has("verbose") {
		var b strings.Builder
		for _, c := range checks {
			b.WriteString(c.line())
		}
		fmt.Fprintf(&b, "%s check %s\n", probe, verdict)
		text = b.String()
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if _, err := w.Write([]byte(text)); err != nil {
		return fmt.Errorf("api: write: %w", err)
	}
	return nil
}

// line returns the check in the format of Kubernetes, followed by its detail.
func (c check) line() string {
	mark, verdict := "+", "ok"
	if !c.passed {
		mark, verdict = "-", "failed"
	}
	if c.detail != "" {
		verdict += ": " + strings.Join(strings.Fields(c.detail), " ")
	}
	return fmt.Sprintf("[%s]%s %s\n", mark, c.name, verdict)
}

// getDiagnostics handles "GET /api/diagnostics".
// It asks Prosody which MUC services there are, unless it has answered a moment ago.
func (s *Server) getDiagnostics(w *response, _ *http.Request) error {
	// Asked first, so that the rest is as recent as possible.
	services, err := s.cfg.Prosody.Services()
	doc := view.NewDiagnostics(s.cfg.Prosody.Diagnostics())
	doc.Version = s.cfg.Version
	if err == nil {
		doc.Services = view.NewServices(services)
	}
	return writeJSON(w, http.StatusOK, doc)
}
