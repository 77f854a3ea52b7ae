package api

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// listPace is how often the list of a share link is read at most: for that, each room has to be visited.
const listPace = time.Second

// links keeps what share links show, encoded once per change for any number of readers. It is safe for concurrent use.
type links struct {
	server  *Server
	encoded atomic.Uint64 // how many documents and badges

	// mu protects byKey, which has an entry for each link that was used since the keys were replaced.
	mu       sync.Mutex
	byKey    map[keys.Sum]*link
	replaced <-chan struct{}
}

// link is one share link.
type link struct {
	key *keys.Key

	// mu is held while the rooms of the link are read and encoded, so that other readers share the result.
	mu      sync.Mutex
	seen    *sharedView
	unknown error     // why its rooms are unknown; nil while they are not
	read    time.Time // when seen or unknown was made or confirmed
}

// sharedView is what a link shows at one moment. It never changes, except that encodings are added.
type sharedView struct {
	*sharedContent
	asOf    time.Time
	current bool
	expires time.Time
	data    func() []byte // the document
}

// sharedContent is what a link shows until something changes.
type sharedContent struct {
	links *links
	state etag // a hash of everything in doc
	doc   view.Shared

	// mu protects badges, by language.
	mu     sync.Mutex
	badges map[string][]byte
}

func newLinks(s *Server) *links { return &links{server: s, byKey: make(map[keys.Sum]*link)} }

// of returns the entry of a link.
func (l *links) of(k *keys.Key) *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.server.cfg.Keys.Replaced(); now != l.replaced {
		l.replaced = now
		clear(l.byKey)
	}
	e := l.byKey[k.Sum()]
	if e == nil || e.key != k {
		e = &link{key: k}
		l.byKey[k.Sum()] = e
	}
	return e
}

// view returns what a link shows now. Only a change counts as a use of the link.
func (l *links) view(ctx context.Context, k *keys.Key) (*sharedView, error) {
	e := l.of(k)
	e.mu.Lock()
	defer e.mu.Unlock()
	rooms, others := k.NamedRooms()
	list := others || len(rooms) > 1
	if list && (e.seen != nil || e.unknown != nil) && time.Since(e.read) < listPace {
		if e.unknown != nil {
			return nil, e.unknown
		}
		return e.seen, nil
	}
	v, err := l.read(ctx, k, e, rooms, others)
	var unavailable *occupancy.UnavailableError
	if e.unknown = nil; ctx.Err() == nil && errors.As(err, &unavailable) {
		e.unknown, e.read = l.unknown(k, unavailable), time.Now()
		return nil, e.unknown
	}
	return v, err
}

// read reads the rooms of a link.
func (l *links) read(ctx context.Context, k *keys.Key, e *link, rooms []jid.JID, others bool) (*sharedView, error) {
	selection, err := l.selectRooms(ctx, k, rooms, others)
	if err != nil {
		return nil, err
	}
	e.read = time.Now()
	v := &sharedView{asOf: selection.asOf, current: selection.current, expires: k.Expires()}
	switch before := e.seen; {
	case before != nil && before.state == selection.state:
		if before.asOf.Equal(v.asOf) && before.current == v.current {
			return before, nil
		}
		v.sharedContent = before.sharedContent
	default:
		if _, err := k.Use(time.Now()); err != nil {
			return nil, err
		}
		if v.sharedContent, err = l.content(ctx, k, selection); err != nil {
			return nil, err
		}
	}
	v.data = sync.OnceValue(v.marshal)
	e.seen = v
	return v, nil
}

// selection is the rooms of a link in short.
type selection struct {
	list    bool
	rooms   []occupancy.RoomSummary // as in view.Shared
	count   int
	people  int
	asOf    time.Time // of the oldest
	current bool
	state   etag
}

// selectRooms returns the rooms of a link: those that it names, and others that it includes.
func (l *links) selectRooms(ctx context.Context, k *keys.Key, named []jid.JID, others bool) (selection, error) {
	s, grant := l.server, keys.Grant{Key: k}
	sel := selection{list: others || len(named) > 1, current: true}
	var domains []jid.JID
	for _, room := range named {
		g, err := s.glanceAt(ctx, room)
		if err != nil {
			return sel, err
		}
		domains = append(domains, room.Domain())
		sel.add(g.RoomSummary, g.AsOf)
	}
	first := len(sel.rooms)
	if others {
		isNamed := make(map[string]bool, len(named))
		for _, room := range named {
			isNamed[room.String()] = true
		}
		keep := func(g occupancy.RoomSummary) bool {
			return g.Participants > 0 && !isNamed[g.Address] && grant.AllowsAddress(g.Address)
		}
		for _, domain := range l.listedDomains(k) {
			page, err := s.cfg.Directory.Rooms(occupancy.Query{Domain: domain.Domainpart(), By: occupancy.ByParticipants, Backwards: true, Keep: keep})
			if err != nil {
				return sel, err
			}
			domains = append(domains, domain)
			sel.asOf = older(sel.asOf, page.AsOf)
			for _, g := range page.Rooms {
				sel.add(g, page.AsOf)
			}
		}
		slices.SortStableFunc(sel.rooms[first:], func(a, b occupancy.RoomSummary) int { return cmp.Compare(b.Participants, a.Participants) })
	}
	sel.rooms = sel.rooms[:min(len(sel.rooms), view.MaxSharedRooms)]
	for _, domain := range domains {
		d, err := s.cfg.Directory.Domain(domain)
		// Without the module each answer is fresh. While the connection is lost, the mode is unknown.
		sel.current = sel.current && err == nil && (d.EventProblem == nil || d.Problem == nil && d.Mode != occupancy.ModeModule)
	}
	sel.state = sel.tag(&l.server.etags, grant.HasNames())
	return sel, nil
}

// add adds a room that was last confirmed at that time.
func (s *selection) add(g occupancy.RoomSummary, asOf time.Time) {
	s.rooms = append(s.rooms, g)
	s.asOf = older(s.asOf, asOf)
	if g.Participants > 0 {
		s.count++
		s.people += g.Participants
	}
}

// tag returns the tag of a document of s, that of one with names if it shows names.
func (s *selection) tag(seed *etagSeed, names bool) etag {
	tag := etag(s.count).and(etag(s.people)) // #nosec G115 -- never negative
	for _, g := range s.rooms {
		tag = tag.and(seed.room(g, variant{asListed, names}))
	}
	return tag
}

// older returns the older of two times, of which the first may be zero.
func older(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// listedDomains returns the domains on which a link includes rooms that it doesn't name: those of its patterns,
// or all domains of meetings.
func (l *links) listedDomains(k *keys.Key) (domains []jid.JID) {
	limited := keys.Grant{Key: k}.Limited()
	for _, d := range l.server.cfg.Directory.Domains() {
		if d.Kind == occupancy.ShardVisitors || slices.ContainsFunc(domains, d.JID.Equal) { // on another shard, too
			continue
		}
		if limited && k.HasPattern(d.JID.Domainpart()) || !limited && d.Type == occupancy.RoomMain {
			domains = append(domains, d.JID)
		}
	}
	return domains
}

// content returns the document of a selection.
func (l *links) content(ctx context.Context, k *keys.Key, sel selection) (*sharedContent, error) {
	names := keys.Grant{Key: k}.HasNames()
	doc := view.Shared{List: sel.list, Rooms: []view.SharedRoom{}, RoomCount: sel.count, ParticipantCount: sel.people, Exact: true}
	for _, g := range sel.rooms {
		room := occupancy.Room{JID: g.JID(), Exists: g.Exists, Participants: g.Participants, Exact: true}
		if names || !sel.list || len(l.server.cfg.Directory.Shards()) > 1 {
			var err error
			if room, err = l.server.wholeRoom(ctx, g.JID()); err != nil {
				return nil, err
			}
			view.SortOccupants(room.Occupants)
		}
		doc.Exact = doc.Exact && room.Exact
		doc.Rooms = append(doc.Rooms, view.NewSharedRoom(l.server.cfg.Names.Display(g.JID()), room, names))
	}
	if !sel.list {
		doc.ParticipantCount = doc.Rooms[0].ParticipantCount // which may be newer
		doc.RoomCount = min(doc.ParticipantCount, 1)
	}
	return &sharedContent{links: l, state: sel.state, doc: doc, badges: make(map[string][]byte)}, nil
}

// marshal returns the document.
func (v *sharedView) marshal() []byte {
	v.links.encoded.Add(1)
	doc := v.doc
	doc.Current, doc.AsOf, doc.ExpiresAt = v.current, view.FormatTime(v.asOf), view.Stamp(v.expires)
	return view.Marshal(doc)
}
