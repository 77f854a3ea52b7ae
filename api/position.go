package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"ppch/api/webhook"
	"ppch/component/occupancy"
)

// askPosition is how often the position is read while a request waits for it. That takes less than a microsecond.
const askPosition = 20 * time.Millisecond

// atLeast returns a handler that answers with a state that includes the position in at_least=SHARD:EPOCH:SEQ, if the request has one.
// Receivers of webhooks send the position of an event, so that they never read something older.
func (s *Server) atLeast(next handlerFunc) handlerFunc {
	return func(w *response, r *http.Request) error {
		if !strings.Contains(r.URL.RawQuery, "at_least=") {
			return next(w, r)
		}
		q, err := readQuery(r)
		if err != nil {
			return err
		}
		text := q.text("at_least")
		position, err := webhook.ParsePosition(text)
		switch {
		case q.err() != nil:
			return q.err()
		case err != nil:
			return badParameter("at_least: %q is not SHARD:EPOCH:SEQ: send the position of a webhook's data", shorten(text))
		case s.cfg.Directory.Shard(position.Shard) == nil:
			return badParameter("at_least: this PPCH has %s, not %q", s.shardNames(), shorten(position.Shard))
		}
		if err := s.awaitPosition(w, r, position); err != nil {
			return err
		}
		q.values.Del("at_least")
		rest := *r.URL
		rest.RawQuery = q.values.Encode()
		r.URL = &rest
		return next(w, r)
	}
}

// awaitPosition waits until the directory includes a position, 55 s at most.
func (s *Server) awaitPosition(w *response, r *http.Request, p webhook.Position) error {
	began := time.Now()
	if s.positionProblem(p, began) == nil {
		return nil
	}
	if err := s.hub.Enter(w.grant.Key); err != nil {
		return err
	}
	defer s.hub.Leave(w.grant.Key)
	s.endRequest(w)
	defer func() { w.waited = time.Since(began) }()
	if err := http.NewResponseController(w).SetWriteDeadline(began.Add(s.positionWait + writeTimeout)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.positionWait)
	defer cancel()
	look := time.NewTicker(askPosition)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if s.positionProblem(p, began) == nil {
				grant, err := s.cfg.Keys.Renew(w.grant, time.Now())
				w.grant = grant
				return err
			}
		case <-s.hub.Done():
			return s.positionProblem(p, began)
		case <-ctx.Done():
			return s.positionProblem(p, began)
		}
	}
}

// positionProblem returns why the directory doesn't include a position that a request of that time asks for, or nil.
//
// The position of an event is that of its shard's batch, or of this run. The number of a batch says nothing in other epochs: another PPCH
// that is connected to the same Prosody may have sent the event, before or after this one learned of it. But Prosody had reported
// the event when the client asked, so all that Prosody has confirmed since then includes it.
func (s *Server) positionProblem(p webhook.Position, asked time.Time) error {
	seq, origins := s.cfg.Directory.Origins()
	here := origins[p.Shard]
	switch {
	case p.Epoch == here.Epoch && p.Seq <= here.Seq, p.Epoch == s.cfg.Epoch && p.Seq <= seq:
		return nil
	case p.Epoch != here.Epoch && p.Epoch != s.cfg.Epoch:
		return s.confirmedSince(p, asked)
	}
	reached := webhook.Position{Shard: p.Shard, Epoch: here.Epoch, Seq: here.Seq}
	return &problem{kind: kindPosition, detail: "This PPCH has reached " + reached.String() + ", not " + shortenPosition(p) + ": retry, or leave out at_least."}
}

// confirmedSince returns an error unless Prosody has confirmed all rooms of the position's shard since the client asked.
// Without the Lua module Prosody is asked for each response.
func (s *Server) confirmedSince(p webhook.Position, asked time.Time) error {
	shard := s.cfg.Directory.Shard(p.Shard)
	if shard == nil {
		return occupancy.ErrNoShard
	}
	for _, d := range shard.Domains() {
		switch {
		case d.ReadProblem != nil && errors.Is(d.ReadProblem, occupancy.ErrNoModule):
		case d.ReadProblem != nil:
			return &problem{
				kind: kindPosition, reason: d.ReadProblem.Reason, cause: d.ReadProblem,
				detail: "The rooms of " + d.JID.String() + " can't be read: " + d.ReadProblem.Remedy,
			}
		case !d.AsOf.After(asked):
			return &problem{
				kind:   kindPosition,
				detail: "Another PPCH sent the event, or this one before a restart, and Prosody has not confirmed the rooms of " + d.JID.String() + " since the request: retry, or leave out at_least.",
			}
		}
	}
	return nil
}

func shortenPosition(p webhook.Position) string {
	p.Epoch = shorten(p.Epoch)
	return p.String()
}
