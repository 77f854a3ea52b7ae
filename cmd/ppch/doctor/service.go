package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"

	"ppch/api/view"
	"ppch/cmd/ppch/terminal"
)

// maxResponse limits the size of a response.
const maxResponse = 4 << 20

// errNotPPCH is for responses of another program.
var errNotPPCH = errors.New("the server is not PPCH")

const noHarm = "the doctor does not connect to Prosody itself now: that could disconnect a running service"

// service checks whether the service answers. It returns a function that inspects the connection, through the service or
// through the doctor's own, and one that ends it; or nil if inspecting could do harm.
func (e *run) service(ctx context.Context) (inspect func(context.Context) (facts, error), end func()) {
	client := terminal.Near(e.TLS)
	client.Timeout = serviceTimeout
	var health struct {
		Service string `json:"service"`
		Version string `json:"version"`
		Status  any    `json:"status"` // a number in a problem document
		Code    string `json:"code"`

		Store *view.StoreHealth `json:"store"` // nil if PPCH keeps no data
	}
	checkHealth := func() error {
		_, err := e.get(ctx, client, "/health", "", &health)
		if err == nil && health.Code == "host-not-allowed" { // PPCH answers under any name with a key
			_, err = e.get(ctx, client, "/health", e.Key, &health)
			return err
		}
		if err == nil && health.Service != "Prosody Participant Count Hook" {
			err = errNotPPCH
		}
		return err
	}
	err := checkHealth()
	if errors.Is(err, syscall.ECONNREFUSED) && e.Fallback != nil {
		api := e.API
		if e.API = e.Fallback; checkHealth() != nil {
			e.API = api
		} else {
			err = nil
		}
	}
	if err != nil {
		return e.notRunning(err)
	}
	inspect = func(ctx context.Context) (facts, error) {
		var response struct {
			facts
			problem
		}
		status, err := e.get(ctx, client, "/api/diagnostics", e.Key, &response)
		switch {
		case err == nil && status != http.StatusOK:
			response.status = status
			err = response.problem
		case err == nil && len(response.Domains) == 0:
			err = errNotPPCH
		}
		return response.facts, err
	}
	_, err = inspect(ctx)
	answers := fmt.Sprintf("%s answers at %s", strings.TrimSpace("PPCH "+health.Version), e.API)
	if err != nil {
		e.noDiagnostics(fmt.Sprintf("%s, but does not report diagnostics: %v", answers, err), err)
		return nil, nil
	}
	e.report(Service, OK, fmt.Sprintf("%s, health %v; it reports what follows", answers, health.Status))
	e.store(health.Store)
	return inspect, client.CloseIdleConnections
}

// store reports the file with meetings and webhooks, if there is one.
func (e *run) store(s *view.StoreHealth) {
	if s == nil {
		return
	}
	problem, broken := strings.CutPrefix(s.Status, "error: ")
	if !broken {
		e.report(Store, OK, "it can be written; history: "+s.History)
		return
	}
	found, remedy, _ := strings.Cut(problem, ": ")
	e.report(Store, Wrong, found+"; counts go on", remedy)
}

// notRunning reports why no service answers. The doctor connects itself only if the service, which belongs here, certainly does not run.
func (e *run) notRunning(err error) (inspect func(context.Context) (facts, error), end func()) {
	var certificate *tls.CertificateVerificationError
	switch {
	case e.API.Port() == "0":
		e.report(Service, Wrong, "its port is unknown, because PPCH_PORT is 0", "run ppch doctor --url http://127.0.0.1:PORT with the port from its log", noHarm)
	case errors.Is(err, syscall.ECONNREFUSED) && e.Remote:
		e.report(Service, Wrong, fmt.Sprintf("nothing listens at %s", e.API), e.startIt(), "or fix --url")
	case errors.Is(err, syscall.ECONNREFUSED) && e.Address == "": // all shards come over NATS
		e.report(Service, Wrong, fmt.Sprintf("nothing listens at %s", e.API), append([]string{e.startIt()}, e.elsewhere()...)...)
	case errors.Is(err, syscall.ECONNREFUSED):
		e.report(Service, Wrong, fmt.Sprintf("nothing listens at %s; the doctor connects to Prosody itself", e.API),
			append([]string{e.startIt()}, e.elsewhere()...)...)
		return e.probe()
	case errors.As(err, &certificate):
		e.report(Service, Wrong, fmt.Sprintf("the certificate of %s is not trusted: %v", e.API, certificate.Err),
			"use the host name of the certificate: ppch doctor --url https://…; for your own authority, set SSL_CERT_FILE", noHarm)
	case errors.Is(err, errNotPPCH):
		remedy := "fix PPCH_HOST and PPCH_PORT, or free the port"
		if e.Remote {
			remedy = "fix --url: use the part before /health, without the path of a page, such as http://127.0.0.1:8890"
		}
		e.report(Service, Wrong, fmt.Sprintf("the server at %s is not PPCH", e.API), remedy, noHarm)
	default:
		where := "PPCH_HOST and PPCH_PORT"
		if e.Remote {
			where = "--url"
		}
		e.report(Service, Wrong, fmt.Sprintf("no response from %s: %v", e.API, innermost(err)), "fix "+where+", or restart the service if it hangs", noHarm)
	}
	return nil, nil
}

// elsewhere says where else the service may run.
func (e *run) elsewhere() []string {
	if e.Installation == Packages {
		return nil
	}
	return []string{"if it runs in another container, run the doctor there: docker compose exec ppch /ppch doctor"}
}

// noDiagnostics reports that the service runs, but sends no diagnostics.
func (e *run) noDiagnostics(found string, err error) {
	remedies := []string{"restart the service with this doctor's version, " + e.Version}
	var p problem
	if errors.As(err, &p) {
		remedies = e.remediesFor(p)
	}
	e.report(Service, Wrong, found, remedies...)
}

// connectionLost reports that the service sends no diagnostics any more, and skips the rest.
func (e *run) connectionLost(err error) {
	e.noDiagnostics(fmt.Sprintf("it no longer reports diagnostics: %v", innermost(err)), err)
	e.skipRest(Service)
}

// remediesFor returns how to fix a problem that the service responds with.
func (e *run) remediesFor(r problem) []string {
	switch {
	case r.status == http.StatusNotFound:
		return []string{"it is older than this doctor: restart it with version " + e.Version}
	case e.Key == "":
		return []string{"give the doctor a key with the scope metrics: PPCH_API_KEY=… ppch doctor; PPCH_API_KEYS_FILE contains only hashes"}
	case r.Code == "scope-missing":
		return []string{"the key lacks a scope: give the doctor one with the scope metrics, or add that scope to this one in the service's PPCH_API_KEYS_FILE"}
	case (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden) && e.Remote:
		return []string{"PPCH_API_KEY, as set here, is not one of its keys: give the doctor one with the scope metrics"}
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return []string{"PPCH_API_KEY, as set here, is not one of its keys", e.restartIt()}
	case r.status == http.StatusTooManyRequests:
		return []string{"try again in a minute; if the key set here is not one of the service's, each request with it counts as a wrong key"}
	}
	return []string{"check its log: " + e.pick("docker compose logs ppch", "journalctl -u ppch")}
}

// problem is a response with a status other than 200, if possible a problem document.
type problem struct {
	status int
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (r problem) Error() string { return cmp.Or(r.Detail, http.StatusText(r.status)) }

// get requests a path of the service and decodes the JSON response, of any status, into v.
func (e *run) get(ctx context.Context, client *http.Client, path, key string, v any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.API.JoinPath(path).String(), nil) // #nosec G125 -- the path is a constant
	if err != nil {
		return 0, err
	}
	if key != "" {
		req.Header.Set("X-API-Key", key)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxResponse)).Decode(v); err != nil {
		return resp.StatusCode, fmt.Errorf("%w: %w", errNotPPCH, err)
	}
	return resp.StatusCode, nil
}

// innermost returns the root cause, without the URL.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
