package terminal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tmaxmax/go-sse"
)

// maxEvent limits the size of an event, usually a few kB.
const maxEvent = 1 << 20

// The waits before a reconnect.
const (
	firstWait = time.Second
	maxWait   = 30 * time.Second
)

// follow calls each with every event of a stream until ctx ends, which returns nil, or each returns an error.
// It reconnects and resumes after the last event; if events were missed, the stream sends a reset.
// It returns an error if the first connection fails, and a *Problem if the service refuses finally.
func (c *Client) follow(ctx context.Context, path string, each func(sse.Event) error, lost func(error)) error {
	following, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	req, err := c.request(following, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval, waits.Multiplier = firstWait, maxWait, 2
	opened := false
	client := &sse.Client{
		HTTPClient: c.http(),
		ResponseValidator: func(resp *http.Response) error {
			if err := c.checkStream(resp); err != nil {
				return err
			}
			opened = true
			waits.Reset()
			return nil
		},
		// The library's own retries end with the first 503.
		Backoff: sse.Backoff{MaxRetries: -1},
	}
	conn := client.NewConnection(req)
	conn.Buffer(nil, maxEvent)
	conn.SubscribeToAll(func(e sse.Event) {
		// An id without data is not an event (HTML standard, section 9.2.6); conn stores it.
		if e.Data != "" && following.Err() == nil {
			if err := each(e); err != nil {
				stop(err)
			}
		}
	})
	for {
		err := explain(cause(conn.Connect()))
		var p *Problem
		switch {
		case ctx.Err() != nil:
			return nil
		case following.Err() != nil:
			return context.Cause(following)
		case !opened, errors.As(err, &p) && p.isFinal():
			return err
		}
		lost(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(waits.NextBackOff()):
		}
	}
}

// checkStream returns an error unless resp is a stream of events.
func (c *Client) checkStream(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return c.problemOf(resp)
	}
	if err := sse.DefaultValidator(resp); err != nil {
		return c.notPPCH(err.Error())
	}
	return nil
}

// cause unwraps the library's error.
func cause(err error) error {
	var failed *sse.ConnectionError
	if !errors.As(err, &failed) {
		return err
	}
	if failed.Err == nil {
		return errors.New("the stream ended")
	}
	if failed.Reason == "connection to server failed" {
		return &url.Error{Err: failed.Err}
	}
	return failed.Err
}
