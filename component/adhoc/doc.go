// Package adhoc answers ad-hoc commands (XEP-0050): the responder's side of what mellium.im/xmpp/commands is the requester's.
//
// A [Command] is a chain of stages. Each [Stage] takes the form of the stage before it
// and returns a [Reply]: a form with the stage that takes it, or a result.
// The [Responder] does the rest: it keeps sessions that can't be guessed and belong to one client,
// leads back and forth through the stages, drops idle sessions, and refuses what it must in the words of the XEP.
//
// Check who may use a command before: the Responder answers every client.
//
// The package depends on mellium.im alone, and on nothing of the program around it.
package adhoc
