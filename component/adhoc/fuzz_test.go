package adhoc_test

import (
	"strings"
	"testing"

	"ppch/component/adhoc"
	"ppch/component/componenttest"
)

// wellFormed reports whether s is one element and nothing else, as every payload on a stream is.
func wellFormed(s string) bool {
	n, ok := componenttest.Elements(s)
	return ok && n == 1
}

// FuzzCommand sends any command, with SID for the id of a running session:
// there is one answer, it is XML, and the session survives a refusal.
func FuzzCommand(f *testing.F) {
	f.Add(command("node='order' action='next' sessionid='SID'", submit("what", "tea")))
	f.Add(command("node='order' action='prev' sessionid='SID'", ""))
	f.Add(command("node='menu'", "text <x xmlns='jabber:x:data'><title/><instructions/><reported/><item/></x>"))
	f.Add(command("node='order' x:action='next' xmlns:x='y'", "<actions/><note/>"))
	f.Add(`<command xmlns='http://jabber.org/protocol/commands'/>`)
	f.Fuzz(func(t *testing.T, payload string) {
		r := newResponder(adhoc.Config{})
		payload = strings.ReplaceAll(payload, "SID", open(t, r, ann))
		if !wellFormed(payload) || !strings.HasPrefix(payload, "<command xmlns='http://jabber.org/protocol/commands'") {
			t.Skip()
		}
		a, raw := ask(t, r, ann, payload)
		if a.Type != "error" && a.Command.Status == "" || a.Type == "error" && a.conditions() == "" {
			t.Errorf("%q got %q", payload, raw)
		}
		if a.Type == "error" && r.Open() != 1 {
			t.Errorf("%q was refused, and the session is gone", payload)
		}
	})
}

// FuzzForm sends any form for a step: it is accepted, or refused as bad-payload.
func FuzzForm(f *testing.F) {
	f.Add(submit("what", "tea"))
	f.Add(`<x xmlns='jabber:x:data' type='submit'><field/><field var='what'/><field var='what'><value/><value>x</value></field></x>`)
	f.Add(`<x xmlns='jabber:x:data'><field var='what' type='jid-multi'><required/><option label=''><value>x</value></option></field></x>`)
	f.Add(`<x xmlns='jabber:x:data' type='submit'>text<field var='what'><value><value>x</value></value></field></x>`)
	f.Fuzz(func(t *testing.T, x string) {
		if !wellFormed(x) {
			t.Skip()
		}
		r := newResponder(adhoc.Config{})
		sid := open(t, r, ann)
		a, raw := ask(t, r, ann, command("node='order' action='next' sessionid='"+sid+"'", x))
		if a.Command.Status != "executing" && a.conditions() != "bad-request bad-payload" {
			t.Errorf("%q got %q", x, raw)
		}
	})
}
