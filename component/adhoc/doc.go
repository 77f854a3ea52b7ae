// Package adhoc answers ad-hoc commands (XEP-0050): the responder's side of what mellium.im/xmpp/commands is the requester's.
//
// A [Command] is a chain of stages. Each [Stage] is given what was filled in at the one before
// and returns a [Reply]: a form to fill in with the stage that takes it, or the last word.
// The [Responder] does the rest: it hands out sessions that can't be guessed, keeps them to whom they belong,
// leads back and forth through the stages, forgets what nobody came back to, and answers what it refuses in the words of the XEP.
//
//	r := adhoc.NewResponder(adhoc.Config{JID: self}, adhoc.Command{
//		Node: "greet", Name: "Be greeted",
//		Start: func(adhoc.Request) (adhoc.Reply, error) {
//			ask := form.New(form.Title("Who are you?"), form.Text("name"))
//			return adhoc.Reply{Form: ask, Last: true, Next: func(r adhoc.Request) (adhoc.Reply, error) {
//				return adhoc.Info("Hello, " + r.Form.Value("name")), nil
//			}}, nil
//		},
//	})
//	m := mux.New(stanza.NSClient, adhoc.Handle(r), disco.Handle())
//
// Who may use a command is decided before: whatever reaches the Responder is answered.
//
// The package depends on mellium.im alone, and on nothing of the program around it.
package adhoc
