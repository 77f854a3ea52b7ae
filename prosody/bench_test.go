package prosody_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// populate fills Prosody's memory with rooms and people, much faster than they could join.
func populate(t testing.TB, srv *prosodytest.Server, rooms, each int) {
	t.Helper()
	lua(t, srv, fmt.Sprintf(`
		local st = require "util.stanza";
		for r = 1, %d do
			local room = %s.create_room(("room%%d@muc.meet.jitsi"):format(r));
			for o = 1, %d do
				local bare = ("u%%d-%%d@meet.jitsi"):format(r, o);
				local occupant = room:new_occupant(bare, ("%%s/%%08x"):format(room.jid, o));
				occupant:set_session(bare .. "/web", st.presence()
					:tag("nick", { xmlns = "http://jabber.org/protocol/nick" }):text("User "..o):up()
					:tag("stats-id"):text("Some-xyz"):up()
					:tag("jitsi_participant_codecList"):text("av1,vp9,vp8,h264"):up()
					:tag("avatar-url"):text("https://example.com/avatars/"..o..".png"):up()
					:tag("SourceInfo"):text(('{"%%08x-a0":{"muted":true},"%%08x-v0":{"muted":false}}'):format(o, o)):up()
					:tag("c", { xmlns = "http://jabber.org/protocol/caps", hash = "sha-1", node = "https://jitsi.org", ver = "x" }):up());
				room:save_occupant(occupant);
			end
		end
		return "done";`, rooms, muc, each))
}

// clock is the time of the processor that Prosody has taken.
func clock(t testing.TB, srv *prosodytest.Server) time.Duration {
	t.Helper()
	seconds := must(strconv.ParseFloat(lua(t, srv, `return ("%.6f"):format(os.clock());`), 64))(t)
	return time.Duration(seconds * float64(time.Second))
}

// collected is the clock when all garbage is collected, so that whoever left it pays for it.
func collected(t testing.TB, srv *prosodytest.Server) time.Duration {
	t.Helper()
	lua(t, srv, `collectgarbage(); return "";`)
	return clock(t, srv)
}

// BenchmarkSnapshot is how long 10,000 rooms with 100,000 occupants take to be told, and
// how much longer a ping to Prosody waits meanwhile. Each snapshot follows as long a time
// without one.
func BenchmarkSnapshot(b *testing.B) {
	const rounds = 5
	srv := start(b, prosodytest.Options{HostConfig: eachMUC("muc_room_cache_size = 20000")})
	populate(b, srv, 10000, 10)
	guest := must(srv.Guest(within(b)))(b)
	component := newComponent(b, srv, srv.Domains.Component)
	for b.Loop() {
		var waits [2][]time.Duration
		var elapsed, work []time.Duration
		for range rounds {
			quiet := 2 * time.Second
			if len(elapsed) > 0 {
				quiet = elapsed[len(elapsed)-1]
			}
			stop := ping(b, srv, guest)
			time.Sleep(quiet)
			waits[0] = append(waits[0], stop()...)

			before := clock(b, srv)
			stop = ping(b, srv, guest)
			at := time.Now()
			f := followAs(b, component, srv.Domains.MUC)
			for !f.copied.synced {
				f.next()
			}
			elapsed = append(elapsed, time.Since(at))
			waits[1] = append(waits[1], stop()...)
			work = append(work, clock(b, srv)-before)
			if n := f.copied.count(); n != 100000 {
				b.Errorf("told %d occupants", n)
			}
			must(component.IQ(within(b), srv.Domains.MUC, "set", unsubscribe))(b)
		}
		for _, all := range [][]time.Duration{elapsed, work, waits[0], waits[1]} {
			slices.Sort(all)
		}
		at := func(all []time.Duration, share float64) time.Duration {
			return all[int(share*float64(len(all)-1))].Round(10 * time.Microsecond)
		}
		b.Logf("%s: told in %v (%v to %v), of which Prosody worked %v (pings included)", srv.Version(), at(elapsed, .5), elapsed[0], elapsed[rounds-1], at(work, .5))
		for _, share := range []float64{.5, .99, 1} {
			without, with := at(waits[0], share), at(waits[1], share)
			b.Logf("%s: a ping waits, in %.0f of 100 cases, %v at most without a snapshot (%d pings), %v with (%d): %v more, RATIO %.2f",
				srv.Version(), 100*share, without, len(waits[0]), with, len(waits[1]), with-without, with.Seconds()/without.Seconds())
		}
		b.ReportMetric(at(elapsed, .5).Seconds(), "snapshot-s")
		b.ReportMetric(float64((at(waits[1], 1) - at(waits[0], 1)).Milliseconds()), "more-wait-ms")
	}
}

// ping asks Prosody each 20 ms, until stop, which returns how long each answer took.
func ping(b *testing.B, srv *prosodytest.Server, guest *prosodytest.Client) (stop func() []time.Duration) {
	ctx, cancel := context.WithCancel(b.Context())
	got := make(chan []time.Duration, 1)
	go func() {
		var waits []time.Duration
		for each := time.Tick(20 * time.Millisecond); ctx.Err() == nil; <-each {
			at := time.Now()
			if _, err := guest.IQ(within(b), srv.Domains.Main, "get", "<ping xmlns='urn:xmpp:ping'/>"); err != nil {
				b.Error(err)
			}
			waits = append(waits, time.Since(at))
		}
		got <- waits
	}()
	return func() []time.Duration {
		cancel()
		return <-got
	}
}

// jitsiPresence is what a browser in a meeting says of itself in every presence, beside
// its display name and whether it is muted.
const jitsiPresence = "<stats-id>Keshaun-Qx1</stats-id><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://jitsi.org/jitsi-meet' ver='TrTk8qBlKMhjBJPxDsSFF8gJFzM='/>" +
	"<avatar-url>https://example.com/avatars/9b8c1f.png</avatar-url><avatar-id>3a4fb2d8</avatar-id><jitsi_participant_codecList>av1,vp9,vp8,h264</jitsi_participant_codecList>" +
	"<jitsi_participant_region>eu-central-1</jitsi_participant_region><jitsi_participant_e2ee.idKey>x</jitsi_participant_e2ee.idKey>"

// sourceInfo is Jitsi's word of who is muted.
func sourceInfo(nick string, muted bool) string {
	return fmt.Sprintf(`<SourceInfo>{"%s-a0":{"muted":%t},"%s-v0":{"muted":true}}</SourceInfo>`, nick, muted, nick)
}

// BenchmarkHooks is what the module and a subscriber add to Prosody's work: the time of
// its processor for joins, for presence that changes what is told, and for presence that
// doesn't, over the same without the module.
//
// One Prosody has two room domains, the module is on one of them, and the same crowd does
// the same on both by turns, in the order A B B A, as no machine ever holds still. Half-way
// the module moves to the other domain.
func BenchmarkHooks(b *testing.B) {
	const pairs, rooms, each = 50, 20, 10
	srv := start(b, prosodytest.Options{MUCModules: []string{}})
	cast := newCast(b, srv)
	domains := []string{srv.Domains.MUC, srv.Domains.Breakout}
	opened := map[string][]string{}
	for _, domain := range domains {
		for i := range rooms {
			opened[domain] = append(opened[domain], "r"+strconv.Itoa(i)+"@"+domain)
			must(cast.Open(within(b), opened[domain][i]))(b)
		}
	}
	component := newComponent(b, srv, srv.Domains.Component)
	crowd := must(srv.Crowd(within(b)))(b)
	crowd.Extra = jitsiPresence
	work := []struct {
		what string
		do   func(rooms []string, members []prosodytest.Member) []prosodytest.Member
	}{
		{"join", func(rooms []string, _ []prosodytest.Member) []prosodytest.Member {
			return must(crowd.Join(b.Context(), each, rooms...))(b)
		}},
		{"change", func(_ []string, members []prosodytest.Member) []prosodytest.Member {
			for _, m := range members {
				check(b, crowd.Update(m, sourceInfo(m.Nick, false)))
			}
			return members
		}},
		{"chatter", func(_ []string, members []prosodytest.Member) []prosodytest.Member {
			for _, m := range members {
				check(b, crowd.Update(m, sourceInfo(m.Nick, false)+"<jitsi_participant_connectionStatus>x</jitsi_participant_connectionStatus>"))
			}
			return members
		}},
	}
	for b.Loop() {
		took := map[string]*[2][]time.Duration{"join": {}, "change": {}, "chatter": {}}
		for half := range 2 {
			stop := followed(b, srv, component, domains[half])
			for pair := range pairs / 2 {
				var members [2][]prosodytest.Member
				for _, w := range work {
					for i := range 2 {
						with := (pair + i) % 2
						on := opened[domains[(half+1+with)%2]]
						before := collected(b, srv)
						members[with] = w.do(on, members[with])
						// When these are confirmed, all before them were seen.
						check(b, crowd.Leave(b.Context(), must(crowd.Join(b.Context(), 1, on[0]))(b)...))
						time.Sleep(100 * time.Millisecond) // and told
						took[w.what][with] = append(took[w.what][with], (collected(b, srv)-before)/(rooms*each))
					}
				}
				check(b, crowd.Leave(b.Context(), slices.Concat(members[:]...)...))
			}
			stop()
		}
		// What it takes to ask is in all that was measured.
		before := collected(b, srv)
		asking := (collected(b, srv) - before) / (rooms * each)
		for _, w := range work {
			b.ReportMetric(compare(b, srv.Version()+": "+w.what, asking, *took[w.what]), w.what+"-ratio")
		}
	}
	check(b, crowd.Close())
}

// followed loads the module on a room domain and follows it, until stop is called.
func followed(b *testing.B, srv *prosodytest.Server, component *prosodytest.Client, domain string) (stop func()) {
	must(srv.Shell(within(b), `module:load("`+name+`", "`+domain+`")`))(b)
	f := followAs(b, component, domain)
	f.untilSynced()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			st, batch, err := f.take(ctx)
			if err != nil {
				return
			}
			f.apply(batch)
			f.ack(st)
		}
	}()
	return func() {
		cancel()
		<-done
		must(srv.Shell(within(b), `module:unload("`+name+`", "`+domain+`")`))(b)
	}
}

// compare logs what pairs of measures say, and returns the median of their ratios.
func compare(b *testing.B, what string, asking time.Duration, took [2][]time.Duration) float64 {
	var ratios []float64
	for i := range took[0] {
		for with := range took {
			took[with][i] -= asking
		}
		ratios = append(ratios, took[1][i].Seconds()/took[0][i].Seconds())
	}
	slices.Sort(ratios)
	slices.Sort(took[0])
	slices.Sort(took[1])
	n := len(ratios)
	// In 19 of 20 cases the true median is between these (the sign test).
	out := int(math.Sqrt(float64(n)))
	b.Logf("%s: %v without, %v with (fastest %v and %v): RATIO %.3f, surely between %.3f and %.3f; half of %d pairs between %.3f and %.3f",
		what, took[0][n/2], took[1][n/2], took[0][0], took[1][0],
		ratios[n/2], ratios[n/2-out], ratios[n/2+out], n, ratios[n/4], ratios[3*n/4])
	return ratios[n/2]
}
