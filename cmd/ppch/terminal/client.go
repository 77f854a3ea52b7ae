// Package terminal calls the API of a running service and shows the responses as text.
package terminal

import (
	"bytes"
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

// maxResponse limits the size of a response; a page of 1,000 rooms has about 500 kB.
const maxResponse = 16 << 20

// requestTimeout is far more than a healthy service needs.
const requestTimeout = 30 * time.Second

// Client calls one service. It is safe for concurrent use.
type Client struct {
	// URL is where the service is, such as http://127.0.0.1:8890.
	URL *url.URL

	// Key is the API key.
	Key string

	// HTTP sends the requests; nil is Near(nil).
	HTTP *http.Client

	// Shard is the shard on which Room and RoomJSON look; empty means all.
	Shard string

	// Notes receives what is missing in responses; nil for nowhere.
	Notes io.Writer
}

// Problem is an error response of the service (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`

	// UnknownShards are the shards without which the service gives no answer.
	UnknownShards []string `json:"unknown_shards"`
}

func (p *Problem) Error() string {
	return Clean(cmp.Or(p.Detail, p.Title)) + " (" + Clean(p.Code) + ")"
}

// isFinal reports whether a retry is useless.
func (p *Problem) isFinal() bool {
	return p.Status < http.StatusInternalServerError && p.Status != http.StatusTooManyRequests
}

// Near returns an HTTP client for a service nearby: it ignores the environment's proxy. It follows no redirects: PPCH sends
// none, and they would carry the key to another server. A nil trust is the default.
func Near(trust *tls.Config) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: trust, ResponseHeaderTimeout: requestTimeout, TLSHandshakeTimeout: requestTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var near = Near(nil)

// Close closes idle connections.
func (c *Client) Close() { c.http().CloseIdleConnections() }

// request returns a request for a path below URL.
func (c *Client) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	u := *c.URL.JoinPath("/")
	u.RawPath = u.EscapedPath() + path[1:]
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
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

// get requests a path and decodes the response into v. An error response is a *Problem.
func (c *Client) get(ctx context.Context, path string, query url.Values, v any) error {
	return c.send(ctx, http.MethodGet, path, query, nil, v)
}

// send sends a request, with a JSON body unless that is nil, and decodes the response into v unless that is nil. An error response is a *Problem.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body, v any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		content = bytes.NewReader(text)
	}
	req, err := c.request(ctx, method, path, query, content)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http().Do(req)
	if err != nil {
		return explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return c.problemOf(resp)
	}
	if v == nil {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return fmt.Errorf("the response of %s was cut off: %w", c.URL.Host, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return c.notPPCH(err.Error())
	}
	return nil
}

// notPPCH is the error for a response that PPCH would not send.
func (c *Client) notPPCH(why string) error {
	return fmt.Errorf("the server at %s is not PPCH: %s", c.URL.Host, Clean(why))
}

// explain adds the likely cause to an error without a response.
func explain(err error) error {
	var certificate *tls.CertificateVerificationError
	var u *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &certificate):
		return fmt.Errorf("use the host name of the certificate in --url, or set SSL_CERT_FILE for your own authority: %w", certificate.Err)
	case errors.As(err, &u):
		return fmt.Errorf("is the service running? %w", u.Err)
	}
	return err
}

// problemOf decodes resp as a problem document.
func (c *Client) problemOf(resp *http.Response) error {
	p := &Problem{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(p); err != nil || p.Code == "" {
		return c.notPPCH(resp.Status)
	}
	p.Status = resp.StatusCode
	return p
}
