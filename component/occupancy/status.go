package occupancy

import (
	"context"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

// A Directory has two limits for the age of a replica.
const (
	// defaultMaxStaleness limits reads: a replica may answer for so long after its last confirmation,
	// even if the connection to Prosody was lost since, because the answer carries its age.
	defaultMaxStaleness = 30 * time.Second

	// liveFor limits streams, which show changes as they happen: a domain is live only if its replica was confirmed
	// on the present connection and within this time. The Lua module sends a batch at least every 10 s.
	liveFor = 15 * time.Second
)

// Mode is what Prosody reveals about the rooms of a MUC domain.
type Mode string

// The modes of a MUC domain.
const (
	// ModeUndecided is the mode of a MUC domain without the Lua module until the first query for an existing room:
	// only its answer shows whether Prosody reveals numbers to non-occupants.
	ModeUndecided Mode = "undecided"
	ModeModule    Mode = "module"
	ModeDisco     Mode = "disco"
	ModeExistence Mode = "existence"
)

// Status is whether PPCH can follow or query a MUC domain at present. The owner of the connection reports it with [Shard.SetStatus].
// The zero Status means that no connection has been tried yet.
type Status struct {
	// Connected is whether there is a connection to Prosody.
	// Since is when it was established or, without one, when it was lost.
	Connected bool
	Since     time.Time

	// Mode is meaningless while Problem is set.
	Mode Mode

	// Problem is why PPCH can't follow or query the domain, or nil.
	Problem *UnavailableError

	// RetryAt is when the owner retries. Unless zero, it replaces the RetryAfter of Problem.
	RetryAt time.Time
}

// loadable reports whether the rooms can be loaded.
func (s *Status) loadable() bool { return s.Mode == ModeModule && s.Problem == nil }

// Domain is a watched MUC domain at one moment. A problem is nil if there is none.
type Domain struct {
	JID  jid.JID
	Type RoomType

	// Shard is the shard that has it, Kind what that is for.
	Shard string
	Kind  ShardKind

	// VisitorsOf are the main domains whose visitors it has; nil unless it is on a visitor node.
	VisitorsOf []jid.JID

	// Connected, Since and Mode are as in [Status].
	Connected bool
	Since     time.Time
	Mode      Mode

	// AsOf is when its replica was last confirmed; zero without a replica.
	// Rooms is the number of rooms in the replica.
	AsOf  time.Time
	Rooms int

	// Problem is why Prosody can't answer queries about its rooms:
	// there is no connection, no such MUC service, or the replica is loading, too old or incomplete.
	Problem *UnavailableError

	// ReadProblem is the error of reading all its rooms, or a room that isn't in the replica; see [Directory.Room].
	ReadProblem *UnavailableError

	// EventProblem is why its events don't arrive as they happen; nil while it is live.
	EventProblem *UnavailableError
}

// CountProblem returns why PPCH can't count people in its rooms; nil if it can, or if that isn't clear yet.
func (d Domain) CountProblem() *UnavailableError {
	if d.Problem == nil && d.Mode == ModeExistence {
		return ProblemHidden.About(d.JID).Err(nil)
	}
	return d.Problem
}

// statusSummary is the part of a Domain whose change is an event.
type statusSummary struct {
	connected            bool
	mode                 Mode
	problem, read, event Reason
	visitorsOf           string
}

// Domains returns the watched MUC domains of all shards, the main one first and visitor nodes last.
func (d *Directory) Domains() []Domain {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := time.Now()
	domains := make([]Domain, 0, len(d.domains))
	for _, m := range d.domains {
		domains = append(domains, d.domainAt(m, now))
	}
	return domains
}

// Domain returns a watched MUC domain, or ErrNotWatched. Of several shards that have it, it returns the first whose rooms can't be read,
// or else the first.
func (d *Directory) Domain(domain jid.JID) (Domain, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	g := d.group(domain.Domainpart())
	if g == nil {
		return Domain{}, ErrNotWatched
	}
	now := time.Now()
	for _, m := range g.members[1:] {
		if d.readReason(g.members[0], now) == "" && d.readReason(m, now) != "" {
			return d.domainAt(m, now), nil
		}
	}
	return d.domainAt(g.members[0], now), nil
}

// Run publishes status changes that result from age alone. It returns nil when ctx ends.
// Reads don't depend on it: they check the clock themselves.
func (d *Directory) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.statusChanged:
		case <-timer.C:
		}
		timer.Reset(d.expire(time.Now()))
	}
}

// expire publishes status changes by age and returns the time until the next one is possible.
func (d *Directory) expire(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := now.Add(time.Hour)
	for _, m := range d.domains {
		d.publishStatus(m, now)
		for _, limit := range []time.Time{m.lastHeard().Add(liveFor), m.asOf.Add(liveFor), m.asOf.Add(d.MaxStaleness)} {
			if at := limit.Add(1); at.After(now) && at.Before(next) {
				next = at
			}
		}
	}
	return next.Sub(now)
}

// publishStatus publishes the status of m if it has changed. The caller holds mu.
func (d *Directory) publishStatus(m *mucDomain, now time.Time) {
	s := statusSummary{m.status.Connected, m.status.Mode, d.reason(m, now), d.readReason(m, now), d.eventReason(m, now), m.servedNames()}
	if s == m.published {
		return
	}
	m.published = s
	m.shard.push(Publication{Domain: m.jid})
	select {
	case d.statusChanged <- struct{}{}:
	default:
	}
	if len(d.subs) == 0 {
		return
	}
	domain := d.domainAt(m, now)
	d.publish(&Event{Kind: EventStatus, Room: domain.JID, Shard: m.shard.name, Type: m.typ, Domain: &domain, At: now})
}

// domainAt returns m at a time. The caller holds mu.
func (d *Directory) domainAt(m *mucDomain, now time.Time) Domain {
	rooms := 0
	if m.replica != nil {
		rooms = len(m.replica.rooms)
	}
	return Domain{
		JID: m.jid, Type: m.typ, Shard: m.shard.name, Kind: m.shard.kind, Connected: m.status.Connected, Since: m.status.Since, Mode: m.status.Mode, AsOf: m.asOf, Rooms: rooms,
		Problem:      d.problem(m, now, d.reason(m, now)),
		ReadProblem:  d.readProblem(m, now),
		EventProblem: d.eventProblem(m, now),
		VisitorsOf:   m.served(),
	}
}

// readable reports whether the replica of m may answer: it was confirmed within MaxStaleness, on any connection.
func (d *Directory) readable(m *mucDomain, now time.Time) bool {
	return m.replica != nil && now.Sub(m.asOf) <= d.MaxStaleness
}

// silent reports whether Prosody has stopped to confirm the replica of m although the connection is up: it is frozen or overloaded.
func (m *mucDomain) silent(now time.Time) bool {
	return m.replica != nil && !m.asOf.Before(m.status.Since) && now.Sub(m.asOf) > liveFor
}

// stalled reports whether Prosody has stopped to send the rooms of m, although the connection is up.
func (m *mucDomain) stalled(now time.Time) bool { return now.Sub(m.lastHeard()) > liveFor }

// lastHeard returns when Prosody last sent anything about the rooms of m on the present connection.
func (m *mucDomain) lastHeard() time.Time {
	return slices.MaxFunc([]time.Time{m.heard, m.asOf, m.status.Since}, time.Time.Compare)
}

// reason returns why Prosody can't answer queries about rooms of m, or an empty string.
func (d *Directory) reason(m *mucDomain, now time.Time) Reason {
	switch s := &m.status; {
	case s.Problem != nil:
		return s.Problem.Reason
	case !s.Connected:
		return ReasonConnecting
	case s.Mode != ModeModule:
		return ""
	case !d.readable(m, now) && (m.silent(now) || m.stalled(now)):
		return ReasonTimeout
	case !d.readable(m, now):
		return ReasonSyncing
	case m.replica.incomplete:
		return ReasonStorage
	}
	return ""
}

// readReason returns why reading all rooms of m fails, or an empty string.
func (d *Directory) readReason(m *mucDomain, now time.Time) Reason {
	if d.readable(m, now) && !m.replica.incomplete {
		return ""
	}
	if r := d.reason(m, now); r != "" {
		return r
	}
	return ReasonModuleMissing
}

// eventReason returns why events of m don't arrive as they happen, or an empty string.
func (d *Directory) eventReason(m *mucDomain, now time.Time) Reason {
	if r := d.reason(m, now); r != "" {
		return r
	}
	switch {
	case m.status.Mode != ModeModule:
		return ReasonModuleMissing
	case m.silent(now):
		return ReasonTimeout
	case m.replica == nil, m.asOf.Before(m.status.Since):
		return ReasonSyncing
	}
	return ""
}

// problem returns the error for a reason of m, nil for an empty one.
func (d *Directory) problem(m *mucDomain, now time.Time, r Reason) *UnavailableError {
	switch s := &m.status; {
	case r == "":
		return nil
	case s.Problem != nil && !s.RetryAt.IsZero():
		p := *s.Problem
		p.RetryAfter = max(time.Second, s.RetryAt.Sub(now))
		return &p
	case s.Problem != nil:
		return s.Problem
	case r == ReasonConnecting:
		return ProblemConnecting.Err(nil)
	case r == ReasonStorage:
		return ProblemStorage.About(m.jid).Err(nil)
	case r == ReasonTimeout && !m.silent(now):
		return ProblemStalled.About(m.jid).With(Fact{"age", now.Sub(m.lastHeard()).Round(time.Second).String()}).Err(nil)
	case r == ReasonTimeout:
		return ProblemSilent.About(m.jid).With(Fact{"age", now.Sub(m.asOf).Round(time.Second).String()}).Err(nil)
	}
	if age := now.Sub(m.asOf); m.replica != nil && age > d.MaxStaleness {
		return ProblemStale.About(m.jid).With(Fact{"age", age.Round(time.Second).String()}).Err(nil)
	}
	return ProblemSyncing.About(m.jid).Err(nil)
}

// readProblem returns the error for reads of m, or nil.
func (d *Directory) readProblem(m *mucDomain, now time.Time) *UnavailableError {
	switch {
	case d.readReason(m, now) == "":
		return nil
	case d.reason(m, now) == "":
		return ProblemNotListed.About(m.jid).Err(ErrNoModule)
	}
	return d.problem(m, now, d.reason(m, now))
}

// eventProblem returns the error for events of m, nil while m is live.
func (d *Directory) eventProblem(m *mucDomain, now time.Time) *UnavailableError {
	r := d.eventReason(m, now)
	if r == ReasonModuleMissing && d.reason(m, now) == "" {
		return ProblemNoEvents.About(m.jid).Err(ErrNoModule)
	}
	return d.problem(m, now, r)
}

// readError returns the error for reading r, a room of m, or all rooms if r is nil.
// It is for reads that a client waits for: it signals Unanswered if there is no connection.
func (d *Directory) readError(m *mucDomain, r *replicaRoom, now time.Time) error {
	if r != nil && d.readable(m, now) {
		return nil
	}
	p := d.readProblem(m, now)
	if p == nil {
		return nil
	}
	if !m.status.Connected {
		select {
		case m.shard.unanswered <- struct{}{}:
		default:
		}
	}
	return p
}

// selectDomains returns the watched domains that q selects, or ErrNotWatched if there are none.
func (d *Directory) selectDomains(q Query) ([]*mucDomain, error) {
	if q.Shard != "" && d.findShard(q.Shard) == nil {
		return nil, ErrNoShard
	}
	if q.Domain == "" && q.Type == "" && len(d.domains) > 0 && len(d.shards) == 1 {
		return d.domains, nil
	}
	selected := slices.DeleteFunc(slices.Clone(d.domains), func(m *mucDomain) bool { return !q.selects(m) })
	if len(selected) == 0 {
		return nil, ErrNotWatched
	}
	return selected, nil
}
