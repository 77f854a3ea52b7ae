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

	"ppch/cmd/ppch/terminal"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 4 << 20

// errNotPPCH is for answers of something else, of which not a word is believed.
var errNotPPCH = errors.New("what answers there is not PPCH")

const (
	startIt   = "start it: docker compose up -d ppch, and docker compose logs ppch says why it doesn't stay up; Debian: systemctl start ppch, journalctl -u ppch"
	restartIt = "restart it with the key that is set here: docker compose up -d --force-recreate ppch; Debian: systemctl restart ppch"
	noHarm    = "Prosody isn't asked meanwhile: a second connection could throw out a service that runs"
)

// service tells whether the service answers. It returns how to see the chain, by the service's eyes or by our own, and
// how to end that; or nil where nobody can see it without doing harm.
func (e *examination) service(ctx context.Context) (look func(context.Context) (facts, error), end func()) {
	client := terminal.Near(e.TLS)
	client.Timeout = servicePatient
	var health struct {
		Service string `json:"service"`
		Version string `json:"version"`
		Status  any    `json:"status"` // a number in a problem document
		Code    string `json:"code"`
	}
	ask := func() error {
		_, err := e.get(ctx, client, "/health", "", &health)
		if err == nil && health.Code == "host-not-allowed" { // by PPCH, which tells more to a key
			_, err = e.get(ctx, client, "/health", e.Key, &health)
			return err
		}
		if err == nil && health.Service != "Prosody Participant Count Hook" {
			err = errNotPPCH
		}
		return err
	}
	err := ask()
	if errors.Is(err, syscall.ECONNREFUSED) && e.Also != nil {
		here := e.API
		if e.API = e.Also; ask() != nil {
			e.API = here
		} else {
			err = nil
		}
	}
	if err != nil {
		return e.absent(err)
	}
	look = func(ctx context.Context) (facts, error) {
		var answer struct {
			facts
			refusal
		}
		status, err := e.get(ctx, client, "/api/wiring", e.Key, &answer)
		switch {
		case err == nil && status != http.StatusOK:
			answer.status = status
			err = answer.refusal
		case err == nil && (answer.Component == "" || len(answer.Domains) == 0):
			err = errNotPPCH
		}
		return answer.facts, err
	}
	_, err = look(ctx)
	answers := fmt.Sprintf("%s answers at %s", strings.TrimSpace("PPCH "+health.Version), e.API)
	if err != nil {
		e.untold(fmt.Sprintf("%s, but doesn't tell how it is wired: %v", answers, err), err)
		return nil, nil
	}
	e.is(Service, OK, fmt.Sprintf("%s, its health is %v; what follows is as it sees it", answers, health.Status))
	return look, client.CloseIdleConnections
}

// absent tells why there is no service to ask. Only where it surely doesn't run, and is to run here, the doctor connects by itself.
func (e *examination) absent(err error) (look func(context.Context) (facts, error), end func()) {
	var certificate *tls.CertificateVerificationError
	switch {
	case e.API.Port() == "0":
		e.is(Service, Wrong, "where it listens isn't known, since PPCH_PORT is 0", "ppch doctor --url http://127.0.0.1:…, with the port that its log names", noHarm)
	case errors.Is(err, syscall.ECONNREFUSED) && e.Elsewhere:
		e.is(Service, Wrong, fmt.Sprintf("nothing listens at %s", e.API), startIt, "or mend --url")
	case errors.Is(err, syscall.ECONNREFUSED):
		e.is(Service, Wrong, fmt.Sprintf("nothing listens at %s; what follows is as this doctor sees it", e.API), startIt,
			"if it runs in another container, run the doctor in that: docker compose exec ppch /ppch doctor")
		return e.own()
	case errors.As(err, &certificate):
		e.is(Service, Wrong, fmt.Sprintf("the certificate of %s isn't trusted: %v", e.API, certificate.Err),
			"name the host as the certificate does: ppch doctor --url https://…; SSL_CERT_FILE names an authority of your own", noHarm)
	case errors.Is(err, errNotPPCH):
		mend := "mend PPCH_HOST and PPCH_PORT, or free the port"
		if e.Elsewhere {
			mend = "mend --url: it is what stands before /health, without the path of a page, such as http://127.0.0.1:8890"
		}
		e.is(Service, Wrong, fmt.Sprintf("what answers at %s is not PPCH", e.API), mend, noHarm)
	default:
		where := "PPCH_HOST and PPCH_PORT"
		if e.Elsewhere {
			where = "--url"
		}
		e.is(Service, Wrong, fmt.Sprintf("no answer from %s: %v", e.API, short(err)), "mend "+where+", or restart the service if it hangs", noHarm)
	}
	return nil, nil
}

// untold tells that the service lives, but not how it is wired.
func (e *examination) untold(found string, err error) {
	mend := []string{"restart the service, with the same version as this doctor's, " + e.Version}
	var refused refusal
	if errors.As(err, &refused) {
		mend = e.afterRefusal(refused)
	}
	e.is(Service, Wrong, found, mend...)
}

// lose tells that the service did tell how it is wired, and no longer does: what is left can't be known.
func (e *examination) lose(err error) {
	e.untold(fmt.Sprintf("it no longer tells how it is wired: %v", short(err)), err)
	e.wait(Service)
}

// afterRefusal says what to do about it.
func (e *examination) afterRefusal(r refusal) []string {
	switch {
	case r.status == http.StatusNotFound:
		return []string{"it is older than this doctor: restart it with version " + e.Version}
	case e.Key == "":
		return []string{"give the doctor a key that has the scope metrics: PPCH_API_KEY=… ppch doctor; PPCH_API_KEYS_FILE has none in clear"}
	case r.Code == "scope-missing":
		return []string{"the key is good, but not for this: give the doctor one that has the scope metrics, or this one that scope in the service's PPCH_API_KEYS_FILE"}
	case (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden) && e.Elsewhere:
		return []string{"its keys are others than PPCH_API_KEY as it is set here: give the doctor one of them that has the scope metrics"}
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return []string{"its keys are others than PPCH_API_KEY as it is set here", restartIt}
	case r.status == http.StatusTooManyRequests:
		return []string{"try again in a minute; a key that is set here but isn't the service's counts among wrong ones"}
	}
	return []string{"look at its log: docker compose logs ppch; Debian: journalctl -u ppch"}
}

// refusal is an answer of a service that lives with a status other than 200: a problem document, as far as it is one.
type refusal struct {
	status int
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (r refusal) Error() string { return cmp.Or(r.Detail, http.StatusText(r.status)) }

// get asks the service, and reads its answer into v whatever its status is, if it is JSON.
func (e *examination) get(ctx context.Context, client *http.Client, path, key string, v any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.API.JoinPath(path).String(), nil) // #nosec G125 -- the path is one of ours
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
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		return resp.StatusCode, fmt.Errorf("%w: %w", errNotPPCH, err)
	}
	return resp.StatusCode, nil
}

// short returns the innermost cause, without what was asked.
func short(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
