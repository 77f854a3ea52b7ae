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

	// Start is called when somebody executes the command. Its Request has no form.
	Start Stage
}

// Stage is one step of a command.
// The requester waits for it meanwhile, so it should not take long. It may be called by several goroutines at once.
//
// An error of type [Error] or stanza.Error is sent as it is; of others the requester learns only that there was one.
// After an error the command is where it was before: the requester may try that step again.
type Stage func(Request) (Reply, error)

// Request is what a stage is asked.
type Request struct {
	// From is the full JID of the requester.
	From jid.JID

	// Form is what was filled in; it holds nothing where there was no form.
	Form Submission
}

// Reply is what the requester is shown.
type Reply struct {
	// Notes are short remarks, in their order.
	Notes []commands.Note

	// Form is to be filled in where there is a Next, and is a result otherwise. It may be nil.
	Form *form.Data

	// Table is a result. It may be nil; there is no use in both a form and a table.
	Table *Table

	// Next takes what was filled in. Nil means that the command is completed.
	Next Stage

	// Last is whether Next will complete the command: it is "complete" then that is offered, and "next" otherwise.
	Last bool
}

// Info is a Reply that completes a command with a remark.
func Info(text string) Reply { return note(commands.NoteInfo, text) }

// Warning is a Reply that completes a command with a warning.
func Warning(text string) Reply { return note(commands.NoteWarn, text) }

func note(typ commands.NoteType, text string) Reply {
	return Reply{Notes: []commands.Note{{Type: typ, Value: text}}}
}

// actions returns what the requester may do next, given whether there is a step before. XEP-0050 §3.4.
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
