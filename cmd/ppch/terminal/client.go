// Package terminal shows people what the API of a running service tells.
package terminal

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// maxAnswer bounds what is read of one answer; a page of 1,000 rooms has about 500 kB.
const maxAnswer = 16 << 20

// answersIn is how long an answer may take. What a service that is well needs is far less.
const answersIn = 30 * time.Second

// Client asks one service. It is safe for concurrent use.
type Client struct {
	// URL is where the service is, such as http://127.0.0.1:8890.
	URL *url.URL

	// Key is the API key.
	Key string

	// HTTP asks. Nil stands for a client that knows no proxies, for the service is near.
	HTTP *http.Client
}

// Problem is what the service answers where it can't do what it was asked for (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string {
	return Clean(cmp.Or(p.Detail, p.Title)) + " (" + Clean(p.Code) + ")"
}

// lasts is whether asking again is of no use.
func (p *Problem) lasts() bool {
	return p.Status < http.StatusInternalServerError && p.Status != http.StatusTooManyRequests
}

// Near returns a client without the environment's proxy, which is for the way out. It trusts whom trust says, or, if that is nil, as anybody does.
// It follows nowhere: PPCH sends nobody elsewhere, and the key is not for whoever is there.
func Near(trust *tls.Config) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: trust, ResponseHeaderTimeout: answersIn, TLSHandshakeTimeout: answersIn},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var near = Near(nil)

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http().CloseIdleConnections() }

// request returns a request for a path below the service's address.
func (c *Client) request(ctx context.Context, path string, query url.Values) (*http.Request, error) {
	u := *c.URL.JoinPath("/")
	u.RawPath = u.EscapedPath() + path[1:]
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	if c.Key != "" {
		req.Header.Set("X-API-Key", c.Key)
	}
	return req, nil
}

func (c *Client) http() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	return near
}

// get reads an answer into v. What the service refuses is a *Problem.
func (c *Client) get(ctx context.Context, path string, query url.Values, v any) error {
	ctx, cancel := context.WithTimeout(ctx, answersIn)
	defer cancel()
	req, err := c.request(ctx, path, query)
	if err != nil {
		return err
	}
	resp, err := c.http().Do(req)
	if err != nil {
		return inWords(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.problemOf(resp)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.URL.Host, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return c.notPPCH(err.Error())
	}
	return nil
}

// notPPCH says that something else answers, which is no reason to believe a word of it.
func (c *Client) notPPCH(why string) error {
	return fmt.Errorf("what answers at %s is not PPCH: %s", c.URL.Host, Clean(why))
}

// inWords says why there is no answer.
func inWords(err error) error {
	var certificate *tls.CertificateVerificationError
	var u *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &certificate):
		return fmt.Errorf("--url has to name the host as its certificate does, and SSL_CERT_FILE an authority of one's own: %w", certificate.Err)
	case errors.As(err, &u):
		return fmt.Errorf("is the service running? %w", u.Err)
	}
	return err
}

// problemOf reads the problem document that resp is.
func (c *Client) problemOf(resp *http.Response) error {
	p := &Problem{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(p); err != nil || p.Code == "" {
		return c.notPPCH(resp.Status)
	}
	p.Status = resp.StatusCode
	return p
}
