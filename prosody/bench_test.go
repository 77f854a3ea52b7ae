package prosody_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
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

func cpu(t testing.TB, srv *prosodytest.Server) time.Duration {
	t.Helper()
	seconds := must(strconv.ParseFloat(lua(t, srv, `return ("%.6f"):format(os.clock());`), 64))(t)
	return time.Duration(seconds * float64(time.Second))
}

func BenchmarkSnapshot(b *testing.B) {
	srv := start(b, prosodytest.Options{HostConfig: eachMUC("muc_room_cache_size = 20000"), GlobalConfig: ""})
	populate(b, srv, 10000, 10)
	guest := must(srv.Guest(within(b)))(b)
	stop := make(chan struct{})
	worst := make(chan time.Duration)
	go func() {
		var most time.Duration
		for {
			select {
			case <-stop:
				worst <- most
				return
			default:
			}
			at := time.Now()
			if _, err := guest.IQ(within(b), "meet.jitsi", "get", "<ping xmlns='urn:xmpp:ping'/>"); err != nil {
				b.Error(err)
			}
			most = max(most, time.Since(at))
		}
	}()
	for b.Loop() {
		before, at := cpu(b, srv), time.Now()
		f := follow(b, srv)
		n := 0
		for !f.copied.synced {
			f.next()
			n++
		}
		b.Logf("%s: %v, of Prosody's %v, %d batches, %d occupants", srv.Version(), time.Since(at), cpu(b, srv)-before, n, f.copied.count())
		check(b, f.client.Close())
	}
	close(stop)
	b.Logf("longest answer to a ping: %v", <-worst)
}

// BenchmarkOverhead is what a subscription adds to Prosody's work. The crowd does the
// same with and without one by turns, as other programs of a machine never hold still.
func BenchmarkOverhead(b *testing.B) {
	srv := start(b, prosodytest.Options{})
	cast := newCast(b, srv)
	var rooms []string
	for i := range 100 {
		rooms = append(rooms, srv.Room("r"+strconv.Itoa(i)))
		must(cast.Open(within(b), rooms[i]))(b)
	}
	component := newComponent(b, srv, srv.Domains.Component)
	crowd := must(srv.Crowd(within(b)))(b)
	var joins, updates [2]time.Duration
	n := 0
	for b.Loop() {
		for with := range 2 {
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan struct{})
			f := &follower{t: b, client: component, domain: srv.Domains.MUC, others: map[string]int{}}
			if with == 1 {
				f.subscribe()
				f.untilSynced()
			}
			go func() {
				defer close(done)
				for with == 1 {
					st, batch, err := f.take(ctx)
					if err != nil {
						return
					}
					f.apply(batch)
					f.ack(st)
				}
			}()
			before := cpu(b, srv)
			members, err := crowd.Join(b.Context(), 10, rooms...)
			check(b, err)
			middle := cpu(b, srv)
			for i, m := range members {
				check(b, crowd.Update(m, "<jitsi_participant_raisedHand>"+strings.Repeat("1", i%2)+"</jitsi_participant_raisedHand>"))
			}
			must(crowd.Join(b.Context(), 1, rooms[0]))(b) // when this is confirmed, all of them were seen
			joins[with] += middle - before
			updates[with] += cpu(b, srv) - middle
			cancel()
			<-done
			if with == 1 {
				must(component.IQ(within(b), srv.Domains.MUC, "set", unsubscribe))(b)
			}
			check(b, crowd.Leave(b.Context(), members...))
			n += len(members) * with
		}
	}
	per := func(d time.Duration) time.Duration { return d / time.Duration(n) }
	more := func(d [2]time.Duration) float64 { return 100 * (d[1].Seconds()/d[0].Seconds() - 1) }
	b.Logf("%s, %d each: a join costs %v, with a subscriber %v (%+.1f %%); an update %v and %v (%+.1f %%)", srv.Version(), n,
		per(joins[0]), per(joins[1]), more(joins), per(updates[0]), per(updates[1]), more(updates))
	check(b, crowd.Close())
}
