package component_test

import (
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// likeAHost is the answer of a component that pretends to be a VirtualHost.
const likeAHost = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im' name='Prosody'/></query>"

func TestAdmin_OnlyOfLocalHosts(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{GuestDomain: true, Accounts: map[string]string{bossJID: "secret"}})
	ctx := timeout(t, 90*time.Second)
	liar := must(srv.Component(ctx, srv.Domains.Cast))(t)
	defer liar.Close()
	lies := make(chan int, 1)
	go func() {
		n := 0
		for {
			q, err := liar.Expect(ctx, func(st prosodytest.Stanza) bool { return st.Name == "iq" && st.Has("disco#info") })
			if err != nil {
				lies <- n
				return
			}
			n++
			liar.Send("<iq type='result' id='" + prosodytest.Escape(q.ID) + "' from='" + q.To + "' to='" + q.From + "'>" + likeAHost + "</iq>")
		}
	}()
	entries := []string{
		"cast.meet.jitsi", "liar@cast.meet.jitsi", // another component, which lies
		"internal-muc.meet.jitsi", "room@lobby.meet.jitsi", // MUC services of this Prosody
		"elsewhere.example", "boss@elsewhere.example", // no host of this Prosody
		"guest.meet.jitsi", bossJID, // hosts where people log in
	}
	c := on(t, srv, adminIs(entries...))
	ready(t, c)
	eventually(t, 30*time.Second, "the last entry is verified", func() bool {
		all := c.Diagnostics().Admins
		return all[len(all)-1].Local
	})
	for i, a := range c.Diagnostics().Admins {
		if want := i >= 6; a.Local != want || a.JID.String() != entries[i] {
			t.Errorf("%s: got %+v want it to count: %t", entries[i], a, want)
		}
	}
	ask := func(who *prosodytest.Client, from string) string {
		t.Helper()
		st, _ := who.IQFrom(ctx, from, srv.Domains.Component, "get", "<ping xmlns='urn:xmpp:ping'/>")
		return st.XML
	}
	for _, from := range []string{"cast.meet.jitsi", "liar@cast.meet.jitsi", "liar@cast.meet.jitsi/x"} {
		has(t, from, ask(liar, from), "service-unavailable")
	}
	boss := must(srv.Login(ctx, bossJID+"/desk"))(t)
	defer boss.Close()
	if xml := ask(boss, ""); !strings.Contains(xml, "type='result'") {
		t.Errorf("the admin got %s", xml)
	}
	// A domain includes all its accounts, even guests: the operator chose that, and was warned.
	guest := must(srv.GuestAt(ctx, srv.Domains.Guest))(t)
	defer guest.Close()
	if xml := ask(guest, ""); !strings.Contains(xml, "type='result'") {
		t.Errorf("%s got %s", guest.JID(), xml)
	}
	// A client's own from is overwritten.
	forger := must(srv.Guest(ctx))(t)
	defer forger.Close()
	if xml := ask(forger, bossJID+"/desk"); strings.Contains(xml, "type='result'") {
		t.Errorf("a guest in the admin's name got %s", xml)
	}
	liar.Drop()
	if n := <-lies; n == 0 {
		t.Error("the liar was never asked")
	}
}

func TestAdmin_VerifiedAgainAfterARestart(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule)
	check(t, s.srv.Restart(s.ctx))
	eventually(t, 30*time.Second, "the admin is verified again", func() bool {
		if !s.c.Diagnostics().Admins[0].Local {
			return false
		}
		boss, err := s.srv.Login(s.ctx, bossJID+"/desk")
		if err != nil {
			return false
		}
		defer boss.Close()
		st, err := boss.IQ(s.ctx, s.srv.Domains.Component, "get", "<ping xmlns='urn:xmpp:ping'/>")
		return err == nil && st.Type == "result"
	})
}
