package component

import (
	"context"
	"crypto/rand"
	"sync"

	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"ppch/component/stream"
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
func (r *race) local(ctx context.Context, s *stream.Session, own, domain jid.JID) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asked := r.begin(domain)
	defer r.end()
	question := stanza.IQ{Type: stanza.GetIQ, ID: asked.id, To: domain, From: own}
	word := stanza.IQ{Type: stanza.ResultIQ, ID: asked.id, To: own, From: own}
	err := s.Write(question.Wrap(disco.InfoQuery{}.TokenReader()), word.Wrap(nil))
	if err != nil {
		return false, err
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
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
func (r *race) sees(in *stream.Stanza) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil || in.Name() != "iq" || in.Attr("id") != r.now.id || in.Asks() {
		return false
	}
	switch in.Attr("from") {
	case r.now.domain:
		r.now.isHost = in.Attr("type") == string(stanza.ResultIQ) && isHost(in)
	case "": // our own: mellium takes the address away
		r.now.over <- r.now.isHost
		r.now = nil
	}
	return true
}

// isHost reports whether an answer to disco#info is that of a host where people log in.
func isHost(in *stream.Stanza) bool {
	var answer disco.Info
	if in.Decode(&answer) != nil {
		return false
	}
	for _, i := range answer.Identity {
		if i.Category == "server" && i.Type == "im" {
			return true
		}
	}
	return false
}
