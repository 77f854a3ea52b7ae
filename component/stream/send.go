package stream

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// maxSend is how long a stanza may be, in bytes. Prosody ends the stream of a component
// that sends a longer one than component_stanza_size_limit, 512 KiB unless changed.
const maxSend = 400 << 10

// errUnsendable is returned for a stanza that would end the stream.
var errUnsendable = errors.New("stream: stanza can't be sent")

// Send sends a stanza, which must have from, to and type. It blocks for at most writeTimeout.
// Don't call it on the read loop, which must never wait for Prosody to read. Any error but one of an invalid stanza ends the session.
func (s *Session) Send(ctx context.Context, tokens []xml.Token) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	size, longest, err := measure(tokens)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsendable, err)
	}
	if size > maxSend {
		return fmt.Errorf("%w: %d bytes are too long", errUnsendable, size)
	}
	if size < inOnePiece {
		return s.Write(&buffer{inner: tokens})
	}
	return s.Write(&buffer{inner: tokens}, xmlstream.Token(xml.CharData(bytes.Repeat([]byte{' '}, longest))))
}

// inOnePiece is how many bytes mellium writes at once, which Prosody then reads at once.
//
// Prosody may read the last tag of a longer stanza in two parts. Version 13 with expat since 2.6 parses such a tag again only after
// twice as many bytes ("reparse deferral"), so the stanza would wait for the next one.
// Therefore white space as long as the longest tag follows it. Between stanzas it has no meaning (RFC 6120 §4.6.1).
const inOnePiece = 4096

// Write sends stanzas in one go: no other stanza comes between them, and short ones travel together.
func (s *Session) Write(stanzas ...xml.TokenReader) error {
	w := s.xmpp.TokenWriter()
	_, err := xmlstream.Copy(w, xmlstream.MultiReader(stanzas...))
	if err == nil {
		err = w.Flush()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		// The failure may have left half a stanza on the stream.
		s.end(err)
		_ = s.conn.Close()
	}
	return err
}

// measure returns how many bytes the tokens take, and the longest of them.
func measure(tokens []xml.Token) (size, longest int, err error) {
	var total byteCount
	e := xml.NewEncoder(&total)
	for _, t := range tokens {
		before := int(total)
		if err = e.EncodeToken(t); err == nil {
			err = e.Flush()
		}
		if err != nil {
			return 0, 0, err
		}
		longest = max(longest, int(total)-before)
	}
	return int(total), longest, e.Close()
}

// byteCount counts the bytes written to it.
type byteCount int

func (c *byteCount) Write(p []byte) (int, error) {
	*c += byteCount(len(p))
	return len(p), nil
}

// Reachable pings a client (XEP-0199).
// service-unavailable comes from Prosody if the client is offline, and from a client that doesn't support pings.
func (s *Session) Reachable(ctx context.Context, to jid.JID) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := s.Ask(ctx, stanza.GetIQ, to, xmlstream.Wrap(nil, pingStart), func(*xml.Decoder) error { return nil })
	var refusal stanza.Error
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &refusal):
		return refusal.Condition != stanza.ServiceUnavailable && refusal.Condition != stanza.RecipientUnavailable, nil
	}
	return false, err
}
