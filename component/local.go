package component

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// local asks whether Prosody itself has a host of that name where people log in, a VirtualHost.
//
// What a domain says of itself proves nothing, since another server or component may say the same. What proves it is the order:
// Prosody answers for a host of its own while it reads the question (mod_disco), before it reads on.
// Whoever else is asked answers by the network, later.
// So two stanzas go out in one write, the question and a word to ourselves,
// and the domain is Prosody's own if its answer comes before our word does.
// Its identity, server/im, is then Prosody's own word as well, which gives it to no component.
//
// It is for one goroutine at a time and blocks for askTimeout at most.
func (s *session) local(ctx context.Context, domain jid.JID) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asked := s.race.begin(domain)
	defer s.race.end()
	question := stanza.IQ{Type: stanza.GetIQ, ID: asked.id, To: domain, From: s.domain}
	word := stanza.IQ{Type: stanza.ResultIQ, ID: asked.id, To: s.domain, From: s.domain}
	err := s.write(question.Wrap(disco.InfoQuery{}.TokenReader()), word.Wrap(nil))
	if err != nil {
		return false, err
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-s.ctx.Done():
		return false, context.Cause(s.ctx)
	case won := <-asked.over:
		return won, nil
	}
}

// race watches which of the two comes first. Its zero value watches nothing.
type race struct {
	// mu protects what follows.
	mu  sync.Mutex
	now *contest
}

type contest struct {
	id, domain string
	isHost     bool
	over       chan bool // has room for one
}

func (r *race) begin(domain jid.JID) *contest {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = &contest{id: rand.Text(), domain: domain.String(), over: make(chan bool, 1)}
	return r.now
}

func (r *race) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = nil
}

// sees takes the stanza if it is one of the two. It is called by the read loop, so in the order in which they came.
func (r *race) sees(in *incoming) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil || in.start.Name.Local != "iq" || in.attr("id") != r.now.id || in.asks() {
		return false
	}
	switch in.attr("from") {
	case r.now.domain:
		r.now.isHost = in.attr("type") == string(stanza.ResultIQ) && isHost(in)
	case "": // our own: mellium takes the address away
		r.now.over <- r.now.isHost
		r.now = nil
	}
	return true
}

// isHost reports whether an answer to disco#info is that of a host where people log in.
func isHost(in *incoming) bool {
	var answer disco.Info
	if in.tooLarge || xml.NewTokenDecoder(&recorder{inner: in.inner}).Decode(&answer) != nil {
		return false
	}
	for _, i := range answer.Identity {
		if i.Category == "server" && i.Type == "im" {
			return true
		}
	}
	return false
}

// write sends stanzas in one go: nothing else comes between them, and as long as they are short they travel together.
func (s *session) write(stanzas ...xml.TokenReader) error {
	w := s.xmpp.TokenWriter()
	_, err := xmlstream.Copy(w, xmlstream.MultiReader(stanzas...))
	if err == nil {
		err = w.Flush()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		// It may have left half a stanza on the stream.
		s.end(err)
		_ = s.conn.Close()
	}
	return err
}
