package admin

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// probeTimeout bounds one question to a host.
const probeTimeout = 5 * time.Second

// hostProbe finds out whether Prosody itself has a host where people log in, a VirtualHost.
//
// The answer of a domain proves nothing, since another server or component may answer the same. Its order does:
// Prosody answers for its own hosts before it reads the next stanza (mod_disco).
// Another server or component answers over the network, later.
// So two stanzas go out in one write, the question and a marker to ourselves,
// and the domain is Prosody's own if its answer comes before our marker does.
// Its identity, server/im, is then also from Prosody, which gives it to no component.
type hostProbe struct {
	own jid.JID

	// mu protects what follows.
	mu  sync.Mutex
	now *probe // nil while there is none
}

type probe struct {
	id, domain string
	isHost     bool
	result     chan bool // has room for one
}

// isLocal asks about a domain. It is for one goroutine at a time and blocks for probeTimeout at most.
func (p *hostProbe) isLocal(ctx context.Context, s Stream, domain jid.JID) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	asked := &probe{id: rand.Text(), domain: domain.String(), result: make(chan bool, 1)}
	p.set(asked)
	defer p.set(nil)
	question := stanza.IQ{Type: stanza.GetIQ, ID: asked.id, To: domain, From: p.own}
	marker := stanza.IQ{Type: stanza.ResultIQ, ID: asked.id, To: p.own, From: p.own}
	err := s.Write(question.Wrap(disco.InfoQuery{}.TokenReader()), marker.Wrap(nil))
	if err != nil {
		return false, err
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case local := <-asked.result:
		return local, nil
	}
}

func (p *hostProbe) set(now *probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = now
}

// sees takes the stanza if it is one of the two. The read loop calls it in the order of arrival.
func (p *hostProbe) sees(in Stanza) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil || in.Name() != "iq" || in.Attr("id") != p.now.id || in.Asks() {
		return false
	}
	switch in.Attr("from") {
	case p.now.domain:
		p.now.isHost = in.Attr("type") == string(stanza.ResultIQ) && isHost(in)
	case "": // our own: mellium removes the address
		p.now.result <- p.now.isHost
		p.now = nil
	}
	return true
}

// isHost reports whether an answer to disco#info is that of a host where people log in.
func isHost(in Stanza) bool {
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
