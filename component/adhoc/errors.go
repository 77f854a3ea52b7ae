package adhoc

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/commands"
	"mellium.im/xmpp/stanza"
)

// Error is a stanza error with a condition of XEP-0050 §4.5.
type Error struct {
	Stanza stanza.Error

	// Specific is the name of that condition, such as bad-payload.
	Specific string
}

// TokenReader implements xmlstream.Marshaler.
func (e Error) TokenReader() xml.TokenReader {
	if e.Specific == "" {
		return e.Stanza.TokenReader()
	}
	return e.Stanza.Wrap(xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: commands.NS, Local: e.Specific}}))
}

func (e Error) Error() string { return "adhoc: " + e.Stanza.Error() }

// Unwrap returns the stanza error.
func (e Error) Unwrap() error { return e.Stanza }

// BadPayload returns the error for an invalid form. The text is for people.
func BadPayload(text string) Error {
	return refusal(stanza.Modify, stanza.BadRequest, "bad-payload", text)
}

func refusal(typ stanza.ErrorType, condition stanza.Condition, specific, text string) Error {
	e := Error{Stanza: stanza.Error{Type: typ, Condition: condition}, Specific: specific}
	if text != "" {
		e.Stanza.Text = map[string]string{"": text}
	}
	return e
}

// The errors of a Responder itself.
var (
	errMalformedAction = refusal(stanza.Modify, stanza.BadRequest, "malformed-action", "unknown action; use execute, next, prev, complete or cancel")
	errBadSession      = refusal(stanza.Modify, stanza.BadRequest, "bad-sessionid", "unknown session; start the command again")
	errExpired         = refusal(stanza.Cancel, stanza.NotAllowed, "session-expired", "the session has expired; start the command again")
	errBadForm         = BadPayload("the form can't be read")
	errTooMany         = refusal(stanza.Wait, stanza.ResourceConstraint, "", "too many commands are running; try again in a few minutes")
)

// noCommand is the error for an unknown command. It names those that exist.
func (r *Responder) noCommand(node string) Error {
	nodes := make([]string, len(r.commands))
	for i, c := range r.commands {
		nodes[i] = c.Node
	}
	return refusal(stanza.Cancel, stanza.ItemNotFound, "", fmt.Sprintf("unknown command %.64q; available: %s", node, strings.Join(nodes, ", ")))
}

// badAction is the error for an action that is not possible now. It names those that are.
func badAction(action string, possible ...string) Error {
	return refusal(stanza.Modify, stanza.BadRequest, "bad-action", fmt.Sprintf("%s is not possible now; possible: %s", action, strings.Join(possible, ", ")))
}

// asError returns the error that is sent to the requester.
func asError(err error) Error {
	var refused Error
	if errors.As(err, &refused) {
		return refused
	}
	var plain stanza.Error
	if errors.As(err, &plain) {
		return Error{Stanza: plain}
	}
	return Error{Stanza: stanza.Error{Type: stanza.Cancel, Condition: stanza.InternalServerError}}
}
