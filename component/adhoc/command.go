package adhoc

import (
	"mellium.im/xmpp/commands"
	"mellium.im/xmpp/form"
	"mellium.im/xmpp/jid"
)

// Command is what a Responder offers.
type Command struct {
	// Node names the command for programs, Name for people.
	Node, Name string

	// Start begins the command. Its Request has no form.
	Start Stage
}

// Stage is one step of a command.
// The requester waits for it, so it should not take long. Several goroutines may call it at once.
//
// An error of type [Error] or stanza.Error is sent as it is; any other as internal-server-error.
// After an error the requester may try the same step again.
type Stage func(Request) (Reply, error)

// Request is the input of a stage.
type Request struct {
	// From is the full JID of the requester.
	From jid.JID

	// Form is the submitted form, empty where there was none.
	Form Submission
}

// Reply is what a stage shows to the requester.
type Reply struct {
	// Notes are short remarks, in this order.
	Notes []commands.Note

	// Form asks for input if Next is set, and is a result otherwise. It may be nil.
	Form *form.Data

	// Table is a result. It may be nil; use either a form or a table.
	Table *Table

	// Next takes the submitted form. Nil completes the command.
	Next Stage

	// Last is whether Next completes the command: then the requester is offered "complete" instead of "next".
	Last bool
}

// Info is a Reply that completes a command with a remark.
func Info(text string) Reply { return note(commands.NoteInfo, text) }

// Warning is a Reply that completes a command with a warning.
func Warning(text string) Reply { return note(commands.NoteWarn, text) }

func note(typ commands.NoteType, text string) Reply {
	return Reply{Notes: []commands.Note{{Type: typ, Value: text}}}
}

// actions returns what the requester may do next; back is whether there is a step before. XEP-0050 §3.4.
func (r Reply) actions(back bool) commands.Actions {
	next := commands.Next
	if r.Last {
		next = commands.Complete
	}
	actions := next | next<<3 // the default as well
	if back {
		actions |= commands.Prev
	}
	return actions
}
