package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"ppch/api/events"
	"ppch/api/keys"
	"ppch/api/view"
	"ppch/api/web"
)

// The routes of share links whose errors are no JSON.
const (
	sharePage  = "/s/{token}"
	shareBadge = "/s/{token}.svg"
)

// linkBeat is how often the stream of a share link checks what it shows, and says that it is still so.
// The page takes a stream that is silent for longer as broken.
const linkBeat = 5 * time.Second

// authorizeLink returns nil if a token is that of a share link, which the response then has the grant of.
// The token may have any host: unlike a request without a key, it can't come from a page that guesses (see Hosts).
func (s *Server) authorizeLink(w *response, r *http.Request, token string) error {
	k, err := s.cfg.Keys.IdentifyLink(token, origin(r.RemoteAddr))
	expired := (*keys.ExpiredError)(nil)
	switch {
	case errors.Is(err, keys.ErrWrongKey):
		return &problem{kind: kindWrongLink, detail: "This share link does not exist, or was withdrawn: ask for a new one.", cause: err}
	case errors.As(err, &expired):
		return &problem{kind: kindLinkExpired, detail: fmt.Sprintf("This share link expired at %s: ask for a new one.", expired.At.UTC().Format(time.RFC3339)), cause: err}
	case err != nil:
		return err
	}
	w.grant = keys.Grant{Key: k}
	s.gate.markKnown(sharedConnOf(r))
	return nil
}

// getShared handles "GET /s/{token}", the page of a share link.
func (s *Server) getShared(w *response, r *http.Request) error {
	return s.writeSharePage(w, r, http.StatusOK)
}

// writeSharePage answers with the page of a share link, which then finds out by itself what is to be shown.
func (s *Server) writeSharePage(w *response, r *http.Request, status int) error {
	if len(s.cfg.EmbedOrigins) > 0 {
		w.Header().Del("X-Frame-Options") // it can't name origins; the page's policy does
	}
	return s.share["share.html"].WriteStatus(w, r, status)
}

// getSharedAsset handles "GET /s/assets/{asset}".
func (s *Server) getSharedAsset(w *response, r *http.Request) error {
	return writeAsset(w, r, s.share, w.vars["asset"])
}

// getSharedDocument handles "GET /s/{token}.json".
func (s *Server) getSharedDocument(w *response, r *http.Request) error {
	v, err := s.links.view(r.Context(), w.grant.Key)
	if err != nil {
		return err
	}
	tag := v.state.and(boolTag(v.current)).and(etag(v.expires.Unix())) // #nosec G115 -- any value will do
	validators := newValidators(tag, v.asOf)
	if validators.matches(r) {
		return validators.writeNotModified(w)
	}
	validators.set(w)
	return writeBytes(w, http.StatusOK, mediaJSON, append(v.data(), '\n'))
}

func boolTag(b bool) etag {
	if b {
		return 1
	}
	return 0
}

// getBadge handles "GET /s/{token}.svg".
// Caches must ask each time whether it is still true.
func (s *Server) getBadge(w *response, r *http.Request) error {
	language, err := badgeLanguage(r)
	if err != nil {
		return err
	}
	v, err := s.links.view(r.Context(), w.grant.Key)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Cache-Control", "no-cache")
	tag := v.state.String()
	h.Set("Etag", tag)
	if header := r.Header.Get("If-None-Match"); header != "" && web.MatchesETag(header, tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return writeBytes(w, http.StatusOK, mediaSVG, v.badge(language))
}

// badgeLanguage returns the language in the query of r, English without one.
func badgeLanguage(r *http.Request) (string, error) {
	q, err := parseQuery(r, "lang")
	if err != nil {
		return "", err
	}
	return q.choice("lang", web.Languages...), q.err()
}

// badge returns the badge in a language.
func (c *sharedContent) badge(language string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.badges[language]
	if b == nil {
		c.links.encoded.Add(1)
		b = web.Badge(c.badgeLabel(language), web.Text(language, "people", c.doc.ParticipantCount), c.doc.ParticipantCount > 0)
		c.badges[language] = b
	}
	return b
}

func (c *sharedContent) badgeLabel(language string) string {
	if c.doc.List {
		return web.Text(language, "rooms", c.doc.RoomCount)
	}
	return c.doc.Rooms[0].DisplayName
}

// writeBadgeError answers a request for a badge with one that shows no number, as an image on a page has no other way to say so.
func (s *Server) writeBadgeError(w *response, r *http.Request, status int, p *problem) error {
	language, err := badgeLanguage(r)
	if err != nil {
		language = web.Languages[0]
	}
	label, text, least := "PPCH", "unknown", 0
	if w.grant.Key != nil {
		label = cmp.Or(s.onlyRoom(w.grant.Key), label)
	}
	switch {
	case p.kind == kindWrongLink, p.kind == kindLinkExpired:
		text = "share.ended.title"
	case p.atLeast != nil && p.atLeast.ParticipantCount > 0:
		text, least = "share.atLeast", p.atLeast.ParticipantCount
	}
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	return writeBytes(w, status, mediaSVG, web.Badge(label, web.Text(language, text, least), least > 0))
}

// onlyRoom returns the name of the room of a link that shows only one, else "".
func (s *Server) onlyRoom(k *keys.Key) string {
	if rooms, others := k.NamedRooms(); !others && len(rooms) == 1 {
		return s.cfg.Names.Display(rooms[0])
	}
	return ""
}

// getSharedEvents handles "GET /s/{token}/events": what the page of a share link shows, as server-sent events.
// Each "shared" event has the whole document. Between them "beat" says that it is still so, "problem" that the numbers are unknown,
// and "end" that the link is no longer valid.
func (s *Server) getSharedEvents(w *response, r *http.Request) error {
	if err := s.hub.Enter(w.grant.Key); err != nil {
		return err
	}
	startStream(w, func(r *http.Request) error { return s.runLinkStream(w, r) })
	return nil
}

// runLinkStream runs the stream of a share link, and gives back its place.
func (s *Server) runLinkStream(w *response, r *http.Request) error {
	defer s.hub.Leave(w.grant.Key)
	if r.Method == http.MethodHead {
		return nil
	}
	st := &linkStream{server: s, to: w, conn: http.NewResponseController(w), shares: r.ProtoMajor > 1}
	err := st.run(r.Context(), w)
	if r.Context().Err() != nil {
		return nil // the client has left
	}
	return err
}

// linkStream is one client's stream of a share link.
type linkStream struct {
	server *Server
	to     http.ResponseWriter
	conn   *http.ResponseController
	shares bool // whether the connection has other streams

	content *sharedContent // the last that was sent; nil after a problem
}

// run sends events until the client leaves, the service stops, or the link is no longer valid.
func (st *linkStream) run(ctx context.Context, w *response) error {
	rooms, others := w.grant.Key.NamedRooms()
	followed := ""
	if !others && len(rooms) == 1 {
		followed = rooms[0].String()
	}
	topic := st.server.hub.Follow(followed)
	defer topic.Release()
	first := w.grant.Key
	if err := st.send("retry: 3000\n\n"); err != nil {
		return err
	}
	for {
		news, replaced := topic.Next(), st.server.cfg.Keys.Replaced()
		var err error
		if w.grant, err = st.server.cfg.Keys.Renew(w.grant, time.Now()); err != nil {
			w.grant = keys.Grant{Key: first}
			return st.end(err)
		}
		if !w.grant.Key.SameRooms(first) {
			return nil // the client comes back, and then sees others
		}
		if err := st.show(ctx, w.grant.Key); err != nil {
			return err
		}
		if st.wait(ctx, w.grant.Key, news, replaced, followed == "") {
			return nil
		}
	}
}

// wait waits until there may be something to send, and reports whether the stream is over instead.
func (st *linkStream) wait(ctx context.Context, k *keys.Key, news, replaced <-chan struct{}, list bool) (over bool) {
	if list { // which is not read more often
		select {
		case <-time.After(listPace):
		case <-replaced:
			return false
		case <-ctx.Done():
			return true
		case <-st.server.hub.Done():
			return true
		}
	}
	var expired <-chan time.Time
	if ends := k.Expires(); !ends.IsZero() {
		expired = time.After(time.Until(ends))
	}
	select {
	case <-news:
	case <-replaced:
	case <-expired:
	case <-time.After(linkBeat):
	case <-ctx.Done():
		return true
	case <-st.server.hub.Done():
		return true
	}
	return false
}

// show sends what the link shows now.
func (st *linkStream) show(ctx context.Context, k *keys.Key) error {
	v, err := st.server.links.view(ctx, k)
	if err != nil {
		p := problemFor(err)
		doc := view.SharedProblem{Code: p.kind.code, Reason: p.reason, AtLeast: p.atLeast}
		if name := st.server.onlyRoom(k); name != "" {
			doc.DisplayName = &name
		}
		st.content = nil
		return st.event("problem", view.Marshal(doc))
	}
	if v.sharedContent == st.content {
		return st.event("beat", view.Marshal(view.SharedBeat{Current: v.current, AsOf: view.FormatTime(v.asOf)}))
	}
	st.content = v.sharedContent
	return st.event("shared", v.data())
}

// end says that the link is no longer valid.
func (st *linkStream) end(err error) error {
	code := kindWrongLink.code
	if expired := (*keys.ExpiredError)(nil); errors.As(err, &expired) {
		code = kindLinkExpired.code
	}
	return st.event("end", view.Marshal(view.SharedEnd{Code: code}))
}

func (st *linkStream) event(name string, data []byte) error {
	return st.send("event: " + name + "\ndata: " + string(data) + "\n\n")
}

// send writes text and flushes it, for events.SendTimeout at most.
func (st *linkStream) send(text string) error {
	err := st.conn.SetWriteDeadline(time.Now().Add(events.SendTimeout))
	if err == nil {
		_, err = st.to.Write([]byte(text))
	}
	if err == nil {
		err = st.conn.Flush()
	}
	if err == nil && st.shares {
		err = st.conn.SetWriteDeadline(time.Time{}) // with HTTP/2 it ends the stream even if nothing is being written
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("api: share link: the client reads nothing: %w", err)
	}
	return err
}
