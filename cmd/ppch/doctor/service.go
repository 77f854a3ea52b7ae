package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
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
	client := &http.Client{
		// The environment's proxy, if any, is for the way out; and the key is for nobody to whom the service might send us.
		Transport:     &http.Transport{TLSClientConfig: e.TLS},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       servicePatient,
	}
	var health struct {
		Service string `json:"service"`
		Version string `json:"version"`
		Status  string `json:"status"`
	}
	ask := func() error {
		_, err := e.get(ctx, client, "/health", "", &health)
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
		var f facts
		status, err := e.get(ctx, client, "/api/wiring", e.Key, &f)
		switch {
		case err == nil && status != http.StatusOK:
			err = statusError(status)
		case err == nil && (f.Component == "" || len(f.Domains) == 0):
			err = errNotPPCH
		}
		return f, err
	}
	_, err = look(ctx)
	answers := fmt.Sprintf("PPCH %s answers at %s", health.Version, e.API)
	var refusal statusError
	switch {
	case errors.As(err, &refusal):
		e.is(Service, Wrong, answers+", but doesn't tell how it is wired: "+http.StatusText(int(refusal)), e.afterRefusal(int(refusal))...)
		return nil, nil
	case err != nil:
		e.is(Service, Wrong, fmt.Sprintf("%s, but doesn't tell how it is wired: %v", answers, err), "restart the service, with the same version as this doctor's, "+e.Version)
		return nil, nil
	}
	e.is(Service, OK, fmt.Sprintf("%s, its health is %s; what follows is as it sees it", answers, health.Status))
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
		e.is(Service, Wrong, fmt.Sprintf("what answers at %s is not PPCH", e.API), "mend PPCH_HOST and PPCH_PORT, or free the port", noHarm)
	default:
		e.is(Service, Wrong, fmt.Sprintf("no answer from %s: %v", e.API, short(err)), "mend PPCH_HOST and PPCH_PORT, or restart the service if it hangs", noHarm)
	}
	return nil, nil
}

// afterRefusal says what to do about a status other than 200.
func (e *examination) afterRefusal(status int) []string {
	switch {
	case status == http.StatusNotFound:
		return []string{"it is older than this doctor: restart it with version " + e.Version}
	case e.Key == "":
		return []string{"give the doctor a key that has the scope metrics: PPCH_API_KEY=… ppch doctor; PPCH_API_KEYS_FILE has none in clear"}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return []string{"its keys are others than PPCH_API_KEY as it is set here, or that hasn't the scope metrics", restartIt}
	case status == http.StatusTooManyRequests:
		return []string{"the key is used too often at present: try again in a minute"}
	}
	return []string{"look at its log: docker compose logs ppch; Debian: journalctl -u ppch"}
}

// statusError is a status other than 200 of a service that lives.
type statusError int

func (s statusError) Error() string { return http.StatusText(int(s)) }

// get asks the service, and reads its answer into v whatever its status is, if it is JSON.
func (e *examination) get(ctx context.Context, client *http.Client, path, key string, v any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.API.JoinPath(path).String(), nil)
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
