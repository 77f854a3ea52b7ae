package occupancy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

// DefaultShard is the name of the shard that [NewDirectory] makes.
const DefaultShard = "main"

// ErrNoShard means that a Directory has no shard of that name.
var ErrNoShard = errors.New("occupancy: no such shard")

// ShardKind is what a shard is for.
type ShardKind string

// The kinds of shards.
const (
	// ShardMain is a Prosody on which meetings take place.
	ShardMain ShardKind = "main"

	// ShardVisitors is a visitor node: a Prosody for visitors of meetings that take place on main shards.
	// The participants of a meeting are mirrored into its room there, which has the same localpart (jitsi-meet, mod_fmuc.lua).
	ShardVisitors ShardKind = "visitors"
)

// ShardConfig describes a shard: a Prosody with its MUC domains.
type ShardConfig struct {
	// Name is unique in a Directory. Identifiers contain it, so it must not change.
	Name string

	// Kind is ShardMain if empty.
	Kind ShardKind

	// Domains are its MUC domains, the main one first. Main shards usually have the same domains.
	Domains []jid.JID
}

// Shard is one Prosody of a [Directory]. Its methods write and read the rooms of this shard alone.
// It is safe for concurrent use. After [Directory.Retire] it can't be written any more.
type Shard struct {
	directory  *Directory
	name       string
	kind       ShardKind
	hash       uint64       // of the name
	domains    []*mucDomain // never changes
	unanswered chan struct{}
	retired    bool // as mu of the Directory

	// The mu of the Directory protects what follows.
	numbering    numbering
	publications []*Publications
	deltas       []Delta // of the present batch, if there are publications
}

// AddShard adds a shard, of which nothing is known yet. Until it reports, no room of its domains is known to be missing.
// It fails if the name is taken, or if the domains make no sense.
func (d *Directory) AddShard(cfg ShardConfig) (*Shard, error) {
	cfg.Kind = cmp.Or(cfg.Kind, ShardMain)
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	if err := d.checkShard(cfg); err != nil {
		return nil, fmt.Errorf("occupancy: shard %q: %w", cfg.Name, err)
	}
	s := d.newShard(cfg)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shards = append(d.shards, s)
	d.regroup()
	now := time.Now()
	for _, m := range s.domains {
		domain := d.domainAt(m, now)
		d.publish(&Event{Kind: EventStatus, Room: m.jid, Shard: s.name, Type: m.typ, Domain: &domain, At: now})
	}
	return s, nil
}

func (d *Directory) checkShard(cfg ShardConfig) error {
	switch {
	case cfg.Name == "":
		return errors.New("it has no name")
	case d.findShard(cfg.Name) != nil:
		return errors.New("the name is taken")
	case cfg.Kind != ShardMain && cfg.Kind != ShardVisitors:
		return fmt.Errorf("%q is not a kind: use main or visitors", cfg.Kind)
	case len(cfg.Domains) == 0:
		return errors.New("it has no MUC domain")
	}
	for i, j := range cfg.Domains {
		if slices.ContainsFunc(cfg.Domains[:i], j.Equal) {
			return fmt.Errorf("it has the MUC domain %s twice", j)
		}
		if g := d.group(j.Domainpart()); g != nil && g.kind != cfg.Kind {
			return fmt.Errorf("the MUC domain %s belongs to a shard of kind %s", j, g.kind)
		}
	}
	return nil
}

func (d *Directory) newShard(cfg ShardConfig) *Shard {
	s := &Shard{directory: d, name: cfg.Name, hash: hashName(cfg.Name), kind: cfg.Kind, unanswered: make(chan struct{}, 1)}
	now := time.Now()
	s.numbering.last.Epoch = newEpoch(now)
	for i, j := range cfg.Domains {
		s.domains = append(s.domains, d.newDomain(s, i, j, now))
	}
	return s
}

// Retire removes a shard and its rooms: from now on they are not missed. It reports whether there was one of that name.
// Subscribers receive an EventReset for each of its domains.
func (d *Directory) Retire(name string) bool {
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	s := d.findShard(name)
	if s == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shards = slices.DeleteFunc(slices.Clone(d.shards), func(other *Shard) bool { return other == s })
	d.regroup()
	s.retired = true
	for _, p := range s.publications {
		p.end()
	}
	for _, m := range s.domains {
		m.loading, m.replica, m.asOf = nil, nil, time.Time{}
		d.publish(&Event{Seq: d.lastEvent, Kind: EventReset, Room: m.jid, Shard: s.name, At: time.Now()})
	}
	return true
}

// Shard returns the shard of that name, or nil.
func (d *Directory) Shard(name string) *Shard {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.findShard(name)
}

// findShard is Shard for a caller that holds mu or writeMu.
func (d *Directory) findShard(name string) *Shard {
	for _, s := range d.shards {
		if s.name == name {
			return s
		}
	}
	return nil
}

// Shards returns all shards in the order in which they were added.
func (d *Directory) Shards() []*Shard {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.shards)
}

// Name returns the name of the shard.
func (s *Shard) Name() string { return s.name }

// Kind returns what the shard is for.
func (s *Shard) Kind() ShardKind { return s.kind }

// Unanswered receives a signal after a read failed without a connection to the shard's Prosody, so that the owner can reconnect sooner.
// Each signal goes to one receiver.
func (s *Shard) Unanswered() <-chan struct{} { return s.unanswered }

// domain returns the shard's MUC domain of that name, or nil.
func (s *Shard) domain(name string) *mucDomain {
	for _, m := range s.domains {
		if m.name == name {
			return m
		}
	}
	return nil
}

// Has reports whether room, or the domain, is on one of the shard's MUC domains.
func (s *Shard) Has(room jid.JID) bool { return s.domain(room.Domainpart()) != nil }

// Domains returns the shard's MUC domains, the main one first.
func (s *Shard) Domains() []Domain {
	s.directory.mu.RLock()
	defer s.directory.mu.RUnlock()
	now := time.Now()
	domains := make([]Domain, 0, len(s.domains))
	for _, m := range s.domains {
		domains = append(domains, s.directory.domainAt(m, now))
	}
	return domains
}

// Domain returns one of the shard's MUC domains, or ErrNotWatched.
func (s *Shard) Domain(domain jid.JID) (Domain, error) {
	s.directory.mu.RLock()
	defer s.directory.mu.RUnlock()
	m := s.domain(domain.Domainpart())
	if m == nil {
		return Domain{}, ErrNotWatched
	}
	return s.directory.domainAt(m, time.Now()), nil
}

// SetStatus replaces the status of one of the shard's MUC domains.
func (s *Shard) SetStatus(domain jid.JID, status Status) {
	d := s.directory
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := s.domain(domain.Domainpart()); m != nil && !s.retired {
		now := time.Now()
		if status.loadable() && !m.status.loadable() {
			m.heard = now
		}
		m.status = status
		d.publishStatus(m, now)
	}
}

// Room returns a room as this shard alone has it, with the errors of [Directory.Room].
func (s *Shard) Room(room jid.JID) (Room, error) {
	d := s.directory
	d.mu.RLock()
	defer d.mu.RUnlock()
	m := s.domain(room.Domainpart())
	if m == nil {
		return Room{}, ErrNotWatched
	}
	now := time.Now()
	r, err := d.roomOn(m, room, now)
	return d.withVisitors(m.group, r, now), err
}

// Totals returns the totals of one of the shard's MUC domains, with the errors of [Directory.Totals].
func (s *Shard) Totals(domain jid.JID) (Totals, error) {
	s.directory.mu.RLock()
	defer s.directory.mu.RUnlock()
	m := s.domain(domain.Domainpart())
	if m == nil {
		return Totals{}, ErrNotWatched
	}
	if p := s.directory.readProblem(m, time.Now()); p != nil {
		return Totals{}, p
	}
	return m.totals(), nil
}
