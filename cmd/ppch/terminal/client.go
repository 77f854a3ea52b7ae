// Package terminal shows people what the API of a running service tells.
package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tmaxmax/go-sse"
)

// maxAnswer bounds what is read of one answer; a page of 1,000 rooms has about 500 kB.
const maxAnswer = 64 << 20

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
	Detail string `json:"detail"`
}

func (p *Problem) Error() string { return Clean(p.Detail) + " (" + Clean(p.Code) + ")" }

// near is a client without the environment's proxy.
var near = &http.Client{Transport: &http.Transport{}}

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
	req, err := c.request(ctx, path, query)
	if err != nil {
		return err
	}
	resp, err := c.http().Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return problemOf(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("what answers at %s is not PPCH: %w", req.URL.Host, err)
	}
	return nil
}

// unreachable says without Go's words for a request that nothing answers.
func unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("is the service running? %w", u.Err)
	}
	return err
}

// problemOf reads the problem document that resp is.
func problemOf(resp *http.Response) error {
	p := &Problem{Status: resp.StatusCode}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(p); err != nil || p.Code == "" {
		return fmt.Errorf("what answers at %s is not PPCH: %s", resp.Request.URL.Host, resp.Status)
	}
	return p
}

// follow calls each with every event of a stream until ctx ends, which returns nil.
// A connection that is lost is made again; the stream then goes on behind the last event, or says that it can't.
// What the service refuses for good is a *Problem.
func (c *Client) follow(ctx context.Context, path string, query url.Values, each func(sse.Event), lost func(error)) error {
	req, err := c.request(ctx, path, query)
	if err != nil {
		return err
	}
	client := &sse.Client{
		HTTPClient:        c.http(),
		ResponseValidator: streams,
		OnRetry:           func(err error, _ time.Duration) { lost(unreachable(err)) },
		Backoff:           sse.Backoff{InitialInterval: time.Second, Multiplier: 2, MaxInterval: 30 * time.Second, MaxRetries: 0},
	}
	conn := client.NewConnection(req)
	conn.Buffer(nil, maxAnswer)
	conn.SubscribeToAll(each)
	err = conn.Connect()
	var p *Problem
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &p):
		return p
	}
	return unreachable(err)
}

// passing is a refusal that passes by itself, which is what Temporary tells.
type passing struct{ error }

func (passing) Temporary() bool { return true }

// streams takes an answer as a stream, or says why it is none.
func streams(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return sse.DefaultValidator(resp)
	}
	err := problemOf(resp)
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests {
		return passing{err}
	}
	return err
}
