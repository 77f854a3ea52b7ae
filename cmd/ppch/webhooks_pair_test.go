package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ppch/prosody/prosodytest"
)

// beatVariable makes this program run the service, with that time between two heartbeats over NATS.
const beatVariable = "PPCH_TEST_BEAT"

// serveAndExit runs the service.
func serveAndExit(beat string) {
	var err error
	if natsHeartbeat, err = time.ParseDuration(beat); err != nil {
		panic(err)
	}
	main()
	os.Exit(0)
}

// pairBeat makes the other service take over after 4.5 s.
const pairBeat = 300 * time.Millisecond

// act is that a person joined or left.
type act struct {
	what string
	at   time.Time
}

// servicePair are two services that watch one Prosody and have the same webhook.
type servicePair struct {
	t        *testing.T
	srv      *prosodytest.Server
	cast     *prosodytest.Cast
	receiver *mortal
	a, b     *process
	key      string           // of the API
	acts     map[string][]act // by room
	present  map[string][]*prosodytest.Occupant
}

// newServicePair starts both, with the webhook on each.
func newServicePair(t *testing.T, deliverer string) *servicePair {
	t.Helper()
	p := startPair(t, deliverer, "nats://"+startNATSCluster(t, 1, "")[0].addr, variables{"PPCH_API_KEY": testKey})
	for _, of := range []*process{p.a, p.b} {
		p.service(of).hook("in", "http://"+p.receiver.addr+"/", joinsAndLeaves)
	}
	return p
}

// joinsAndLeaves are the settings of a webhook for all that a pair does.
const joinsAndLeaves = `,"names":true,"events":["participant.joined","participant.left"]`

// startPair starts both without webhooks, with these settings in addition.
func startPair(t *testing.T, deliverer, nats string, more variables) *servicePair {
	t.Helper()
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, Components: []string{secondComponent}, ModuleConstants: impatient,
		GlobalConfig: fmt.Sprintf("room_participants_heartbeat = 1; room_participants_components = { %q, %q }", "ppch.meet.jitsi", secondComponent),
	})
	p := &servicePair{
		t: t, srv: srv, cast: castOn(t, srv), receiver: newMortal(t), key: testKey,
		acts: map[string][]act{}, present: map[string][]*prosodytest.Occupant{},
	}
	for _, one := range []struct {
		component string
		to        **process
	}{{srv.Domains.Component, &p.a}, {secondComponent, &p.b}} {
		line := strings.TrimSpace(collectorLine(t, "s", "main", one.component, srv.ComponentAddr(), srv))
		if deliverer != "" {
			line += " deliverer=" + deliverer
		}
		env := clusterEnv(t, nats, line+"\n")
		delete(env, "PPCH_API_KEY")
		env["PPCH_DATA_DIR"], env["PPCH_WEBHOOK_ALLOW"], env[beatVariable] = t.TempDir(), "127.0.0.1", pairBeat.String()
		maps.Copy(env, more)
		*one.to = startProcess(t, must(os.Executable())(t), env)
		(*one.to).ready(t)
	}
	for _, room := range []string{"red", "blue", returning} {
		must(p.cast.Open(t.Context(), srv.Room(room)))(t)
	}
	return p
}

func (p *servicePair) service(of *process) *service {
	return &service{t: p.t, url: of.url, client: of.client}
}

// returning is a room in which people act only while the deliverer returns. What a service finds by comparison then is in no order.
const returning = "grey"

// act makes people join both rooms, or other ones, and others leave, n times each.
func (p *servicePair) act(n int, rooms ...string) {
	p.t.Helper()
	if rooms == nil {
		rooms = []string{"red", "blue"}
	}
	for i := range n {
		for _, room := range rooms {
			o := must(p.cast.User(p.t.Context(), p.srv.Room(room), fmt.Sprint("Person ", i)))(p.t)
			p.acts[room] = append(p.acts[room], act{"joined " + o.Nick(), time.Now()})
			p.present[room] = append(p.present[room], o)
			if first := p.present[room][0]; i%2 == 1 {
				if err := first.Leave(p.t.Context()); err != nil {
					p.t.Fatal(err)
				}
				p.acts[room] = append(p.acts[room], act{"left " + first.Nick(), time.Now()})
				p.present[room] = p.present[room][1:]
			}
		}
	}
}

// got returns what the receiver got by room, in order and without repeats, and how many deliveries those were.
func (p *servicePair) got() (all map[string][]string, deliveries int) {
	p.receiver.mu.Lock()
	defer p.receiver.mu.Unlock()
	all = map[string][]string{}
	ids := map[string]string{}
	for _, d := range p.receiver.got {
		room, _, _ := strings.Cut(d.Data.RoomJID, "@")
		what := strings.TrimPrefix(d.Type, "participant.") + " " + d.Data.Occupant.ID
		if slices.Contains(all[room], what) {
			if ids[room+what] != d.Data.EventID {
				p.t.Errorf("%s in %s came with the ids %s and %s", what, room, ids[room+what], d.Data.EventID)
			}
			continue
		}
		all[room], ids[room+what] = append(all[room], what), d.Data.EventID
	}
	return all, len(p.receiver.got)
}

// count returns the number of acts.
func (p *servicePair) count() (n int) {
	for _, acts := range p.acts {
		n += len(acts)
	}
	return n
}

// compare returns how what the receiver got differs from the acts, in number or order. Acts within a second may be in one batch, in any order.
func (p *servicePair) compare(got map[string][]string) string {
	for room, acts := range p.acts {
		times := map[string]time.Time{}
		for _, a := range acts {
			times[a.what] = a.at
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(times)), slices.Sorted(slices.Values(got[room]))); diff != "" {
			return room + ": -want +got:\n" + diff
		}
		var latest time.Time
		for i, what := range got[room] {
			if latest.Sub(times[what]) > time.Second && room != returning {
				return fmt.Sprintf("%s: %s is out of order in %v", room, what, got[room])
			}
			if latest = later(latest, times[what]); strings.HasPrefix(what, "left") && !slices.Contains(got[room][:i], "joined"+strings.TrimPrefix(what, "left")) {
				return room + ": " + what + " before they joined"
			}
		}
	}
	return ""
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// arrived waits until the receiver has got all acts, each room's in order.
func (p *servicePair) arrived(when string) (deliveries int) {
	p.t.Helper()
	var diff string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s: %s\nthe deliverer:\n%s\nthe other:\n%s", when, diff, p.a.log.String(), p.b.log.String())
		}
	}()
	eventually(p.t, 30*time.Second, when+": all acts arrive", func() bool {
		var all map[string][]string
		all, deliveries = p.got()
		diff = p.compare(all)
		return diff == ""
	})
	return deliveries
}

// delivering waits for the metric of a process.
func (p *servicePair) delivering(of *process, want string) {
	p.t.Helper()
	eventually(p.t, 20*time.Second, "delivering is "+want, func() bool {
		a, err := p.service(of).try(p.t.Context(), "/metrics", "X-API-Key", p.key)
		return err == nil && strings.Contains(a.body, `ppch_webhook_delivering{shard="s"} `+want+"\n")
	})
}

// The service that delivers is killed and returns, then is frozen for a while, then the other one is killed and returns.
// Each act reaches the receiver, in the order of its room, under one id. Repeats occur only when the other service begins or ends to deliver.
func TestWebhooks_PeerTakesOver(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	p := newServicePair(t, "ppch.meet.jitsi")
	p.delivering(p.a, "1")
	p.delivering(p.b, "0")
	p.act(10)
	once := p.arrived("both run")
	if want := p.count(); once != want {
		t.Errorf("got %d deliveries want %d while both run", once, want)
	}

	p.act(3)
	p.a.kill()
	p.act(10)
	p.arrived("the deliverer is dead")
	p.delivering(p.b, "1")
	p.act(3)
	p.a.start()
	p.act(10, returning)
	p.delivering(p.b, "0")
	p.delivering(p.a, "1")
	p.act(3)
	p.arrived("the deliverer is back")

	thawed := make(chan struct{})
	go func() {
		defer close(thawed)
		p.a.freeze(10 * time.Second)
	}()
	p.act(10)
	p.delivering(p.b, "1")
	p.arrived("the deliverer is frozen")
	<-thawed
	p.act(10, returning)
	p.delivering(p.b, "0")
	p.arrived("the deliverer goes on")

	p.b.kill()
	p.act(5)
	p.arrived("the other is dead")
	p.b.start()
	p.b.ready(t)
	_, before := p.got()
	sent := p.count()
	p.act(5)
	sent = p.count() - sent
	if got := p.arrived("both run again") - before; got != sent {
		t.Errorf("got %d deliveries of %d acts at the end", got, sent)
	}
	_, all := p.got()
	t.Logf("%d acts, %d deliveries", p.count(), all)
	if log := p.b.log.String(); !strings.Contains(log, "the deliverer of webhooks is silent") {
		t.Errorf("the log lacks the takeover:\n%s", log)
	}
}

// Two services with the same webhook and without a deliverer both deliver, and say so.
func TestWebhooks_PairWithoutDeliverer(t *testing.T) {
	t.Parallel()
	p := newServicePair(t, "")
	p.act(2)
	p.arrived("both deliver")
	const remedy = "ppch2.meet.jitsi delivers the webhooks of the shard s, too"
	eventually(t, 20*time.Second, "the diagnostics name the problem", func() bool {
		a := p.service(p.a).send(http.MethodGet, "/api/diagnostics", "")
		return strings.Contains(a.body, "collector-conflict") && strings.Contains(a.body, remedy)
	})
	eventually(t, 20*time.Second, "the health names the problem", func() bool {
		a, err := p.service(p.a).try(t.Context(), "/health")
		return err == nil && a.status == http.StatusOK && strings.Contains(a.body, `"webhooks":{"status":"error`)
	})
	eventually(t, 20*time.Second, "the log names the problem", func() bool {
		log := p.a.log.String()
		return strings.Contains(log, "delivered twice") && strings.Contains(log, remedy)
	})
}
