package prosody_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

const (
	name         = "room_participants_api"
	namespace    = "urn:ppch:occupancy:1"
	subscribe    = "<subscribe xmlns='" + namespace + "'/>"
	unsubscribe  = "<unsubscribe xmlns='" + namespace + "'/>"
	discoInfo    = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
	focusAccount = "focus@auth.meet.jitsi/focus"
)

// within bounds a step of a test, far above its usual time.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// start runs a Prosody with the module on its room domains, like docker-jitsi-meet's
// XMPP_MUC_MODULES, unless o loads it otherwise.
// At the end of the test, it fails if Prosody has logged an error.
func start(t testing.TB, o prosodytest.Options) *prosodytest.Server {
	t.Helper()
	if o.MUCModules == nil && !slices.Contains(o.Modules, name) && o.HostModules == nil {
		o.MUCModules = []string{name}
	}
	srv := prosodytest.New(t, o)
	t.Cleanup(func() {
		for line := range strings.Lines(srv.Log()) {
			if strings.Contains(line, "\terror\t") || strings.Contains(line, "Traceback") {
				t.Errorf("Prosody's log: %s", line)
			}
		}
	})
	return srv
}

// eachMUC configures all room domains alike.
func eachMUC(lines string) map[string]string {
	return map[string]string{"muc.meet.jitsi": lines, "breakout.meet.jitsi": lines, "lobby.meet.jitsi": lines}
}

func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

var check = componenttest.Check

var newCast = prosodytest.NewCast

func newComponent(t testing.TB, srv *prosodytest.Server, domain string) *prosodytest.Client {
	t.Helper()
	c := must(srv.Component(within(t), domain))(t)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func wantCondition(t testing.TB, err error, want string) {
	t.Helper()
	if refused, ok := errors.AsType[*prosodytest.StanzaError](err); !ok || refused.Condition != want {
		t.Fatalf("got %v, want the error %s", err, want)
	}
}

// follower is a subscriber: a component that applies every batch and acknowledges it.
type follower struct {
	t       testing.TB
	client  *prosodytest.Client
	domain  string
	replica *replica
	last    batch
	others  map[string]int // number of ignored batches of other epochs
}

// follow connects the component and subscribes. The snapshot is not read yet.
func follow(t testing.TB, srv *prosodytest.Server) *follower {
	t.Helper()
	return followAs(t, newComponent(t, srv, srv.Domains.Component), srv.Domains.MUC)
}

func followAs(t testing.TB, client *prosodytest.Client, domain string) *follower {
	t.Helper()
	f := &follower{t: t, client: client, domain: domain, others: map[string]int{}}
	f.subscribe()
	return f
}

// subscribe starts from nothing.
func (f *follower) subscribe() subscribed {
	f.t.Helper()
	st := must(f.client.IQ(within(f.t), f.domain, "set", subscribe))(f.t)
	var answer struct {
		Subscribed subscribed `xml:"urn:ppch:occupancy:1 subscribed"`
	}
	check(f.t, st.Decode(&answer))
	if answer.Subscribed.Epoch == "" {
		f.t.Fatalf("no epoch: %s", st.XML)
	}
	f.replica = newReplica(answer.Subscribed)
	return answer.Subscribed
}

// take returns the next batch of the present epoch without applying it.
func (f *follower) take(ctx context.Context) (prosodytest.Stanza, batch, error) {
	for {
		st, err := f.client.Expect(ctx, func(st prosodytest.Stanza) bool {
			return st.From == f.domain && (st.Name == "message" || st.Name == "iq" && st.Type == "set")
		})
		if err != nil {
			return st, batch{}, err
		}
		b, err := decodeBatch(st)
		if err != nil || b.Epoch == f.replica.epoch {
			return st, b, err
		}
		f.others[b.Epoch]++
	}
}

// next applies the next batch, and acknowledges it where that is due.
func (f *follower) next() batch {
	f.t.Helper()
	st, b, err := f.take(within(f.t))
	if err != nil {
		f.t.Fatalf("no batch: %v\nreplica:\n%s", err, f.replica)
	}
	f.apply(b)
	f.ack(st)
	return b
}

func (f *follower) apply(b batch) {
	f.t.Helper()
	if err := f.replica.apply(b); err != nil {
		f.t.Fatalf("%v\nbatch: %+v", err, b)
	}
	f.last = b
}

func (f *follower) ack(st prosodytest.Stanza) {
	f.t.Helper()
	if st.Name == "message" {
		return
	}
	check(f.t, f.client.Send("<iq type='result' id='"+st.ID+"' from='"+st.To+"' to='"+st.From+"'/>"))
}

// until reads batches until the replica satisfies.
func (f *follower) until(what string, satisfied func(*replica) bool) {
	f.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !satisfied(f.replica) {
		if time.Now().After(deadline) {
			f.t.Fatalf("never: %s\nreplica:\n%s", what, f.replica)
		}
		f.next()
	}
}

// untilSynced reads batches until the snapshot is complete, and returns f.
func (f *follower) untilSynced() *follower {
	f.t.Helper()
	f.until("snapshot complete", func(r *replica) bool { return r.synced })
	return f
}

// occupant reads until the occupant is there and ok, and returns its fields.
func (f *follower) occupant(room, nick string, ok func(occupant) bool) occupant {
	f.t.Helper()
	f.until("occupant "+nick+" of "+room, func(r *replica) bool {
		o, there := r.occupant(room, nick)
		return there && (ok == nil || ok(o))
	})
	o, _ := f.replica.occupant(room, nick)
	return o
}

// gone reads until the occupant is not there.
func (f *follower) gone(room, nick string) {
	f.t.Helper()
	f.until("no occupant "+nick+" of "+room, func(r *replica) bool {
		_, there := r.occupant(room, nick)
		return !there
	})
}

// quiet fails on any batch except heartbeats within d.
func (f *follower) quiet(d time.Duration) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for {
		st, b, err := f.take(ctx)
		if err != nil && ctx.Err() != nil {
			return
		}
		check(f.t, err)
		f.apply(b)
		f.ack(st)
		if len(b.Rooms)+len(b.Gone) > 0 {
			f.t.Errorf("got %s, want only heartbeats", st.XML)
		}
	}
}

// matches reads until the replica equals the rooms in Prosody's memory.
func (f *follower) matches(srv *prosodytest.Server) {
	f.t.Helper()
	var want []string
	deadline := time.Now().Add(10 * time.Second)
	for {
		want = held(f.t, srv, f.domain)
		got := f.replica.held()
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("got replica:\n%s\nwant Prosody's rooms:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		f.next()
	}
}

// held returns Prosody's rooms and their occupants.
func held(t testing.TB, srv *prosodytest.Server, domain string) []string {
	t.Helper()
	out := lua(t, srv, `
		local all = {};
		for room in prosody.hosts["`+domain+`"].modules.muc.live_rooms() do
			if not room.jid:find("^__jicofo") then
				all[#all + 1] = room.jid;
				for nick, o in pairs(room._occupants) do
					all[#all + 1] = table.concat({ nick, o.jid, o.role, room:get_affiliation(o.bare_jid) or "none" }, " ");
				end
			end
		end
		return table.concat(all, "\n");`)
	if out == "" {
		return nil
	}
	lines := strings.Split(out, "\n")
	slices.Sort(lines)
	return lines
}

// lua runs a chunk inside Prosody and returns the string that it returns.
func lua(t testing.TB, srv *prosodytest.Server, chunk string) string {
	t.Helper()
	chunk = strings.Join(strings.Fields(chunk), " ")
	out := must(srv.Shell(within(t), "> (function () "+chunk+" end)()"))(t)
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(out, "\n"), "Result: "))
}

// muc is Lua for mod_muc's own functions.
const muc = `prosody.hosts["muc.meet.jitsi"].modules.muc`

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// eventually polls a condition that no stanza reports.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	componenttest.Eventually(t, 20*time.Second, what, ok)
}

func sprint(args ...any) string { return fmt.Sprint(args...) }

func number(t testing.TB, text string) int64 {
	t.Helper()
	return must(strconv.ParseInt(text, 10, 64))(t)
}

// configure submits one field of a room's configuration, as its owner.
func configure(t testing.TB, owner *prosodytest.Client, room, field, value string) {
	t.Helper()
	must(owner.IQ(within(t), room, "set", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>"+
		"<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"+
		"<field var='"+field+"'><value>"+prosodytest.Escape(value)+"</value></field></x></query>"))(t)
}
