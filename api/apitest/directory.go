// Package apitest helps to test the API: a Directory to change at will, and a client of event streams.
package apitest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// The domains of a Jitsi Meet.
var (
	Main     = jid.MustParse("muc.meet.jitsi")
	Breakout = jid.MustParse("breakout.meet.jitsi")
	Lobby    = jid.MustParse("lobby.meet.jitsi")
)

// Directory is an [occupancy.Directory] with a shard whose changes come from a test instead of Prosody. It counts the totals of each batch itself.
// It is safe for concurrent use.
type Directory struct {
	*occupancy.Directory

	// Now is the time of changes; [time.Now] by default.
	Now func() time.Time

	t     testing.TB
	shard *occupancy.Shard

	// mu protects what follows.
	mu    sync.Mutex
	rooms map[string]map[string]map[string]bool // nicks, by domain and room
}

// NewDirectory returns a Directory of these domains, or of Main if there are none, connected for an hour and without rooms.
func NewDirectory(t testing.TB, domains ...jid.JID) *Directory {
	if len(domains) == 0 {
		domains = []jid.JID{Main}
	}
	d := NewShards(t)
	return d.AddShard(occupancy.ShardConfig{Name: occupancy.DefaultShard, Domains: domains}).Start()
}

// NewShards returns a Directory without shards.
func NewShards(t testing.TB) *Directory {
	d := &Directory{Directory: occupancy.NewDirectory(), Now: time.Now, t: t}
	d.MaxStaleness = 45 * time.Second
	return d
}

// AddShard adds a shard to the Directory, of which nothing is known, and returns a Directory that changes its rooms.
func (d *Directory) AddShard(cfg occupancy.ShardConfig) *Directory {
	d.t.Helper()
	shard, err := d.Directory.AddShard(cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	return &Directory{Directory: d.Directory, Now: d.Now, t: d.t, shard: shard, rooms: map[string]map[string]map[string]bool{}}
}

// Start makes the shard one that has been connected for an hour and has no rooms. It returns d.
func (d *Directory) Start() *Directory {
	d.t.Helper()
	d.Connect(time.Now().Add(-time.Hour))
	for _, domain := range d.shard.Domains() {
		d.Load(domain.JID)
	}
	return d
}

// NewMeetings returns a Directory of Main, Breakout and Lobby with these rooms of Main, by node and number of people.
func NewMeetings(t testing.TB, rooms map[string]int) *Directory {
	d := NewDirectory(t, Main, Breakout, Lobby)
	for node, people := range rooms {
		d.SetPeople(node, people)
	}
	return d
}

// Connect reports that the module of every domain is followed since then.
func (d *Directory) Connect(since time.Time) {
	for _, domain := range d.shard.Domains() {
		d.SetStatus(domain.JID, occupancy.Status{Connected: true, Since: since, Mode: occupancy.ModeModule})
	}
}

// Lose reports a problem with every domain.
func (d *Directory) Lose(problem *occupancy.UnavailableError) {
	for _, domain := range d.shard.Domains() {
		d.SetStatus(domain.JID, occupancy.Status{Problem: problem})
	}
}

// Load loads a domain from scratch.
func (d *Directory) Load(domain jid.JID, rooms ...occupancy.Delta) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rooms[domain.String()] = map[string]map[string]bool{}
	d.Begin(domain, occupancy.SystemAccounts{Recorders: []string{"recorder@hidden.meet.jitsi"}})
	d.apply(domain, rooms)
}

// LoadPeople is Load for rooms with that many people each.
func (d *Directory) LoadPeople(domain jid.JID, people ...int) {
	d.t.Helper()
	var rooms []occupancy.Delta
	for i, n := range people {
		rooms = append(rooms, Room(fmt.Sprintf("room%d@%s", i, domain), n))
	}
	d.Load(domain, rooms...)
}

// Change applies changes of rooms, in one batch for each domain.
func (d *Directory) Change(deltas ...occupancy.Delta) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	byDomain := map[string][]occupancy.Delta{}
	for _, delta := range deltas {
		_, domain, _ := strings.Cut(delta.Room, "@")
		byDomain[domain] = append(byDomain[domain], delta)
	}
	for domain, deltas := range byDomain {
		d.apply(jid.MustParse(domain), deltas)
	}
}

// Heartbeat applies an empty batch to each domain.
func (d *Directory) Heartbeat() {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, domain := range d.shard.Domains() {
		d.apply(domain.JID, nil)
	}
}

// SetStatus replaces the status of a domain.
func (d *Directory) SetStatus(domain jid.JID, s occupancy.Status) { d.shard.SetStatus(domain, s) }

// Begin starts loading a domain.
func (d *Directory) Begin(domain jid.JID, t occupancy.SystemAccounts) { d.shard.Begin(domain, t) }

// Apply applies a batch of a domain.
func (d *Directory) Apply(domain jid.JID, b occupancy.Batch, at time.Time) error {
	return d.shard.Apply(domain, b, at)
}

// Forget discards everything about the rooms of a domain.
func (d *Directory) Forget(domain jid.JID) { d.shard.Forget(domain) }

// apply applies one batch. The caller holds mu.
func (d *Directory) apply(domain jid.JID, deltas []occupancy.Delta) {
	d.t.Helper()
	rooms := d.rooms[domain.String()]
	for _, delta := range deltas {
		nicks := rooms[delta.Room]
		if nicks == nil || delta.New {
			nicks = map[string]bool{}
			rooms[delta.Room] = nicks
		}
		for _, nick := range delta.Left {
			delete(nicks, nick)
		}
		for _, o := range delta.Present {
			nicks[o.ID] = true
		}
		if delta.Gone {
			delete(rooms, delta.Room)
		}
	}
	b := occupancy.Batch{Deltas: deltas, Synced: true, Rooms: len(rooms)}
	for _, nicks := range rooms {
		b.Occupants += len(nicks)
	}
	if err := d.Apply(domain, b, d.Now()); err != nil {
		d.t.Error(err)
	}
}

// Join lets people join a room of Main, each in a batch of its own.
func (d *Directory) Join(room string, nicks ...string) {
	d.t.Helper()
	for _, nick := range nicks {
		d.Change(occupancy.Delta{Room: room + "@" + Main.String(), Present: []occupancy.Occupant{Person(nick)}})
	}
}

// Leave lets people leave a room of Main.
func (d *Directory) Leave(room string, nicks ...string) {
	d.t.Helper()
	d.Change(occupancy.Delta{Room: room + "@" + Main.String(), Left: nicks})
}

// SetPeople replaces the people in a room of Main. With a number below zero the room is gone.
func (d *Directory) SetPeople(room string, people int) {
	d.t.Helper()
	delta := Room(room+"@"+Main.String(), people)
	if people < 0 {
		delta = occupancy.Delta{Room: delta.Room, Gone: true}
	}
	d.Change(delta)
}

// Joined is when each Person has joined.
var Joined = time.Date(2026, 11, 22, 9, 30, 0, 125e6, time.UTC)

// Person returns a person with a name and a user account.
func Person(nick string) occupancy.Occupant {
	return occupancy.Occupant{
		ID: nick, Name: "Name of " + nick, RealJID: "q" + nick + "@meet.jitsi/web", Role: "participant", Affiliation: "none", JoinedAt: Joined,
		UserID: "id-" + nick, UserName: "Full " + nick, AvatarURL: "https://example.com/" + nick + ".png",
	}
}

// Room returns a new room with that many people.
func Room(address string, people int) occupancy.Delta {
	room := occupancy.Delta{Room: address, New: true, Facts: &occupancy.RoomFacts{CreatedAt: Joined}}
	for i := range max(0, people) {
		room.Present = append(room.Present, Person(fmt.Sprintf("p%d", i)))
	}
	return room
}
