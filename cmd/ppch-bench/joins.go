package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// jitsiPresence is the part of a browser's presence that never changes: without display name and mute state.
const jitsiPresence = "<stats-id>Keshaun-Qx1</stats-id><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://jitsi.org/jitsi-meet' ver='TrTk8qBlKMhjBJPxDsSFF8gJFzM='/>" +
	"<avatar-url>https://example.com/avatars/9b8c1f.png</avatar-url><avatar-id>3a4fb2d8</avatar-id><jitsi_participant_codecList>av1,vp9,vp8,h264</jitsi_participant_codecList>" +
	"<jitsi_participant_region>eu-central-1</jitsi_participant_region><jitsi_participant_e2ee.idKey>x</jitsi_participant_e2ee.idKey>"

// sourceInfo returns Jitsi's element for the mute state.
func sourceInfo(nick string, muted bool) string {
	return fmt.Sprintf(`<SourceInfo>{"%s-a0":{"muted":%t},"%s-v0":{"muted":true}}</SourceInfo>`, nick, muted, nick)
}

// joins measures what module and service add to Prosody's work: the maximum joins per second with and without them,
// and the processor time for joins, for presence that the module sends on, and for presence that it doesn't.
//
// One Prosody has two MUC domains, of which one has the module, and the same crowd does the same on both alternately, A B B A.
// Each turn ends with a garbage collection, which counts as part of it: by itself Lua collects about once in a thousand joins
// for a quarter of a second, and chance would decide in whose turn. Half-way the module and the service move to the other
// domain, because no two domains are exactly equal.
func joins(t *trial) {
	const each = 10
	rooms := t.plan.joined / each
	t.title("Joins on a Prosody with PPCH")
	srv := t.prosody(prosodytest.Options{MUCModules: []string{}})
	must(srv.Shell(t.ctx, `> collectgarbage("stop")`))(t)
	cast := must(srv.Cast(t.ctx))(t)
	t.cleanup(func() { _ = cast.Close() })
	domains := []string{srv.Domains.MUC, srv.Domains.Breakout}
	opened := map[string][]string{}
	for _, domain := range domains {
		for i := range rooms {
			opened[domain] = append(opened[domain], "r"+strconv.Itoa(i)+"@"+domain)
			must(cast.Open(t.ctx, opened[domain][i]))(t)
		}
	}
	crowd := must(srv.Crowd(t.ctx))(t)
	t.cleanup(func() { _ = crowd.Close() })
	crowd.Extra = jitsiPresence
	update := func(extra string) func(string, []prosodytest.Member) []prosodytest.Member {
		return func(_ string, members []prosodytest.Member) []prosodytest.Member {
			for _, m := range members {
				t.check(crowd.Update(m, sourceInfo(m.Nick, false)+extra))
			}
			return members
		}
	}
	work := []func(domain string, members []prosodytest.Member) []prosodytest.Member{
		func(domain string, _ []prosodytest.Member) []prosodytest.Member {
			return must(crowd.Join(t.ctx, each, opened[domain]...))(t)
		},
		update(""),
		update("<jitsi_participant_connectionStatus>x</jitsi_participant_connectionStatus>"),
	}

	var spent [3][2]sample // by work; index 0 is without, 1 with
	var rate [2]sample
	blocks := t.plan.pairs + t.plan.pairs%2 // both halves are equal
	for block := range blocks {
		half := 2 * block / blocks
		unwatch := t.watch(srv, domains[half])
		var cpu [3][2]float64
		var took [2]time.Duration
		for turn := range t.plan.turns {
			var members [2][]prosodytest.Member
			for w, do := range work {
				for i := range 2 {
					with := (turn + i) % 2
					domain := domains[(half+1+with)%2]
					before, began := t.collected(srv), time.Now()
					members[with] = do(domain, members[with])
					worked := time.Since(began)
					// Once Prosody confirms these, it has handled all before them.
					t.check(crowd.Leave(t.ctx, must(crowd.Join(t.ctx, 1, opened[domain][0]))(t)...))
					t.sleep(100 * time.Millisecond) // until the module has sent its batch
					began = time.Now()
					cpu[w][with] += milliseconds(t.collected(srv)-before) / float64(t.plan.turns*rooms*each)
					if w == 0 {
						took[with] += worked + time.Since(began)
					}
				}
			}
			t.check(crowd.Leave(t.ctx, slices.Concat(members[:]...)...))
		}
		unwatch()
		for with := range 2 {
			rate[with] = append(rate[with], float64(t.plan.turns*rooms*each)/took[with].Seconds())
			for w := range work {
				spent[w][with] = append(spent[w][with], cpu[w][with])
			}
		}
	}
	t.row(row{What: "joins that Prosody sustains", Unit: "per s", PPCH: rate[1], Peer: "without", Other: rate[0], Goal: atLeast(0.97)})
	for w, what := range []string{"a join", "a change of presence that is sent", "a change of presence that is not sent"} {
		t.row(row{What: "Prosody's processor time for " + what, Unit: "ms", PPCH: spent[w][1], Peer: "without", Other: spent[w][0]})
	}
}

// watch loads the module on a MUC domain and starts the service for it, until stop is called.
func (t *trial) watch(srv *prosodytest.Server, domain string) (stop func()) {
	must(srv.Shell(t.ctx, fmt.Sprintf(`module:load(%q, %q)`, prosody.ModuleName, domain)))(t)
	s := t.service(srv, domain)
	t.ready(s)
	return func() {
		s.stop()
		must(srv.Shell(t.ctx, fmt.Sprintf(`module:unload(%q, %q)`, prosody.ModuleName, domain)))(t)
	}
}

// collected collects Prosody's garbage and returns its processor time, so that each turn pays for its own garbage.
func (t *trial) collected(srv *prosodytest.Server) time.Duration {
	must(srv.Shell(t.ctx, "> collectgarbage()"))(t)
	return t.cpu(srv.PID())
}
