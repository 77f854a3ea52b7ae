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

// check is one line of a probe's answer for people.
type check struct {
	name   string
	passed bool
	detail string
}

// getLive handles "GET /livez": 200 while this service can answer at all.
// It depends on nothing else, because restarting us never mends Prosody.
func (s *Server) getLive(w *response, r *http.Request) error {
	return writeProbe(w, r, "livez", true, []check{{name: "ping", passed: true}})
}

// getReady handles "GET /readyz": 200 while questions about the main MUC domain are being answered, whatever the mode.
func (s *Server) getReady(w *response, r *http.Request) error {
	domains := s.directory.Domains()
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
	return writeProbe(w, r, "readyz", main.Problem == nil, checks)
}

// writeProbe answers a probe as Kubernetes' own endpoints do: machines look at the status alone,
// people read a line of text for each check, with ?verbose or when the probe fails.
// It is no problem document because nothing is wrong with the request; programs that want JSON have /health.
func writeProbe(w *response, r *http.Request, probe string, passed bool, checks []check) error {
	status, verdict := http.StatusOK, "passed"
	if !passed {
		status, verdict = http.StatusServiceUnavailable, "failed"
	}
	text := "ok\n"
	if !passed || r.URL.Query().Has("verbose") {
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

// line returns the check as Kubernetes writes one, with what is to be said about it behind.
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
