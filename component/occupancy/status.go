package occupancy

import (
	"context"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

// A Directory knows two measures of how current the replica of a domain is.
const (
	// defaultMaxStaleness bounds a read: a replica may answer for so long after it was last confirmed,
	// even if the connection to Prosody was lost meanwhile, because the answer carries its age.
	defaultMaxStaleness = 30 * time.Second

	// liveFor bounds a stream, which shows changes as they happen: its domain counts as live only if the replica was confirmed
	// on the present connection and not longer ago than this. The Lua module sends something every 10 s at least.
	liveFor = 15 * time.Second
)

// Mode is what Prosody can be asked about the rooms of a MUC domain.
type Mode string

// The modes of a MUC domain.
const (
	// ModeUndecided is the mode of a MUC domain without the Lua module
	// that has not yet been asked about a room which exists:
	// only then does Prosody show whether it tells numbers to non-occupants.
	ModeUndecided Mode = "undecided"
	ModeModule    Mode = "module"
	ModeDisco     Mode = "disco"
	ModeExistence Mode = "existence"
)

// Status is how a MUC domain can be followed or asked at present, as its owner reports it with [Directory.SetStatus].
// The zero Status says that no connection has been tried yet.
type Status struct {
	// Connected is whether there is a connection to Prosody,
	// Since when it was established or, while there is none, when it was lost.
	Connected bool
	Since     time.Time

	// Mode means nothing while Problem is set.
	Mode Mode

	// Problem is why the domain can't be followed or asked; nil if it can.
	Problem *UnknownError

	// RetryAt is when the owner tries again. It replaces the RetryAfter of Problem unless it is zero.
	RetryAt time.Time
}

// Domain is a watched MUC domain at one moment. Its problems are nil where there are none.
type Domain struct {
	JID  jid.JID
	Type RoomType

	// Connected, Since and Mode are those of its [Status].
	Connected bool
	Since     time.Time
	Mode      Mode

	// AsOf is when the replica of its rooms was last confirmed; zero without a replica.
	// Rooms is how many rooms are in it.
	AsOf  time.Time
	Rooms int

	// Problem is why questions about its rooms can't be answered by Prosody:
	// there is no connection, no such MUC service, or the module's rooms are loading, too old or incomplete.
	Problem *UnknownError

	// ReadProblem is the error of reads of all its rooms, and of a room that isn't there: see [Directory.Room].
	ReadProblem *UnknownError

	// EventProblem is why its events don't come as they happen; nil while it is live.
	EventProblem *UnknownError
}

// CountProblem returns why people in its rooms can't be counted, nil if they can or if that hasn't shown yet.
func (d Domain) CountProblem() *UnknownError {
	if d.Problem == nil && d.Mode == ModeExistence {
		return ProblemHidden.About(d.JID).Err(nil)
	}
	return d.Problem
}

// statusSummary is what makes a change of a Domain an event.
type statusSummary struct {
	connected            bool
	mode                 Mode
	problem, read, event Reason
}

// SetStatus takes in how a domain can be followed or asked from now on.
func (d *Directory) SetStatus(domain jid.JID, s Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.domain(domain.Domainpart()); m != nil {
		m.status = s
		d.publishStatus(m, time.Now())
	}
}

// Domains returns the watched MUC domains, main one first.
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

// Domain returns a watched MUC domain, or ErrNotWatched.
func (d *Directory) Domain(domain jid.JID) (Domain, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	m := d.domain(domain.Domainpart())
	if m == nil {
		return Domain{}, ErrNotWatched
	}
	return d.domainAt(m, time.Now()), nil
}

// Run publishes the changes of status that come with age alone, until ctx ends; then it returns nil.
// Reads don't depend on it: they look at the clock themselves.
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

// expire publishes what has changed by age, and returns how long nothing else can.
func (d *Directory) expire(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := now.Add(time.Hour)
	for _, m := range d.domains {
		d.publishStatus(m, now)
		if m.replica == nil {
			continue
		}
		for _, limit := range []time.Duration{liveFor, d.MaxStaleness} {
			if at := m.asOf.Add(limit + 1); at.After(now) && at.Before(next) {
				next = at
			}
		}
	}
	return next.Sub(now)
}

// Unanswered receives after reads for which a connection to Prosody was missing, so that its owner may hurry.
// Only one receiver gets each signal.
func (d *Directory) Unanswered() <-chan struct{} { return d.unanswered }

// publishStatus publishes how w is, if that has changed. The caller holds mu.
func (d *Directory) publishStatus(m *mucDomain, now time.Time) {
	s := statusSummary{m.status.Connected, m.status.Mode, d.reason(m, now), d.readReason(m, now), d.eventReason(m, now)}
	if s == m.published {
		return
	}
	m.published = s
	select {
	case d.statusChanged <- struct{}{}:
	default:
	}
	if len(d.subs) == 0 {
		return
	}
	domain := d.domainAt(m, now)
	d.publish(Event{Kind: EventStatus, Room: domain.JID, Type: m.typ, Domain: &domain, At: now})
}

// domainAt returns how w is. The caller holds mu.
func (d *Directory) domainAt(m *mucDomain, now time.Time) Domain {
	rooms := 0
	if m.replica != nil {
		rooms = len(m.replica.rooms)
	}
	return Domain{
		JID: m.jid, Type: m.typ, Connected: m.status.Connected, Since: m.status.Since, Mode: m.status.Mode, AsOf: m.asOf, Rooms: rooms,
		Problem:      d.problem(m, now, d.reason(m, now)),
		ReadProblem:  d.readProblem(m, now),
		EventProblem: d.eventProblem(m, now),
	}
}

// readable reports whether the replica of w may answer: it was confirmed within MaxStaleness, be it on an earlier connection.
func (d *Directory) readable(m *mucDomain, now time.Time) bool {
	return m.replica != nil && now.Sub(m.asOf) <= d.MaxStaleness
}

// reason returns why Prosody can't answer questions about rooms of w, or nothing.
func (d *Directory) reason(m *mucDomain, now time.Time) Reason {
	switch s := &m.status; {
	case s.Problem != nil:
		return s.Problem.Reason
	case !s.Connected:
		return ReasonConnecting
	case s.Mode != ModeModule:
		return ""
	case !d.readable(m, now):
		return ReasonSyncing
	case m.replica.incomplete:
		return ReasonStorage
	}
	return ""
}

// readReason returns why all rooms of w can't be read, or nothing.
func (d *Directory) readReason(m *mucDomain, now time.Time) Reason {
	if d.readable(m, now) && !m.replica.incomplete {
		return ""
	}
	if r := d.reason(m, now); r != "" {
		return r
	}
	return ReasonModuleMissing
}

// eventReason returns why events of w don't come as they happen, or nothing.
func (d *Directory) eventReason(m *mucDomain, now time.Time) Reason {
	if r := d.reason(m, now); r != "" {
		return r
	}
	switch {
	case m.status.Mode != ModeModule:
		return ReasonModuleMissing
	case m.replica == nil, m.asOf.Before(m.status.Since), now.Sub(m.asOf) > liveFor:
		return ReasonSyncing
	}
	return ""
}

// problem returns the error for a reason of w, nil for none.
func (d *Directory) problem(m *mucDomain, now time.Time, r Reason) *UnknownError {
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
	}
	if age := now.Sub(m.asOf); m.replica != nil && age > d.MaxStaleness {
		return ProblemStale.About(m.jid).With(Fact{"age", age.Round(time.Second).String()}).Err(nil)
	}
	return ProblemSyncing.About(m.jid).Err(nil)
}

// readProblem returns the error of reads of w, nil for none.
func (d *Directory) readProblem(m *mucDomain, now time.Time) *UnknownError {
	switch {
	case d.readReason(m, now) == "":
		return nil
	case d.reason(m, now) == "":
		return ProblemNotListed.About(m.jid).Err(ErrNoModule)
	}
	return d.problem(m, now, d.reason(m, now))
}

// eventProblem returns the error for events of w, nil while they come as they happen.
func (d *Directory) eventProblem(m *mucDomain, now time.Time) *UnknownError {
	r := d.eventReason(m, now)
	if r == ReasonModuleMissing && d.reason(m, now) == "" {
		return ProblemNoEvents.About(m.jid).Err(ErrNoModule)
	}
	return d.problem(m, now, r)
}

// readError returns why r, a room of w, or all rooms if that is nil, can't be read.
// It is for reads that a client waits for: it signals where a connection is missing.
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
		case d.unanswered <- struct{}{}:
		default:
		}
	}
	return p
}

// selectDomains returns the watched domains that a read is about, or ErrNotWatched if that is none.
func (d *Directory) selectDomains(domain string, typ RoomType) ([]*mucDomain, error) {
	if domain == "" && typ == "" && len(d.domains) > 0 {
		return d.domains, nil
	}
	selected := slices.DeleteFunc(slices.Clone(d.domains), func(m *mucDomain) bool {
		return domain != "" && m.name != domain || typ != "" && m.typ != typ
	})
	if len(selected) == 0 {
		return nil, ErrNotWatched
	}
	return selected, nil
}

// Wiring is how the service hangs together with Prosody at one moment, for whoever has to mend it. The caller owns it.
type Wiring struct {
	// Component is our own JID, Prosody the host:port that it is connected to.
	Component jid.JID
	Prosody   string

	// LastAnswer is when Prosody last answered a question, or zero.
	LastAnswer time.Time

	// Domains are the watched MUC domains, main one first.
	Domains []DomainWiring

	// Admins are the entries of the list of admins.
	Admins []AdminWiring

	// Refused counts stanzas of admins that came faster than they could be answered.
	Refused uint64
}

// DomainWiring is how one watched MUC domain is known.
type DomainWiring struct {
	Domain

	// Resyncs is how often its copy had to be made anew.
	Resyncs uint64

	// Sync is what is known of the subscription to the Lua module, nil while there is none.
	Sync *Sync
}

// Sync is the state of a subscription to the Lua module.
type Sync struct {
	// Version is that of the module.
	Version string

	// Epoch names the subscription and Seq counts its batches.
	Epoch string
	Seq   uint64

	// Heartbeat is how often the module speaks at least, LastBatch when it last did by our clock.
	Heartbeat time.Duration
	LastBatch time.Time

	// Lag is how long before LastBatch what it told was known to be true: the time that it took to come.
	Lag time.Duration

	// Ahead is by how much Prosody's clock was ahead of ours, at least, when the subscription began; below zero it was behind.
	// Nil where the module doesn't tell.
	Ahead *time.Duration

	// RoomCache is how many rooms of the domain Prosody keeps in memory (muc_room_cache_size), zero where the module doesn't say.
	// With more in use it swaps rooms out and in.
	RoomCache int
}

// Service is a MUC service that Prosody shows.
type Service struct {
	JID jid.JID

	// Protocols are the namespaces of the Lua module there, whatever their version; empty where it isn't loaded.
	Protocols []string
}

// AdminWiring is one entry of the list of admins.
type AdminWiring struct {
	// JID is a bare JID, or a domain all of whose accounts are meant.
	JID jid.JID

	// Local is whether Prosody has shown the domain to be a host of its own where people log in.
	// Otherwise the entry counts for nobody.
	Local bool
}
