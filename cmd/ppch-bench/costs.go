package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"ppch/component"
	"ppch/component/occupancy"
	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// cell is one combination of conditions.
type cell struct {
	prosody     int // index of the executable
	traffic     string
	rate        int // operations per second; 0 is as many as Prosody accepts
	standing    int // idle rooms of ten people each
	cache       int // muc_room_cache_size
	subscribers int
}

// Values of each condition. The first is the default.
var (
	costTraffic     = []string{"rooms", "standing", "presence", "renames"}
	costRates       = []int{200, 50, 20, 0}
	costStanding    = []int{200, 0, 2000}
	costCaches      = []int{10_000, 100}
	costSubscribers = []int{1, 0, 2}
)

func (c cell) name(versions []string) string {
	rate := "saturation"
	if c.rate > 0 {
		rate = fmt.Sprintf("%d a second", c.rate)
	}
	return fmt.Sprintf("Prosody %s, %s, %s, %d standing rooms, cache %d, %d subscribers", versions[c.prosody], c.traffic, rate, c.standing, c.cache, c.subscribers)
}

// goal returns the target for the ratio.
func (c cell) goal() *goal {
	switch {
	case c.subscribers == 0:
		return atMost("ratio", 1.02)
	case c.subscribers == 2:
		return nil // a row of its own
	case c.rate == 0:
		return atMost("ratio", 1.03)
	default:
		return atMost("ratio", 1.10)
	}
}

// chosen reports whether a run without --cell measures the cell: it differs from the defaults in at most one condition.
func (c cell) chosen() bool {
	differs := 0
	for _, other := range []bool{
		c.traffic != costTraffic[0], c.rate != costRates[0], c.standing != costStanding[0], c.cache != costCaches[0], c.subscribers != costSubscribers[0],
	} {
		if other {
			differs++
		}
	}
	return differs <= 1
}

// costs measures the module's share of Prosody's processor time, at everyday rates and at saturation, with and without
// subscribers, in rooms that stay or come and go, within the room cache and beyond.
//
// One Prosody has two MUC domains, of which one has the module, and the same traffic alternates between them, A B B A.
// Each turn ends with a garbage collection, and includes its time beyond that of a collection without garbage.
// Half-way the module moves to the other domain.
func costs(t *trial) {
	t.title("Cost of the module: Prosody's processor time per operation")
	versions := make([]string, len(t.plan.prosodies))
	var all []cell
	for p := range t.plan.prosodies {
		versions[p] = must(prosodyVersion(t, t.plan.prosodies[p]))(t)
		for _, cache := range costCaches {
			for _, standing := range costStanding {
				for _, traffic := range costTraffic {
					for _, subscribers := range costSubscribers {
						for _, rate := range costRates {
							all = append(all, cell{p, traffic, rate, standing, cache, subscribers})
						}
					}
				}
			}
		}
	}
	wanted := func(c cell) bool {
		switch {
		case t.plan.cells != nil:
			return t.plan.cells.MatchString(c.name(versions))
		case t.plan.pairs < 5:
			return c == cell{c.prosody, costTraffic[0], costRates[0], costStanding[0], costCaches[0], costSubscribers[0]}
		default:
			return c.chosen()
		}
	}
	for c := range slices.Values(all) {
		if wanted(c) {
			if err := t.try(func() { t.cost(c, c.name(versions)) }); err != nil {
				t.check(t.ctx.Err())
				t.row(row{What: c.name(versions)}.missing(err))
			}
		}
	}
}

func prosodyVersion(t *trial, executable string) (string, error) {
	srv, err := prosodytest.Start(t.ctx, prosodytest.Options{Executable: executable})
	if err != nil {
		return "", err
	}
	return srv.Version(), srv.Close()
}

// cost measures one cell.
func (t *trial) cost(c cell, name string) {
	inner := &trial{session: t.session}
	defer func() {
		for _, undo := range slices.Backward(inner.undo) {
			undo()
		}
	}()
	w := newCostWorld(inner, c)
	sides := []int{-1, c.subscribers} // -1 is without the module, others are numbers of subscribers
	if c.subscribers == 2 {
		sides = []int{-1, 1, 2}
	}
	operations := t.plan.operations
	if c.rate > 0 {
		operations = min(operations, max(100, 4*c.rate))
	}
	spent := make([]sample, len(sides))
	var memory [2]sample
	pairs := t.plan.pairs + t.plan.pairs%2
	for pair := range pairs {
		if half := 2 * pair / pairs; pair%(pairs/2) == 0 {
			without := w.memory()
			w.place(w.domains[half])
			for _, s := range w.sides {
				w.turn(s, min(operations, 300), 0) // the first turn is slower
			}
			w.subscribe(c.subscribers)
			memory[0], memory[1] = append(memory[0], w.memory()), append(memory[1], without)
		}
		order := slices.Clone(sides)
		if pair%2 == 1 {
			slices.Reverse(order)
		}
		for _, side := range order {
			on := w.sides[w.without]
			if side >= 0 {
				w.subscribe(side)
				on = w.sides[w.with]
			}
			i := slices.Index(sides, side)
			spent[i] = append(spent[i], milliseconds(w.turn(on, operations, float64(c.rate)))/float64(operations))
		}
		if pair%(pairs/2) == pairs/2-1 {
			w.remove()
		}
	}
	last := len(sides) - 1
	t.row(row{What: name, Unit: "ms", PPCH: spent[last], Peer: "without", Other: spent[0], Goal: c.goal()})
	if c.subscribers == 2 {
		t.row(row{
			What: name + ": the second", Unit: "ms", PPCH: differences(spent[2], spent[1]), Peer: "the first", Other: differences(spent[1], spent[0]),
			Goal: atMost("ratio", 0.5),
		})
	}
	if c.rate == 0 && c.subscribers > 0 {
		// At saturation one guest keeps Prosody's single thread busy.
		perSecond := func(s sample) sample { return each(s, func(ms float64) float64 { return 1000 / ms }) }
		t.row(row{What: name + ": operations", Unit: "per s", PPCH: perSecond(spent[last]), Peer: "without", Other: perSecond(spent[0]), Goal: atLeast(0.9)})
	}
	if c.traffic == costTraffic[0] && c.rate == costRates[0] {
		t.row(row{What: name + ": Lua's memory", Unit: "KiB", PPCH: memory[0], Peer: "without", Other: memory[1], Goal: atMost("ratio", 1.1)})
	}
}

func each(s sample, of func(float64) float64) sample {
	all := make(sample, len(s))
	for i, v := range s {
		all[i] = of(v)
	}
	return all
}

// costWorld is a Prosody with two MUC domains that receive the same traffic.
type costWorld struct {
	*trial
	srv           *prosodytest.Server
	people        *prosodytest.Client
	domains       []string
	components    []string
	sides         map[string]*costSide // by domain
	with, without string
	subscribers   []func()
}

// costSide is the traffic of one domain.
type costSide struct {
	domain  string
	traffic string
	random  *rand.Rand
	rooms   int
	least   int // minimum number of people
	came    int // joins so far
	here    []costMember
}

type costMember struct{ jid, room, nick string }

func newCostWorld(t *trial, c cell) *costWorld {
	const second = "ppch2.meet.jitsi"
	rooms := fmt.Sprintf("restrict_room_creation = false\nmuc_room_cache_size = %d", c.cache)
	srv := t.prosody(prosodytest.Options{
		Executable: t.plan.prosodies[c.prosody], MUCModules: []string{}, Components: []string{second},
		HostConfig:   map[string]string{"muc.meet.jitsi": rooms, "breakout.meet.jitsi": rooms},
		GlobalConfig: `room_participants_components = { "ppch.meet.jitsi", "` + second + `" }`,
	})
	w := &costWorld{
		trial: t, srv: srv, domains: []string{srv.Domains.MUC, srv.Domains.Breakout}, components: []string{srv.Domains.Component, second},
		sides: map[string]*costSide{},
	}
	w.people = must(srv.Component(t.ctx, srv.Domains.Cast))(t)
	t.cleanup(func() { _ = w.people.Close() })
	for _, domain := range w.domains {
		if c.standing > 0 {
			t.check(srv.PopulateDomain(t.ctx, domain, c.standing, 10))
		}
		s := &costSide{domain: domain, traffic: c.traffic, random: rand.New(rand.NewPCG(1, 2)), rooms: 600, least: 150} // #nosec G404 -- traffic is the same in each run
		if c.traffic != "rooms" {
			s.rooms, s.least = 200, 600
		}
		w.sides[domain] = s
		for i := range s.least + s.least/2 {
			room := i % s.rooms
			if c.traffic == "rooms" {
				room = s.random.IntN(s.rooms)
			}
			t.check(w.people.Send(s.join(room)))
		}
		w.confirm(domain)
	}
	must(srv.Shell(t.ctx, `> collectgarbage("stop")`))(t)
	return w
}

// confirm waits until Prosody has handled all stanzas sent so far.
func (w *costWorld) confirm(domain string) {
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Minute)
	defer cancel()
	must(w.people.IQ(ctx, domain, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"))(w.trial)
}

// place loads the module on a domain.
func (w *costWorld) place(domain string) {
	w.with, w.without = domain, w.domains[0]
	if domain == w.without {
		w.without = w.domains[1]
	}
	must(w.srv.Shell(w.ctx, fmt.Sprintf(`module:load(%q, %q)`, prosody.ModuleName, domain)))(w.trial)
}

func (w *costWorld) remove() {
	w.subscribe(0)
	must(w.srv.Shell(w.ctx, fmt.Sprintf(`module:unload(%q, %q)`, prosody.ModuleName, w.with)))(w.trial)
}

// subscribe starts or stops subscribers until there are n.
func (w *costWorld) subscribe(n int) {
	for len(w.subscribers) > n {
		w.subscribers[len(w.subscribers)-1]()
		w.subscribers = w.subscribers[:len(w.subscribers)-1]
	}
	for len(w.subscribers) < n {
		w.subscribers = append(w.subscribers, w.subscriber(w.components[len(w.subscribers)]))
	}
}

// subscriber follows the module in this process until stop is called.
func (w *costWorld) subscriber(domain string) (stop func()) {
	muc := jid.MustParse(w.with)
	directory := occupancy.NewDirectory(muc)
	c := must(component.New(component.Config{
		Address: w.srv.ComponentAddr(), Domain: jid.MustParse(domain), Secret: w.srv.Secret(), MUCDomains: []jid.JID{muc},
		Directory: directory, Log: slog.New(slog.DiscardHandler),
	}))(w.trial)
	ctx, cancel := context.WithCancel(w.ctx)
	var running errgroup.Group
	running.Go(func() error { return c.Run(ctx) })
	w.cleanup(func() { cancel(); _ = running.Wait() })
	for _, err := directory.Totals(muc); err != nil; _, err = directory.Totals(muc) {
		w.sleep(10 * time.Millisecond)
	}
	return func() {
		cancel()
		_ = running.Wait()
		w.sleep(50 * time.Millisecond) // until Prosody has noticed
	}
}

// turn sends operations and returns Prosody's processor time until it is idle again, garbage collection included.
func (w *costWorld) turn(s *costSide, operations int, rate float64) time.Duration {
	w.collected(w.srv)
	before := w.cpu(w.srv.PID())
	due := time.Now()
	for range operations {
		if rate > 0 {
			due = due.Add(time.Duration(s.random.ExpFloat64() / rate * float64(time.Second)))
			w.sleep(time.Until(due))
		}
		w.check(w.people.Send(s.next()))
	}
	w.confirm(s.domain)
	w.sleep(200 * time.Millisecond)
	worked := w.cpu(w.srv.PID())
	collected := w.collected(w.srv)
	nothing := w.collected(w.srv) - collected
	return worked - before + collected - worked - nothing
}

// memory returns the KiB that Lua uses after a garbage collection.
func (w *costWorld) memory() float64 {
	out := must(w.srv.Shell(w.ctx, `> (function () collectgarbage(); collectgarbage(); return ("%.0f"):format(collectgarbage("count")) end)()`))(w.trial)
	var kib float64
	must(fmt.Sscanf(strings.TrimPrefix(strings.TrimSpace(out), "Result: "), "%f", &kib))(w.trial)
	return kib
}

// next returns the stanza of the next operation.
func (s *costSide) next() string {
	i := s.random.IntN(len(s.here))
	m := &s.here[i]
	switch s.traffic {
	case "presence":
		extra := sourceInfo(m.nick, s.random.IntN(2) == 0)
		if s.random.IntN(2) == 0 {
			extra += "<jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>"
		}
		return s.presence(*m, "", extra)
	case "renames":
		s.came++
		m.nick = fmt.Sprintf("%08x", s.came)
		return s.presence(*m, "", "")
	}
	if len(s.here) <= s.least || len(s.here) < 3*s.least && s.random.IntN(2) == 0 {
		return s.join(s.random.IntN(s.rooms))
	}
	gone := *m
	s.here = slices.Delete(s.here, i, i+1)
	return s.presence(gone, " type='unavailable'", "")
}

func (s *costSide) join(room int) string {
	s.came++
	m := costMember{fmt.Sprintf("u%d@cast.meet.jitsi/web", s.came), fmt.Sprintf("w%d@%s", room, s.domain), fmt.Sprintf("%08x", s.came)}
	s.here = append(s.here, m)
	return s.presence(m, "", "<x xmlns='http://jabber.org/protocol/muc'/>"+sourceInfo(m.nick, true))
}

func (s *costSide) presence(m costMember, attributes, payload string) string {
	if attributes == "" {
		payload += prosodytest.DisplayName("User "+m.jid) + jitsiPresence
	}
	return "<presence from='" + m.jid + "' to='" + m.room + "/" + m.nick + "'" + attributes + ">" + payload + "</presence>"
}
