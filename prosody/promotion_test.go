package prosody_test

import (
	"strings"
	"testing"

	"ppch/prosody/prosodytest"
)

// promotion is what Jitsi's visitors component tells a visitor node.
func promotion(room, visitor, login, allow string) string {
	return "<visitors xmlns='jitsi:visitors' room='" + room + "'><promotion-response xmlns='jitsi:visitors' jid='" + visitor + "' username='" + login +
		"' allow='" + allow + "'/></visitors>"
}

// The main Prosody knows the login of each visitor whom it promotes, so it knows from where the visitor comes.
func TestPromotion_OnTheMainProsody(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{
		MUCModules: []string{name}, HostModules: map[string][]string{"auth.meet.jitsi": {"visitors_component"}},
		Components: []string{"plain.example"},
	})
	cast := newCast(t, srv)
	alpha := srv.Room("alpha")
	focus := must(cast.Open(within(t), alpha))(t)
	f := follow(t, srv).untilSynced()
	guest := func() (*prosodytest.Client, string) {
		c := must(srv.Guest(within(t)))(t)
		login, _, _ := strings.Cut(c.JID(), "@")
		return c, login
	}
	promote := func(room, login, allow string) {
		lua(t, srv, `prosody.hosts["auth.meet.jitsi"].modules.visitors_component.promote("v1.meet.jitsi", "`+room+`", "vic@v1.meet.jitsi/x", "`+login+`", "`+allow+`"); return "";`)
	}
	join := func(c *prosodytest.Client, nick, want string) {
		t.Helper()
		must(c.Join(within(t), alpha, nick))(t)
		if o := f.occupant(alpha, nick, nil); o.movedFrom() != want {
			t.Errorf("%s moved from %q want %q", nick, o.movedFrom(), want)
		}
	}
	vic, login := guest()
	promote("alpha@muc.v1.meet.jitsi", login, "true")
	join(vic, "vic", "alpha@muc.v1.meet.jitsi")
	other, _ := guest()
	join(other, "other", "")
	again, login := guest()
	promote("alpha@muc.v1.meet.jitsi", login, "false")
	join(again, "again", "")
	strange, login := guest()
	promote("unknown@muc.v1.meet.jitsi", login, "true")
	join(strange, "strange", "")
	// Neither a login nor a room that is missing does harm, nor an occupant without a localpart.
	_, login = guest()
	promote("alpha@muc.v1.meet.jitsi", login, "true")
	promote("alpha", "x", "true")
	promote("", "", "true")
	plain := newComponent(t, srv, "plain.example")
	must(plain.JoinAs(within(t), "plain.example", alpha, "plain"))(t)
	if o := f.occupant(alpha, "plain", nil); o.movedFrom() != "" {
		t.Errorf("plain moved from %q want nowhere", o.movedFrom())
	}
	// A client of the component's host can't promote anyone.
	forger, login := guest()
	_, err := focus.IQ(within(t), "v1.meet.jitsi", "set", promotion("alpha@muc.v1.meet.jitsi", "vic@v1.meet.jitsi/x", login, "true"))
	wantCondition(t, err, "not-allowed") // there is no such server; by now, Prosody has tried to send it
	join(forger, "forger", "")
	f.matches(srv)
}

// The room passes the promotion to the visitor, so the module knows why the visitor leaves.
func TestPromotion_OnTheVisitorNode(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{
		MUCModules: []string{name}, HostModules: map[string][]string{"muc.meet.jitsi": {"fmuc"}}, HostConfig: map[string]string{"muc.meet.jitsi": `main_domain = "main.example"`},
		Components:      []string{"main.example", "visitors.main.example", "visitors.other.example"},
		ModuleConstants: map[string]string{"max_moved": "3"}, // the promotions in this test
	})
	cast := newCast(t, srv)
	alpha, beta := srv.Room("alpha"), srv.Room("beta")
	focus := must(cast.Open(within(t), alpha))(t)
	must(cast.Open(within(t), beta))(t)
	main := newComponent(t, srv, "main.example")
	must(main.JoinAs(within(t), "ann@main.example/web", alpha, "ann"))(t)
	f := follow(t, srv).untilSynced()
	visitors, others := newComponent(t, srv, "visitors.main.example"), newComponent(t, srv, "visitors.other.example")
	join := func(room, nick string) (*prosodytest.Client, *prosodytest.Occupant) {
		t.Helper()
		guest := must(srv.Guest(within(t)))(t)
		o := must(guest.Join(within(t), room, nick))(t)
		f.occupant(room, nick, nil)
		return guest, o
	}
	send := func(from *prosodytest.Client, to, answer string) {
		t.Helper()
		_, _ = from.IQ(within(t), to, "set", answer) // nothing handles some of them
	}
	// Another occupant can't promote, neither through the room nor directly, nor use up the module's memory of promotions.
	guest, o := join(alpha, "victim")
	forger, _ := join(alpha, "forger")
	for _, to := range []string{alpha + "/victim", alpha, guest.JID()} {
		check(t, forger.Send("<iq type='set' id='f' to='"+to+"'>"+promotion(alpha, guest.JID(), "abc", "true")+"</iq>"))
	}
	must(forger.IQ(within(t), srv.Domains.Main, "get", discoInfo))(t) // Prosody has handled them
	check(t, o.Leave(within(t)))
	wantReason(t, f, alpha, "victim", "left")

	for nick, c := range map[string]struct {
		from        *prosodytest.Client
		room, allow string
		want        string
	}{
		"promoted":     {visitors, alpha, "true", "moved"},
		"refused":      {visitors, alpha, "false", "left"},
		"forged":       {others, alpha, "true", "left"},
		"elsewhere":    {visitors, beta, "true", "left"},
		"unknown room": {visitors, srv.Room("unknown"), "true", "left"},
		"no room":      {visitors, "", "true", "left"},
		"alone":        {nil, "", "", "left"},
	} {
		guest, o := join(alpha, nick)
		if c.from != nil {
			send(c.from, srv.Domains.Main, promotion(c.room, guest.JID(), "abc", c.allow))
		}
		check(t, o.Leave(within(t)))
		wantReason(t, f, alpha, nick, c.want)
	}

	guest, _ = join(alpha, "kicked")
	send(visitors, srv.Domains.Main, promotion(alpha, guest.JID(), "abc", "true"))
	check(t, focus.Kick(within(t), alpha, "kicked", "noise"))
	wantReason(t, f, alpha, "kicked", "kicked")

	// The promotion is for one room, and for one leave.
	guest, o = join(alpha, "twice")
	in := must(guest.Join(within(t), beta, "twice"))(t)
	f.occupant(beta, "twice", nil)
	send(visitors, srv.Domains.Main, promotion(beta, guest.JID(), "abc", "true"))
	check(t, o.Leave(within(t)))
	wantReason(t, f, alpha, "twice", "left")
	check(t, in.Leave(within(t)))
	wantReason(t, f, beta, "twice", "moved")
	in = must(guest.Join(within(t), beta, "again"))(t)
	f.occupant(beta, "again", nil)
	check(t, in.Leave(within(t)))
	wantReason(t, f, beta, "again", "left")
	f.matches(srv)
}
