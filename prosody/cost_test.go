package prosody_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// No presence that a guest can send costs the module more than it costs Prosody.
//
// One Prosody has two room domains, and the module serves one of them. The guest sends the same to both by turns, and the test
// compares Prosody's own processor time, so that other work on the machine meets both alike.
func TestPresence_CostsTheModuleAtMostWhatItCostsProsody(t *testing.T) {
	srv := start(t, prosodytest.Options{
		HostModules: map[string][]string{"muc.meet.jitsi": {name}},
		HostConfig: map[string]string{
			"muc.meet.jitsi":      "restrict_room_creation = false",
			"breakout.meet.jitsi": "restrict_room_creation = false",
		},
		// Nothing may share a batch, so that each is read.
		ModuleConstants: map[string]string{"tick": "0.001", "window_limit": "256"},
	})
	f := follow(t, srv)
	go f.acknowledge(t.Context())
	guest := newComponent(t, srv, srv.Domains.Cast)
	tag := func(name, text string) string { return "<" + name + ">" + prosodytest.Escape(text) + "</" + name + ">" }
	sources := func(text string) string { return tag("SourceInfo", text) }
	update := func(extra func(i int) string) func(domain string, i int) string {
		return func(domain string, i int) string {
			return "<presence from='guest@cast.meet.jitsi/x' to='alpha@" + domain + "/guest'>" + extra(i) + "</presence>"
		}
	}
	// Each differs from the one before, so that nothing can be reused.
	for _, c := range []struct {
		what string
		n    int
		send func(domain string, i int) string
	}{
		{"nothing new", 100, update(func(int) string { return "" })},
		{"a hand", 100, update(func(i int) string { return tag("jitsi_participant_raisedHand", sprint(i%2)) })},
		{"a microphone", 100, update(func(i int) string { return sources(fmt.Sprintf(`{"a-a0":{"muted":%t}}`, i%2 == 0)) })},
		{"a name", 100, update(func(i int) string { return prosodytest.DisplayName(sprint("Guest ", i)) })},
		{"a long name", 8, update(func(i int) string { return prosodytest.DisplayName(sprint(i) + strings.Repeat("<", 40_000)) })},
		{"a long name of long characters", 8, update(func(i int) string { return prosodytest.DisplayName(sprint(i) + strings.Repeat("🤖", 40_000)) })},
		{"a long URL of an avatar", 8, update(func(i int) string { return tag("avatar-url", sprint(i)+strings.Repeat("\\", 200_000)) })},
		{"sources of nested lists", 8, update(func(i int) string { return sources(strings.Repeat("[", 16_000) + sprint(i)) })},
		{"sources of few nested lists", 40, update(func(i int) string { return sources(strings.Repeat("[", 4_000) + sprint(i)) })},
		{"sources of nested objects", 40, update(func(i int) string {
			return sources(`{"` + sprint(i) + `":` + strings.Repeat(`{"a-a0":`, 400) + strings.Repeat("}", 401))
		})},
		{"sources of nested objects that don't end", 40, update(func(i int) string { return sources(strings.Repeat(`{"a-a0":`, 500) + sprint(i)) })},
		{"many sources", 40, update(func(i int) string {
			return sources(`{"` + sprint(i) + `":7` + strings.Repeat(`,"-a0":{"muted":false}`, 150) + "}")
		})},
		{"sources of quotes", 40, update(func(i int) string { return sources(`{"` + sprint(i) + `":` + strings.Repeat(`"`, 4_000) + "}") })},
		{"sources of blanks", 40, update(func(i int) string { return sources(`{"` + sprint(i) + `-a0"` + strings.Repeat(" ", 4_000) + "}") })},
		{"10,000 children", 4, update(func(i int) string { return strings.Repeat("<x/>", 10_000) + sprint(i) })},
		{"10,000 names", 4, update(func(i int) string { return strings.Repeat(prosodytest.DisplayName(sprint(i)), 5_000) })},
		{"10,000 microphones", 4, update(func(i int) string { return strings.Repeat(tag("audiomuted", sprint(i%2 == 0)), 10_000) })},
		{"10,000 e-mails", 4, update(func(i int) string { return strings.Repeat(tag("email", "inbound-sip-jibr"), 8_000) })},
		{"10,000 features", 4, update(func(i int) string { return "<features>" + strings.Repeat("<feature var='x'/>", 10_000) + "</features>" })},
		{"500 times 25 features", 4, update(func(i int) string {
			return strings.Repeat("<features>"+strings.Repeat("<feature var='x'/>", 25)+"</features>", 500)
		})},
		{"a nick", 100, func(domain string, i int) string {
			return fmt.Sprintf("<presence from='renamed@cast.meet.jitsi/x' to='beta@%s/%d'><x xmlns='http://jabber.org/protocol/muc'/></presence>", domain, i)
		}},
		{"an occupant who comes and goes", 100, func(domain string, i int) string {
			return comeAndGo("alpha@"+domain, i)
		}},
		{"a room that comes and goes", 100, func(domain string, i int) string {
			return comeAndGo(fmt.Sprintf("r%d@%s", i/2, domain), i)
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			work := func(domain string, from int) float64 {
				before := collected(t, srv)
				for i := range c.n {
					check(t, guest.Send(c.send(domain, from+i)))
					time.Sleep(2 * time.Millisecond)
				}
				must(guest.IQ(within(t), domain, "get", discoInfo))(t) // all before it was handled
				time.Sleep(50 * time.Millisecond)                      // and sent
				return collected(t, srv) - before
			}
			for _, domain := range []string{"muc.meet.jitsi", "breakout.meet.jitsi"} {
				check(t, guest.Send("<presence from='guest@cast.meet.jitsi/x' to='alpha@"+domain+"/guest'><x xmlns='http://jabber.org/protocol/muc'/></presence>"))
				work(domain, 0)
			}
			collecting := -collected(t, srv) + collected(t, srv)
			var ratios []float64
			for turn := 1; turn <= 3; turn++ {
				with, without := work("muc.meet.jitsi", turn*c.n), work("breakout.meet.jitsi", turn*c.n)
				ratios = append(ratios, (with-collecting)/(without-collecting))
			}
			slices.Sort(ratios)
			t.Logf("%.2f times the processor time without the module (%.2f to %.2f)", ratios[1], ratios[0], ratios[2])
			if ratios[1] > 2 {
				t.Errorf("Prosody needs %.2f times its own time, want at most 2", ratios[1])
			}
		})
	}
}

// comeAndGo has a person join and leave a room repeatedly.
func comeAndGo(room string, i int) string {
	to := "to='" + room + "/comes' from='comes@cast.meet.jitsi/x'"
	if i%2 == 0 {
		return "<presence " + to + "><x xmlns='http://jabber.org/protocol/muc'/></presence>"
	}
	return "<presence " + to + " type='unavailable'/>"
}

// acknowledge acknowledges every batch, unread, until ctx ends.
func (f *follower) acknowledge(ctx context.Context) {
	for ctx.Err() == nil {
		if st, err := f.client.Expect(ctx, func(st prosodytest.Stanza) bool { return st.Name == "iq" && st.Type == "set" }); err == nil {
			_ = f.client.Send("<iq type='result' id='" + st.ID + "' from='" + st.To + "' to='" + st.From + "'/>")
		}
	}
}

// collected is the processor time, in ms, that Prosody has taken when all its garbage is collected, so that what
// made the garbage pays for it (Documentation/scheduler/sched-stats of Linux, /proc/PID/schedstat).
func collected(t testing.TB, srv *prosodytest.Server) float64 {
	t.Helper()
	lua(t, srv, `collectgarbage(); return "";`)
	threads := must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", srv.PID())))(t)
	if len(threads) == 0 {
		t.Skip("this kernel doesn't say how much processor time a process has taken")
	}
	var all float64
	for _, thread := range threads {
		first, _, _ := bytes.Cut(must(os.ReadFile(thread))(t), []byte(" "))
		all += float64(number(t, string(first))) / 1e6
	}
	return all
}
