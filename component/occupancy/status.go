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

// summary is what makes a change of a Domain an event.
type summary struct {
	connected                  bool
	mode                       Mode
	problem, readable, current Reason
}

// SetStatus takes in how a domain can be followed or asked from now on.
func (d *Directory) SetStatus(domain jid.JID, s Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.domain(domain.Domainpart()); w != nil {
		w.status = s
		d.publishStatus(w, time.Now())
	}
}

// Domains returns the watched MUC domains, main one first.
func (d *Directory) Domains() []Domain {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := time.Now()
	domains := make([]Domain, 0, len(d.watched))
	for _, w := range d.watched {
		domains = append(domains, d.domainAt(w, now))
	}
	return domains
}

// Domain returns a watched MUC domain, or ErrNotWatched.
func (d *Directory) Domain(domain jid.JID) (Domain, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(domain.Domainpart())
	if w == nil {
		return Domain{}, ErrNotWatched
	}
	return d.domainAt(w, time.Now()), nil
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
	for _, w := range d.watched {
		d.publishStatus(w, now)
		if w.served == nil {
			continue
		}
		for _, limit := range []time.Duration{liveFor, d.MaxStaleness} {
			if at := w.asOf.Add(limit + 1); at.After(now) && at.Before(next) {
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
func (d *Directory) publishStatus(w *watched, now time.Time) {
	s := summary{w.status.Connected, w.status.Mode, d.reason(w, now), d.readReason(w, now), d.eventReason(w, now)}
	if s == w.published {
		return
	}
	w.published = s
	select {
	case d.statusChanged <- struct{}{}:
	default:
	}
	if len(d.subs) == 0 {
		return
	}
	domain := d.domainAt(w, now)
	d.publish(Event{Kind: EventStatus, Room: domain.JID, Type: w.typ, Domain: &domain, At: now})
}

// domainAt returns how w is. The caller holds mu.
func (d *Directory) domainAt(w *watched, now time.Time) Domain {
	rooms := 0
	if w.served != nil {
		rooms = len(w.served.rooms)
	}
	return Domain{
		JID: w.jid, Type: w.typ, Connected: w.status.Connected, Since: w.status.Since, Mode: w.status.Mode, AsOf: w.asOf, Rooms: rooms,
		Problem:      d.problem(w, now, d.reason(w, now)),
		ReadProblem:  d.readProblem(w, now),
		EventProblem: d.eventProblem(w, now),
	}
}

// readable reports whether the replica of w may answer: it was confirmed within MaxStaleness, be it on an earlier connection.
func (d *Directory) readable(w *watched, now time.Time) bool {
	return w.served != nil && now.Sub(w.asOf) <= d.MaxStaleness
}

// reason returns why Prosody can't answer questions about rooms of w, or nothing.
func (d *Directory) reason(w *watched, now time.Time) Reason {
	switch s := &w.status; {
	case s.Problem != nil:
		return s.Problem.Reason
	case !s.Connected:
		return ReasonConnecting
	case s.Mode != ModeModule:
		return ""
	case !d.readable(w, now):
		return ReasonSyncing
	case w.served.unseen:
		return ReasonStorage
	}
	return ""
}

// readReason returns why all rooms of w can't be read, or nothing.
func (d *Directory) readReason(w *watched, now time.Time) Reason {
	if d.readable(w, now) && !w.served.unseen {
		return ""
	}
	if r := d.reason(w, now); r != "" {
		return r
	}
	return ReasonModuleMissing
}

// eventReason returns why events of w don't come as they happen, or nothing.
func (d *Directory) eventReason(w *watched, now time.Time) Reason {
	if r := d.reason(w, now); r != "" {
		return r
	}
	switch {
	case w.status.Mode != ModeModule:
		return ReasonModuleMissing
	case w.served == nil, w.asOf.Before(w.status.Since), now.Sub(w.asOf) > liveFor:
		return ReasonSyncing
	}
	return ""
}

// problem returns the error for a reason of w, nil for none.
func (d *Directory) problem(w *watched, now time.Time, r Reason) *UnknownError {
	switch s := &w.status; {
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
		return ProblemStorage.About(w.jid).Err(nil)
	}
	if age := now.Sub(w.asOf); w.served != nil && age > d.MaxStaleness {
		return ProblemStale.About(w.jid).With(Fact{"age", age.Round(time.Second).String()}).Err(nil)
	}
	return ProblemSyncing.About(w.jid).Err(nil)
}

// readProblem returns the error of reads of w, nil for none.
func (d *Directory) readProblem(w *watched, now time.Time) *UnknownError {
	switch {
	case d.readReason(w, now) == "":
		return nil
	case d.reason(w, now) == "":
		return ProblemNotListed.About(w.jid).Err(ErrNoModule)
	}
	return d.problem(w, now, d.reason(w, now))
}

// eventProblem returns the error for events of w, nil while they come as they happen.
func (d *Directory) eventProblem(w *watched, now time.Time) *UnknownError {
	r := d.eventReason(w, now)
	if r == ReasonModuleMissing && d.reason(w, now) == "" {
		return ProblemNoEvents.About(w.jid).Err(ErrNoModule)
	}
	return d.problem(w, now, r)
}

// unreadable returns why r, a room of w, or all rooms if that is nil, can't be read.
// It is for reads that a client waits for: it signals where a connection is missing.
func (d *Directory) unreadable(w *watched, r *liveRoom, now time.Time) error {
	if r != nil && d.readable(w, now) {
		return nil
	}
	p := d.readProblem(w, now)
	if p == nil {
		return nil
	}
	if !w.status.Connected {
		select {
		case d.unanswered <- struct{}{}:
		default:
		}
	}
	return p
}

// selected returns the watched domains that a read is about, or ErrNotWatched if that is none.
func (d *Directory) selected(domain string, typ RoomType) ([]*watched, error) {
	if domain == "" && typ == "" && len(d.watched) > 0 {
		return d.watched, nil
	}
	selected := slices.DeleteFunc(slices.Clone(d.watched), func(w *watched) bool {
		return domain != "" && w.name != domain || typ != "" && w.typ != typ
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
