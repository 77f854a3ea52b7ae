package api

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// getHealth handles "GET /health".
// It shows people how to fix problems; probes that restart things should use /livez and /readyz.
func (s *Server) getHealth(w *response, _ *http.Request) error {
	domains := s.cfg.Directory.Domains()
	doc := view.NewHealth(domains)
	doc.Version, doc.Commit, doc.Built = s.cfg.Version, view.OrNull(s.cfg.Commit), view.Stamp(s.cfg.Built)
	diagnostics := s.cfg.Prosody.Diagnostics()
	doc.LastAnswer = view.Stamp(diagnostics.LastAnswer)
	doc.Store = view.NewStoreHealth(s.cfg.Meetings)
	doc.AddWebhooks(diagnostics.NATS)
	p := cmp.Or(view.HealthLead(domains).CountProblem(), doc.AddSettings(diagnostics.NATS))
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
//
// Of several main shards one is enough: the other rooms are a 503, on every instance. But until each has been tried and loaded,
// another instance may know more than this one.
func (s *Server) getReady(w *response, r *http.Request) error {
	q, err := parseQuery(r, "verbose")
	if err != nil {
		return err
	}
	domains := s.cfg.Directory.Domains()
	leads := view.ShardLeads(domains)
	var checks []check
	var problem *occupancy.UnavailableError
	ready, starting := false, false
	for _, lead := range leads {
		stream := check{name: "stream", passed: lead.Connected}
		if len(leads) > 1 {
			stream.name += " of " + lead.Shard
		}
		if !lead.Connected && lead.Problem != nil {
			stream.detail = lead.Problem.Remedy
		}
		checks = append(checks, stream)
		switch {
		case lead.Kind != leads[0].Kind: // visitor nodes don't matter next to main shards
		case lead.Problem == nil:
			ready = true
		default:
			starting = starting || lead.Problem.Reason == occupancy.ReasonConnecting || lead.Problem.Reason == occupancy.ReasonSyncing
			if problem == nil {
				problem = lead.Problem
			}
		}
	}
	settings := check{name: "settings", passed: true}
	if nats := s.cfg.Prosody.Diagnostics().NATS; nats != nil && nats.Bucket != nil {
		if p := nats.Bucket.Unknown; p != nil { // another instance may know the keys
			settings.passed, settings.detail = false, p.Remedy
			problem = cmp.Or(problem, p)
		}
		checks = append(checks, settings)
	}
	for _, domain := range domains {
		c := check{name: domain.JID.String(), passed: domain.Problem == nil, detail: string(domain.Mode)}
		if len(leads) > 1 {
			c.name += " of " + domain.Shard
		}
		if !c.passed {
			c.detail = domain.Problem.Remedy
		}
		checks = append(checks, c)
	}
	passed := ready && !starting && settings.passed
	if !passed && problem.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(problem.RetryAfter)))
	}
	return writeProbe(w, q, "readyz", passed, checks)
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
	if found, ok := s.cfg.Directory.CheckVisitors(); ok {
		doc.UnwatchedVisitors = &view.UnwatchedVisitors{Rooms: found.Rooms, Reported: found.Reported, Watched: found.Watched}
	}
	if err == nil {
		doc.Services = view.NewServices(services)
	}
	return writeJSON(w, http.StatusOK, doc)
}
