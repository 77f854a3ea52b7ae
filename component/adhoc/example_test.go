package adhoc_test

import (
	"fmt"

	"mellium.im/xmpp/commands"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/items"
	"mellium.im/xmpp/form"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"ppch/component/adhoc"
)

func ExampleResponder() {
	greet := adhoc.Command{Node: "greet", Name: "Get a greeting", Start: func(adhoc.Request) (adhoc.Reply, error) {
		ask := form.New(form.Title("Who are you?"), form.Text("name"))
		return adhoc.Reply{Form: ask, Last: true, Next: func(r adhoc.Request) (adhoc.Reply, error) {
			return adhoc.Info("Hello, " + r.Form.Value("name")), nil
		}}, nil
	}}
	r := adhoc.NewResponder(adhoc.Config{JID: jid.MustParse("greeter.example")}, greet)
	m := mux.New(stanza.NSClient, adhoc.Handle(r), disco.Handle()) // handles the stanzas of a session

	_ = m.ForItems(commands.NS, func(i items.Item) error {
		fmt.Println(i.JID, i.Node, "-", i.Name)
		return nil
	})
	// Output: greeter.example greet - Get a greeting
}
