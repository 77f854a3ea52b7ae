package adhoc_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/disco/items"

	"ppch/component/adhoc"
	"ppch/component/componenttest"
)

const (
	ann = "ann@example.org/desk"
	bob = "bob@example.org/desk"
)

func TestResponder_StepsForthAndBack(t *testing.T) {
	r := newResponder(adhoc.Config{})
	a, _ := ask(t, r, ann, command("node='order' action='execute'", ""))
	sid := a.Command.Session
	if len(sid) < 20 {
		t.Fatalf("the session id %q can be guessed", sid)
	}
	for i, step := range []struct{ action, inside, title, actions, status string }{
		{"next", submit("what", "tea"), "size of the tea", "prev complete!", "executing"},
		{"prev", "", "drink", "next!", "executing"},
		{"execute", submit("what", "coffee"), "size of the coffee", "prev complete!", "executing"},
		{"complete", submit("what", "large"), "", "", "completed"},
	} {
		a, raw := ask(t, r, ann, command(fmt.Sprintf("node='order' sessionid='%s' action='%s'", sid, step.action), step.inside))
		if a.title() != step.title || a.actions() != step.actions || a.Command.Status != step.status || a.Command.Session != sid || a.Command.Node != "order" {
			t.Fatalf("step %d got %s want %+v", i, raw, step)
		}
		if step.status == "completed" && a.Command.Notes[0].Text != "large coffee" {
			t.Errorf("got %s want a large coffee", raw)
		}
	}
	if n := r.Open(); n != 0 {
		t.Errorf("got %d running commands want none", n)
	}
}

func TestResponder_Cancel(t *testing.T) {
	r := newResponder(adhoc.Config{})
	a, _ := ask(t, r, ann, command("node='order'", ""))
	a, raw := ask(t, r, ann, command("node='order' action='cancel' sessionid='"+a.Command.Session+"'", ""))
	if a.Command.Status != "canceled" || r.Open() != 0 {
		t.Errorf("got %s and %d running", raw, r.Open())
	}
}

func TestTable_HoldsAnyText(t *testing.T) {
	a, raw := ask(t, newResponder(adhoc.Config{}), ann, command("node='menu'", ""))
	if a.Command.Status != "completed" || a.Command.Form[0].Type != "result" {
		t.Fatalf("got %s", raw)
	}
	componenttest.Has(t, raw, `type="text-single"><value>hot</value></field>`, `type="text-multi"><value>a</value><value>b</value></field>`)
	var got []string
	for _, i := range a.Command.Form[0].Items {
		for _, f := range i.Fields {
			got = append(got, f.Var+"="+f.Value)
		}
	}
	if diff := cmp.Diff([]string{"name=tea <&'\">", "price=1", "name=кофе", "price=2", "name=short", "name=too", "price=3"}, got); diff != "" {
		t.Error(diff)
	}
}

// open begins the command order and returns its session.
func open(t *testing.T, r *adhoc.Responder, from string) string {
	a, _ := ask(t, r, from, command("node='order'", ""))
	return a.Command.Session
}

// An error names what is possible instead.
func TestResponder_ErrorsNameThePossibleActions(t *testing.T) {
	r := newResponder(adhoc.Config{})
	first, second := open(t, r, ann), open(t, r, ann)
	ask(t, r, ann, command("node='order' action='next' sessionid='"+second+"'", submit("what", "tea")))
	for payload, want := range map[string]string{
		command("node='order' action='next'", ""):                           "next without a session is not possible now; possible: execute",
		command("node='order' action='prev' sessionid='"+first+"'", ""):     "prev is not possible now; possible: next, cancel",
		command("node='order' action='complete' sessionid='"+first+"'", ""): "complete is not possible now; possible: next, cancel",
		command("node='order' action='next' sessionid='"+second+"'", ""):    "next is not possible now; possible: complete, prev, cancel",
		command("node='nothing'", ""):                                       `unknown command &#34;nothing&#34;; available: order, `,
	} {
		if _, raw := ask(t, r, ann, payload); !strings.Contains(raw, want) {
			t.Errorf("%s: got %s want %q in it", payload, raw, want)
		}
	}
}

func TestResponder_RefusesByXEP0050(t *testing.T) {
	r := newResponder(adhoc.Config{})
	mine, hers := open(t, r, ann), open(t, r, bob)
	over := open(t, r, ann)
	ask(t, r, ann, command("node='order' action='cancel' sessionid='"+over+"'", ""))
	for name, tt := range map[string]struct{ payload, want string }{
		"no node":                       {command("", ""), "item-not-found"},
		"an unknown node":               {command("node='nothing'", ""), "item-not-found"},
		"an unknown action":             {command("node='order' action='explode'", ""), "bad-request malformed-action"},
		"next without a session":        {command("node='order' action='next'", ""), "bad-request bad-action"},
		"cancel without a session":      {command("node='order' action='cancel'", ""), "bad-request bad-action"},
		"a guessed session":             {command("node='order' action='next' sessionid='1'", submit("what", "tea")), "bad-request bad-sessionid"},
		"another owner's session":       {command("node='order' action='next' sessionid='"+hers+"'", submit("what", "tea")), "bad-request bad-sessionid"},
		"another owner's, to cancel":    {command("node='order' action='cancel' sessionid='"+hers+"'", ""), "bad-request bad-sessionid"},
		"a session of another command":  {command("node='menu' action='next' sessionid='"+mine+"'", ""), "bad-request bad-sessionid"},
		"a session that is over":        {command("node='order' action='next' sessionid='"+over+"'", submit("what", "tea")), "bad-request bad-sessionid"},
		"back from the first step":      {command("node='order' action='prev' sessionid='"+mine+"'", ""), "bad-request bad-action"},
		"complete before the last step": {command("node='order' action='complete' sessionid='"+mine+"'", submit("what", "tea")), "bad-request bad-action"},
		"a form filled in wrongly":      {command("node='order' action='next' sessionid='"+mine+"'", submit("what", " ")), "bad-request bad-payload"},
		"no form":                       {command("node='order' action='next' sessionid='"+mine+"'", ""), "bad-request bad-payload"},
		"two forms":                     {command("node='order' action='next' sessionid='"+mine+"'", submit("what", "tea")+submit("what", "tea")), "bad-request bad-payload"},
		"a form of another type":        {command("node='order' action='next' sessionid='"+mine+"'", strings.Replace(submit("what", "tea"), "submit", "cancel", 1)), "bad-request bad-payload"},
		"a form with foreign children":  {command("node='order' action='next' sessionid='"+mine+"'", `<x xmlns='jabber:x:data' type='submit'><y/></x>`), "bad-request bad-payload"},
		"a command that fails":          {command("node='broken'", ""), "internal-server-error"},
	} {
		a, raw := ask(t, r, ann, tt.payload)
		if a.Type != "error" || a.conditions() != tt.want {
			t.Errorf("%s: got %s want %s", name, raw, tt.want)
		}
		if strings.Contains(raw, "EOF") {
			t.Errorf("%s: %s shows internals", name, raw)
		}
	}
	// After all that both are where they were.
	for from, sid := range map[string]string{ann: mine, bob: hers} {
		if a, raw := ask(t, r, from, command("node='order' action='next' sessionid='"+sid+"'", submit("what", "tea"))); a.title() != "size of the tea" {
			t.Errorf("%s got %s want the next step", from, raw)
		}
	}
}

func TestResponder_SessionIsOfOneClient(t *testing.T) {
	r := newResponder(adhoc.Config{})
	sid := open(t, r, ann)
	a, raw := ask(t, r, "ann@example.org/phone", command("node='order' action='next' sessionid='"+sid+"'", submit("what", "tea")))
	if a.conditions() != "bad-request bad-sessionid" {
		t.Errorf("got %s", raw)
	}
}

func TestResponder_IdleSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResponder(adhoc.Config{Idle: time.Minute})
		sid, forgotten := open(t, r, ann), open(t, r, ann)
		for range 3 {
			time.Sleep(50 * time.Second)
			if a, raw := ask(t, r, ann, command("node='order' action='next' sessionid='"+sid+"'", "")); a.conditions() != "bad-request bad-payload" {
				t.Fatalf("got %s want the command still running", raw)
			}
		}
		if a, raw := ask(t, r, ann, command("node='order' action='next' sessionid='"+forgotten+"'", "")); a.conditions() != "not-allowed session-expired" {
			t.Errorf("got %s want an expired session", raw)
		}
		time.Sleep(61 * time.Second)
		open(t, r, bob)
		if n := r.Open(); n != 1 {
			t.Errorf("got %d running commands want the new one alone", n)
		}
	})
}

func TestResponder_BoundsSessionsOfAnAccount(t *testing.T) {
	r := newResponder(adhoc.Config{})
	others := open(t, r, bob)
	var last string
	for range 10_000 {
		last = open(t, r, ann)
	}
	if n := r.Open(); n != 11 {
		t.Errorf("got %d running want ten and Bob's", n)
	}
	for from, sid := range map[string]string{ann: last, bob: others} {
		if a, raw := ask(t, r, from, command("node='order' action='next' sessionid='"+sid+"'", submit("what", "tea"))); a.title() != "size of the tea" {
			t.Errorf("%s got %s want to go on", from, raw)
		}
	}
}

func TestResponder_BoundsAllSessions(t *testing.T) {
	r := newResponder(adhoc.Config{Total: 100})
	for i := range 100 {
		open(t, r, fmt.Sprintf("user%d@example.org/x", i))
	}
	if a, raw := ask(t, r, ann, command("node='order'", "")); a.conditions() != "resource-constraint" || a.Error.Type != "wait" {
		t.Errorf("got %s want a refusal of type wait", raw)
	}
	if a, raw := ask(t, r, ann, command("node='menu'", "")); a.Command.Status != "completed" {
		t.Errorf("got %s want a command of one step to go on working", raw)
	}
}

func TestResponder_BoundsStepsBack(t *testing.T) {
	r := newResponder(adhoc.Config{})
	a, _ := ask(t, r, ann, command("node='circle'", ""))
	sid := a.Command.Session
	for range 1000 {
		ask(t, r, ann, command("node='circle' action='next' sessionid='"+sid+"'", ""))
	}
	back := 0
	for {
		a, _ := ask(t, r, ann, command("node='circle' action='prev' sessionid='"+sid+"'", ""))
		if a.Type == "error" {
			break
		}
		back++
	}
	if back != 15 {
		t.Errorf("got %d steps back want 15", back)
	}
}

func TestResponder_ConcurrentStepsRunOneByOne(t *testing.T) {
	var runs atomic.Int32
	slow := func(adhoc.Request) (adhoc.Reply, error) {
		runs.Add(1)
		time.Sleep(50 * time.Millisecond)
		return adhoc.Info("done"), nil
	}
	r := adhoc.NewResponder(adhoc.Config{}, adhoc.Command{Node: "slow", Start: func(adhoc.Request) (adhoc.Reply, error) {
		return adhoc.Reply{Next: slow, Last: true}, nil
	}})
	a, _ := ask(t, r, ann, command("node='slow'", ""))
	sid := a.Command.Session
	var mu sync.Mutex
	done := map[string]int{}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			a, _ := ask(t, r, ann, command("node='slow' action='complete' sessionid='"+sid+"'", ""))
			mu.Lock()
			defer mu.Unlock()
			done[a.Command.Status+a.conditions()]++
		})
	}
	all.Wait()
	if diff := cmp.Diff(map[string]int{"completed": 1, "bad-request bad-sessionid": 19}, done); diff != "" || runs.Load() != 1 {
		t.Errorf("the step was taken %d times: %s", runs.Load(), diff)
	}
}

func TestResponder_Disco(t *testing.T) {
	r := newResponder(adhoc.Config{})
	var got []string
	_ = r.ForItems("http://jabber.org/protocol/commands", func(i items.Item) error {
		got = append(got, i.JID.String()+" "+i.Node+" "+i.Name)
		return nil
	})
	for _, node := range []string{"", "http://jabber.org/protocol/commands", "order", "nothing"} {
		_ = r.ForIdentities(node, func(i info.Identity) error {
			got = append(got, node+": "+i.Category+"/"+i.Type+" "+i.Name)
			return nil
		})
		_ = r.ForFeatures(node, func(f info.Feature) error {
			got = append(got, node+": "+f.Var)
			return nil
		})
	}
	want := []string{
		"responder.example order Order", "responder.example menu Menu", "responder.example circle Circle", "responder.example broken Broken",
		": http://jabber.org/protocol/commands", ": jabber:x:data",
		"http://jabber.org/protocol/commands: automation/command-list ",
		"order: automation/command-node Order", "order: http://jabber.org/protocol/commands", "order: jabber:x:data",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
