package component

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// Router answers questions about the Prosodys of all shards: it passes each to the Components concerned and merges their answers.
// It is safe for concurrent use.
type Router struct {
	directory *occupancy.Directory

	// NATS returns the state of NATS for Diagnostics; nil without NATS. Set it before the first use of the Router.
	NATS func() *occupancy.NATSDiagnostics

	// mu protects components, those of the shards with a connection of this process, by the names of the shards.
	mu         sync.RWMutex
	components map[string]*Component
}

// NewRouter returns a Router without Components for the shards of a directory.
func NewRouter(directory *occupancy.Directory) *Router {
	return &Router{directory: directory, components: make(map[string]*Component)}
}

// Add makes a shard's questions go to c.
func (r *Router) Add(c *Component) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.components[c.cfg.Shard.Name()] = c
}

// Remove undoes Add.
func (r *Router) Remove(shard string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.components, shard)
}

// component returns the Component of a shard, or nil.
func (r *Router) component(shard string) *Component {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.components[shard]
}

// Room returns a room as it is now, merged as [occupancy.Merge] does, with the errors of [Component.Room].
// It asks each Prosody without the Lua module, for at most 15 s, and reads the others' replicas.
func (r *Router) Room(ctx context.Context, room jid.JID) (occupancy.Room, error) {
	found, err := r.directory.Room(room)
	if !errors.Is(err, occupancy.ErrNoModule) && !found.Unasked {
		return found, err
	}
	shards := slices.DeleteFunc(r.directory.Shards(), func(s *occupancy.Shard) bool { return !s.Has(room) })
	answers := make([]occupancy.Answer, len(shards))
	var g errgroup.Group
	for i, s := range shards {
		g.Go(func() error {
			found, err := r.roomOn(ctx, s, room)
			answers[i] = occupancy.Answer{Shard: s.Name(), Room: found, Err: err}
			return nil // it is part of the answer
		})
	}
	_ = g.Wait() // they return no errors
	if len(answers) == 1 {
		return answers[0].Room, answers[0].Err
	}
	return occupancy.Merge(room.Bare(), answers)
}

// RoomOn is Room for what one shard has, or [occupancy.ErrNoShard].
func (r *Router) RoomOn(ctx context.Context, shard string, room jid.JID) (occupancy.Room, error) {
	s := r.directory.Shard(shard)
	if s == nil {
		return occupancy.Room{}, occupancy.ErrNoShard
	}
	return r.roomOn(ctx, s, room)
}

// roomOn returns what one shard has. It asks its Prosody if that has no Lua module and this process is connected to it.
func (r *Router) roomOn(ctx context.Context, s *occupancy.Shard, room jid.JID) (occupancy.Room, error) {
	if c := r.component(s.Name()); c != nil {
		return c.Room(ctx, room)
	}
	return s.Room(room)
}

// Diagnostics returns the state of all shards and of NATS, in the order in which they were added. The caller owns it.
// Component, Prosody and LastAnswer are those of the first main shard with a connection of this process.
func (r *Router) Diagnostics() occupancy.Diagnostics {
	all := occupancy.Diagnostics{Rules: r.directory.RuleCounts()}
	if r.NATS != nil {
		all.NATS = r.NATS()
	}
	for _, s := range r.directory.Shards() {
		c := r.component(s.Name())
		if c == nil {
			for _, d := range s.Domains() {
				all.Domains = append(all.Domains, occupancy.DomainDiagnostics{Domain: d})
			}
			all.Shards = append(all.Shards, occupancy.ShardDiagnostics{Shard: s.Name(), Kind: s.Kind()})
			continue
		}
		one := c.Diagnostics()
		all.Shards, all.Domains = append(all.Shards, one.Shards...), append(all.Domains, one.Domains...)
		if all.Prosody == "" && s.Kind() == occupancy.ShardMain {
			all.Component, all.Prosody, all.LastAnswer = one.Component, one.Prosody, one.LastAnswer
		}
		all.Admins = append(all.Admins, one.Admins...)
		all.Refused += one.Refused
	}
	slices.SortStableFunc(all.Domains, func(a, b occupancy.DomainDiagnostics) int { return kindOrder(a.Kind) - kindOrder(b.Kind) })
	return all
}

// kindOrder puts main shards first, as the directory does.
func kindOrder(k occupancy.ShardKind) int {
	if k == occupancy.ShardMain {
		return 0
	}
	return 1
}

// Services lists the MUC services that the Prosodys of all shards show; see [Component.Services].
// It returns an error only if none of them can be asked.
func (r *Router) Services() ([]occupancy.Service, error) {
	r.mu.RLock()
	names := make([]string, 0, len(r.components))
	for name := range r.components {
		names = append(names, name)
	}
	r.mu.RUnlock()
	slices.Sort(names)
	found, errs := make([][]occupancy.Service, len(names)), make([]error, len(names))
	var g errgroup.Group
	for i, name := range names {
		g.Go(func() error {
			if c := r.component(name); c != nil {
				found[i], errs[i] = c.Services()
			}
			return nil // one is enough
		})
	}
	_ = g.Wait() // they return no errors
	all := slices.Concat(found...)
	slices.SortStableFunc(all, func(a, b occupancy.Service) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	if !slices.Contains(errs, nil) {
		return nil, errors.Join(errs...)
	}
	return all, nil
}

// Resync starts to load the rooms of a domain again on all shards that have it; see [Component.Resync].
func (r *Router) Resync(domain jid.JID) error {
	var errs []error
	followed := false
	for _, s := range r.directory.Shards() {
		c := r.component(s.Name())
		if c == nil || !s.Has(domain) {
			continue
		}
		if err := c.Resync(domain); err != nil {
			errs = append(errs, err)
			continue
		}
		followed = true
	}
	if !followed && len(errs) == 0 {
		return fmt.Errorf("component: %s is not being followed by this process, so it can't be resynced", domain)
	}
	return errors.Join(errs...)
}
