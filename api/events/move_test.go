package events_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// epoch names the run of the collectors.
const epoch = "20261130T010203Z-ABCDEFGH"

// node is a PPCH that follows shards by the batches of their collectors.
type node struct {
	*service
	t         *testing.T
	directory *occupancy.Directory
	totals    map[string]occupancy.Batch
}

// newNode returns a node that has loaded these shards, without rooms, as they are after the batch 1.
func newNode(t *testing.T, shards ...string) *node {
	t.Helper()
	n := &node{t: t, directory: occupancy.NewDirectory(), totals: map[string]occupancy.Batch{}}
	n.directory.MaxStaleness = time.Hour
	for _, name := range shards {
		kind := occupancy.ShardMain
		domain := apitest.Main
		if strings.HasPrefix(name, "v") {
			kind, domain = occupancy.ShardVisitors, jid.MustParse("muc."+name+".meet.jitsi")
		}
		s, err := n.directory.AddShard(occupancy.ShardConfig{Name: name, Kind: kind, Domains: []jid.JID{domain}})
		if err != nil {
			t.Fatal(err)
		}
		s.SetStatus(domain, occupancy.Status{Connected: true, Since: time.Now().Add(-time.Hour), Mode: occupancy.ModeModule})
		n.load(name, epoch, 1)
	}
	n.service = start(t, n.directory)
	return n
}

// load applies a snapshot with these rooms of one person each: the state of a shard after a batch.
func (n *node) load(shard, epoch string, seq uint64, nicks ...string) {
	n.t.Helper()
	s := n.directory.Shard(shard)
	domain := s.Domains()[0].JID
	b := occupancy.Batch{Synced: true, Rooms: len(nicks), Occupants: len(nicks), Origin: occupancy.Origin{Epoch: epoch, Seq: seq}}
	for _, nick := range nicks {
		b.Deltas = append(b.Deltas, occupancy.Delta{Room: nick + "@" + domain.String(), New: true, Present: []occupancy.Occupant{person(s, nick)}})
	}
	n.totals[shard] = b
	s.Begin(domain, occupancy.SystemAccounts{})
	if err := s.Apply(domain, b, time.Now()); err != nil {
		n.t.Fatal(err)
	}
}

func person(s *occupancy.Shard, nick string) occupancy.Occupant {
	o := apitest.Person(nick)
	if s.Kind() == occupancy.ShardVisitors {
		o.RealJID = nick + "@" + s.Name() + ".meet.jitsi/web"
	}
	return o
}

// open applies the next batch of a shard, in which rooms open with one person each.
func (n *node) open(shard string, nicks ...string) {
	n.t.Helper()
	s := n.directory.Shard(shard)
	domain := s.Domains()[0].JID
	b := n.totals[shard]
	b.Deltas, b.Origin.Seq = nil, b.Origin.Seq+1
	for _, nick := range nicks {
		b.Rooms++
		b.Occupants++
		// As a collector publishes them: one delta for each change.
		room := nick + "@" + domain.String()
		b.Deltas = append(b.Deltas, occupancy.Delta{Room: room, New: true, Facts: &occupancy.RoomFacts{}}, occupancy.Delta{Room: room, Present: []occupancy.Occupant{person(s, nick)}})
	}
	n.totals[shard] = b
	if err := s.Apply(domain, b, time.Now()); err != nil {
		n.t.Fatal(err)
	}
}

// seen is what a stream has sent: "started nick", "joined nick", resets by their reason, and the last id.
type seen struct {
	all []string
	id  string
}

// read reads that many events of rooms, or up to a reset, after an id.
func (n *node) read(target, id string, events int) (got seen) {
	n.t.Helper()
	f := n.follow(target, id)
	defer f.Leave()
	got.id = id
	for len(got.all) < events {
		e := f.Next()
		if e.ID != "" {
			got.id = e.ID
		}
		switch e.Name {
		case "status", "snapshot":
		case "reset":
			got.all = append(got.all, "reset "+e.Text("reason"))
			return got
		default:
			room, _, _ := strings.Cut(e.Text("room_jid"), "@")
			_, what, _ := strings.Cut(e.Name, ".")
			got.all = append(got.all, what+" "+room)
		}
	}
	return got
}

// begin returns the id of a stream that knows the present state.
func (n *node) begin() string {
	n.t.Helper()
	f := n.follow("/?snapshot=true")
	defer f.Leave()
	return f.Until("snapshot").ID
}

func (s seen) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if !slices.Equal(s.all, want) {
		t.Errorf("%s: got %q, want %q", what, s.all, want)
	}
}

func TestMove_ToAnotherNode(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "a")
	id := a.begin()
	for _, n := range []*node{a, b} {
		n.open("a", "ann", "bob")
	}
	before := a.read("/", id, 3)
	before.want(t, "before", "started ann", "joined ann", "started bob")
	after := b.read("/", before.id, 1)
	after.want(t, "in the middle of a batch", "joined bob")
	if got := a.read("/", before.id, 1); got.id != after.id {
		t.Errorf("got the ids %q and %q of one event", got.id, after.id)
	}
	for _, n := range []*node{a, b} {
		n.open("a")
		n.open("a", "cyd")
	}
	b.read("/", after.id, 2).want(t, "after a batch without changes", "started cyd", "joined cyd")
}

func TestMove_BetweenNodesWithDifferentOrders(t *testing.T) {
	a, b := newNode(t, "a", "b"), newNode(t, "b", "a")
	id := a.begin()
	a.open("a", "a1")
	a.open("b", "b1")
	a.open("a", "a2")
	b.open("b", "b1")
	b.open("a", "a1")
	b.open("a", "a2")
	first := a.read("/", id, 3)
	first.want(t, "on the first", "started a1", "joined a1", "started b1")
	second := b.read("/", first.id, 1)
	second.want(t, "on the second", "joined b1")
	// It knows all of b but not a2. Its id must say so, although the second node had b1 first.
	third := a.read("/", second.id, 2)
	third.want(t, "back on the first", "started a2", "joined a2")
	b.read("/", third.id, 0).want(t, "at the end")
}

func TestMove_ToANodeThatIsBehind(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "a")
	id := a.begin()
	a.open("a", "ann")
	first := a.read("/", id, 2)
	go func() {
		time.Sleep(50 * time.Millisecond)
		b.open("a", "ann")
		b.open("a", "bob")
	}()
	b.read("/", first.id, 2).want(t, "on the second", "started bob", "joined bob")
}

func TestMove_AcrossAResync(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "a")
	id := a.begin()
	a.open("a", "ann")
	a.open("a", "bob")
	a.open("a", "cyd")
	// The second node has missed two batches, and loads the state after them.
	b.load("a", epoch, 3, "ann", "bob")
	b.open("a", "cyd")

	b.read("/", id, 6).want(t, "from before", "started ann", "joined ann", "started bob", "joined bob", "started cyd", "joined cyd")
	within := a.read("/", id, 2)
	b.read("/", within.id, 1).want(t, "from between", "reset expired")
	after := a.read("/", id, 4)
	b.read("/", after.id, 1).want(t, "from the last but one change", "started cyd")
	end := a.read("/", id, 6)
	b.read("/", end.id, 0).want(t, "at the end")

	differences := b.read("/", id, 3)
	a.read("/", differences.id, 1).want(t, "from within the differences", "reset unknown-id")
	b.read("/", differences.id, 3).want(t, "from there on the same node", "joined bob", "started cyd", "joined cyd")
	whole := b.read("/", id, 4)
	a.read("/", whole.id, 2).want(t, "from their end", "started cyd", "joined cyd")
}

// A client that saw someone come and go must not move to a node that knows of neither.
func TestMove_AcrossAResyncWithoutDifferences(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "a")
	id := a.begin()
	a.open("a", "ann")
	b.load("a", epoch, 3)
	first := a.read("/", id, 2)
	b.read("/", first.id, 1).want(t, "from between", "reset expired")
}

func TestMove_AcrossAnotherCollector(t *testing.T) {
	const other = "20251130T010203Z-ABCDEFGH" // whose clock is behind
	a, b := newNode(t, "a"), newNode(t, "a")
	id := a.begin()
	for _, n := range []*node{a, b} {
		n.open("a", "ann")
	}
	first := a.read("/", id, 2)
	b.load("a", other, 7, "ann", "bob")
	b.open("a", "cyd")
	b.read("/", first.id, 4).want(t, "to the node that has changed", "started bob", "joined bob", "started cyd", "joined cyd")
	second := b.read("/", first.id, 4)
	a.read("/", second.id, 1).want(t, "to the node that hasn't", "reset unknown-id")
	a.open("a", "dan")
	third := a.read("/", id, 4)
	b.read("/", third.id, 1).want(t, "from beyond the change", "reset expired")
}

func TestMove_WithVisitors(t *testing.T) {
	a, b := newNode(t, "a", "v1"), newNode(t, "a", "v1")
	id := a.begin()
	for _, n := range []*node{a, b} {
		n.open("a", "daily")
		n.open("v1", "daily")
		n.open("a", "other")
	}
	first := a.read("/", id, 3)
	first.want(t, "on the first", "started daily", "joined daily", "updated daily")
	b.read("/", first.id, 2).want(t, "on the second", "started other", "joined other")

	c := newNode(t, "a", "v1")
	c.open("a", "daily")
	c.open("a", "other")
	c.open("v1", "daily")
	// There, the visitor came later. What other rooms show of it may have changed in another order.
	c.read("/", first.id, 1).want(t, "on a node with another order", "reset expired")
}

func TestMove_WithOneShardOfSeveral(t *testing.T) {
	a, b := newNode(t, "a", "b"), newNode(t, "a", "b")
	id := a.begin()
	a.open("a", "a1")
	b.open("a", "a1")
	b.open("b", "b1")
	a.read("/", id, 2).want(t, "all", "started a1", "joined a1")
	b.read("/", id, 4).want(t, "all", "started a1", "joined a1", "started b1", "joined b1")
	c := newNode(t, "a")
	c.read("/", id, 0).want(t, "to a node with fewer shards")
	d := newNode(t, "a", "b", "c")
	d.read("/", id, 1).want(t, "to a node with more shards", "reset unknown-id")
}

func TestMove_IDsAreEqualAndShort(t *testing.T) {
	var shards []string
	for i := range 50 {
		shards = append(shards, fmt.Sprintf("shard-with-a-long-name-%d", i))
	}
	a, b := newNode(t, shards...), newNode(t, shards...)
	for _, n := range []*node{a, b} {
		for i, shard := range shards {
			n.load(shard, epoch, uint64(i)<<38, "ann")
		}
		n.open(shards[0], "bob")
		n.open(shards[7], "cyd")
	}
	x, y := a.begin(), b.begin()
	if x != y || len(x) > 1024 {
		t.Errorf("got %d bytes %q and %q, want equal ids of at most 1 KiB", len(x), x, y)
	}
}

// The stated load of several shards is 2,000 changes a second, which the ring keeps for 30 s.
func TestRing_KeepsMoreOfSeveralShards(t *testing.T) {
	n := newNode(t, "a", "b")
	id := n.begin()
	time.Sleep(1200 * time.Millisecond) // until the hub has looked
	const rooms, changes = 300, 60_000
	for i := range changes / 2 / rooms {
		var nicks []string
		for r := range rooms {
			nicks = append(nicks, fmt.Sprintf("x%d-%d", i, r))
		}
		n.open("a", nicks...)
		for n.Stats().Position < uint64(2*rooms*i) { // the hub is to be quick enough here
			time.Sleep(time.Millisecond)
		}
	}
	for n.Stats().Position < changes {
		time.Sleep(time.Millisecond)
	}
	if got := n.read("/", id, 1); got.all[0] != "started x0-0" {
		t.Errorf("got %q, want the first event", got.all)
	}
}
