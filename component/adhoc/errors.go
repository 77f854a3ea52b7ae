package adhoc

import (
	"encoding/xml"
	"errors"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/commands"
	"mellium.im/xmpp/stanza"
)

// Error is a stanza error with the condition of XEP-0050 §4.5 that says more.
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

// BadPayload is the error for a form that was filled in wrongly. The text is for people.
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

// What a Responder refuses by itself.
var (
	errNoCommand       = refusal(stanza.Cancel, stanza.ItemNotFound, "", "there is no such command")
	errMalformedAction = refusal(stanza.Modify, stanza.BadRequest, "malformed-action", "an action is execute, next, prev, complete or cancel")
	errBadAction       = refusal(stanza.Modify, stanza.BadRequest, "bad-action", "that action is not possible now")
	errBadSession      = refusal(stanza.Modify, stanza.BadRequest, "bad-sessionid", "there is no such session; execute the command again")
	errExpired         = refusal(stanza.Cancel, stanza.NotAllowed, "session-expired", "the session has expired; execute the command again")
	errBadForm         = BadPayload("the form can't be read")
	errTooMany         = refusal(stanza.Wait, stanza.ResourceConstraint, "", "too many commands are under way; try again in some minutes")
)

// asError returns what the requester is told of an error.
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
