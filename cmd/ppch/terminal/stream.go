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

// maxEvent bounds what is read of one event, which has a few kB.
const maxEvent = 1 << 20

// The waits before a connection that was lost is made again.
const (
	firstWait = time.Second
	maxWait   = 30 * time.Second
)

// follow calls each with every event of a stream until ctx ends, which returns nil, or each returns an error.
// A connection that is lost is made again; the stream then goes on behind the last event, or says that it can't.
// What can't be had in the first place is an error, and so is what the service refuses for good, a *Problem.
func (c *Client) follow(ctx context.Context, path string, each func(sse.Event) error, lost func(error)) error {
	following, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	req, err := c.request(following, path, nil)
	if err != nil {
		return err
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval, waits.Multiplier = firstWait, maxWait, 2
	opened := false
	client := &sse.Client{
		HTTPClient: c.http(),
		ResponseValidator: func(resp *http.Response) error {
			if err := c.streams(resp); err != nil {
				return err
			}
			opened = true
			waits.Reset()
			return nil
		},
		// Its own retries end for good with the first 503.
		Backoff: sse.Backoff{MaxRetries: -1},
	}
	conn := client.NewConnection(req)
	conn.Buffer(nil, maxEvent)
	conn.SubscribeToAll(func(e sse.Event) {
		// A position alone is noted by conn, and is no event (HTML standard, section 9.2.6).
		if e.Data != "" && following.Err() == nil {
			if err := each(e); err != nil {
				stop(err)
			}
		}
	})
	for {
		err := inWords(plain(conn.Connect()))
		var p *Problem
		switch {
		case ctx.Err() != nil:
			return nil
		case following.Err() != nil:
			return context.Cause(following)
		case !opened, errors.As(err, &p) && p.lasts():
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

// streams takes an answer as a stream, or says why it is none.
func (c *Client) streams(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return c.problemOf(resp)
	}
	if err := sse.DefaultValidator(resp); err != nil {
		return c.notPPCH(err.Error())
	}
	return nil
}

// plain returns an error of a connection without the library's words around it.
func plain(err error) error {
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
