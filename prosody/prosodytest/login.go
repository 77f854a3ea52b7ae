package prosodytest

import (
	"context"
	"crypto/sha1" // #nosec G505 -- XEP-0114 requires SHA-1
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	nsClient    = "jabber:client"
	nsComponent = "jabber:component:accept"
	nsSASL      = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind      = "urn:ietf:params:xml:ns:xmpp-bind"
)

// Guest logs in anonymously on the main host, as web users do.
// ctx bounds the login alone.
func (s *Server) Guest(ctx context.Context) (*Client, error) {
	return s.GuestAt(ctx, s.Domains.Main)
}

// GuestAt is Guest on another host with anonymous login, such as Domains.Guest.
// A resource may follow the domain after a slash.
func (s *Server) GuestAt(ctx context.Context, jid string) (*Client, error) {
	domain, resource, _ := strings.Cut(jid, "/")
	return s.login(ctx, domain, resource, "<auth xmlns='"+nsSASL+"' mechanism='ANONYMOUS'/>")
}

// Login logs in with an account, such as "focus@auth.meet.jitsi". Without a
// resource in the JID the server chooses one.
// ctx bounds only the login.
func (s *Server) Login(ctx context.Context, jid string) (*Client, error) {
	bare, resource, _ := strings.Cut(jid, "/")
	user, domain, _ := strings.Cut(bare, "@")
	password, ok := s.site.Accounts[bare]
	if !ok {
		return nil, fmt.Errorf("prosodytest: log in: no account %q", bare)
	}
	secret := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	return s.login(ctx, domain, resource, "<auth xmlns='"+nsSASL+"' mechanism='PLAIN'>"+secret+"</auth>")
}

func (s *Server) login(ctx context.Context, domain, resource, auth string) (*Client, error) {
	st, done, err := dial(ctx, "tcp", s.ClientAddr())
	if err != nil {
		return nil, fmt.Errorf("prosodytest: log in to %s: %w", domain, err)
	}
	jid, err := st.bind(domain, resource, auth)
	if err == nil && !done() {
		err = ctx.Err()
	}
	if err != nil {
		_ = st.conn.Close() // ctx may have closed it already
		return nil, errors.Join(fmt.Errorf("prosodytest: log in to %s: %w", domain, err), ctx.Err())
	}
	return newClient(st, jid, ""), nil
}

// bind authenticates and binds a resource (RFC 6120, 6 and 7).
func (s *stream) bind(domain, resource, auth string) (jid string, err error) {
	if _, err := s.open(domain, nsClient); err != nil {
		return "", err
	}
	if _, err := s.next(); err != nil { // the stream features
		return "", err
	}
	if err := s.send(auth); err != nil {
		return "", err
	}
	reply, err := s.next()
	if err != nil {
		return "", err
	}
	if reply.Name != "success" {
		return "", fmt.Errorf("authentication failed: %s", reply.XML)
	}
	if _, err := s.open(domain, nsClient); err != nil {
		return "", err
	}
	if _, err := s.next(); err != nil {
		return "", err
	}
	want := ""
	if resource != "" {
		want = "<resource>" + Escape(resource) + "</resource>"
	}
	if err := s.send("<iq type='set' id='bind'><bind xmlns='" + nsBind + "'>" + want + "</bind></iq>"); err != nil {
		return "", err
	}
	if reply, err = s.next(); err != nil {
		return "", err
	}
	if err := reply.Err(); err != nil {
		return "", err
	}
	var bound struct {
		JID string `xml:"urn:ietf:params:xml:ns:xmpp-bind bind>jid"`
	}
	if err := reply.Decode(&bound); err != nil {
		return "", err
	}
	return bound.JID, nil
}

// Component connects as an external component (XEP-0114) on one of the server's
// component domains. ctx bounds only the handshake.
// A refusal is a *StreamError, such as "conflict" or "not-authorized".
func (s *Server) Component(ctx context.Context, domain string) (*Client, error) {
	st, done, err := dial(ctx, "tcp", s.ComponentAddr())
	if err != nil {
		return nil, fmt.Errorf("prosodytest: connect %s: %w", domain, err)
	}
	err = st.handshake(domain, s.Secret())
	if err == nil && !done() {
		err = ctx.Err()
	}
	if err != nil {
		_ = st.conn.Close() // ctx may have closed it already
		return nil, errors.Join(fmt.Errorf("prosodytest: connect %s: %w", domain, err), ctx.Err())
	}
	return newClient(st, domain, domain), nil
}

func (s *stream) handshake(domain, secret string) error {
	header, err := s.open(domain, nsComponent)
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(header.ID + secret)) // #nosec G401 -- as above
	if err := s.send("<handshake>" + hex.EncodeToString(sum[:]) + "</handshake>"); err != nil {
		return err
	}
	reply, err := s.next()
	if err != nil {
		return err
	}
	if reply.Name != "handshake" {
		return fmt.Errorf("handshake answered with %s", reply.XML)
	}
	return nil
}
