package api

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// The limits of a list.
const (
	defaultLimit = 100
	maxLimit     = 1000
	maxNamed     = 100
)

// listTypes are the types of rooms that can be listed, the default first.
var listTypes = []string{string(occupancy.RoomMain), string(occupancy.RoomBreakout), string(occupancy.RoomLobby), "all"}

// listQuery is the parsed query of a list.
type listQuery struct {
	sort    sorting
	typ     string
	filter  filter
	limit   int
	variant variant
	cursor  string
	shard   string // empty for all
	values  url.Values
	grant   keys.Grant
}

// filter selects rooms of the listed domains.
type filter struct {
	tenants     []string // as requested and as Jitsi's client reads it, "" for rooms without a tenant; nil for all rooms
	least       int
	matchesName func(address string) bool
}

// getRooms handles "GET /api/rooms": a page of all rooms, or rooms by name.
func (s *Server) getRooms(w *response, r *http.Request) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	if q.values.Has("name") {
		return s.getNamedRooms(w, r, q)
	}
	list, err := parseListQuery(q, s.cfg.Names, w.grant)
	if err != nil {
		return err
	}
	if list.shard, err = s.shardParameter(w, q); err != nil {
		return err
	}
	return s.getPage(w, r, list)
}

// getPage answers with a page of all rooms.
func (s *Server) getPage(w *response, r *http.Request, q listQuery) error {
	page, next, err := s.page(q)
	if err != nil {
		return err
	}
	l := list{rooms: page.Rooms, next: next, asOf: page.AsOf, variant: q.variant, shard: q.shard}
	if next != "" {
		l.link = "<" + q.linkTo(next) + `>; rel="next"`
	}
	return s.writeList(w, r, l)
}

// parseListQuery parses the query of a list.
func parseListQuery(q *query, names *occupancy.NameResolver, grant keys.Grant) (listQuery, error) {
	if err := q.only("type", "tenant", "min_participants", "q", "sort", "order", "limit", "cursor", "expand", "shard"); err != nil {
		return listQuery{}, err
	}
	list := listQuery{
		typ:     q.choice("type", listTypes...),
		limit:   q.number("limit", defaultLimit, 1, maxLimit),
		variant: variant{asListed, grant.HasNames()},
		cursor:  q.text("cursor"),
		values:  q.values,
		grant:   grant,
		filter: filter{
			least:       q.number("min_participants", 0, 0, 1<<30),
			matchesName: names.Search(q.text("q")),
		},
	}
	if tenant := q.text("tenant"); q.values.Has("tenant") {
		list.filter.tenants = []string{tenant, occupancy.Tenant(tenant)}
	}
	sorts := []string{"name", "participants", "created"} // in the order of occupancy.Order
	list.sort.By = occupancy.Order(slices.Index(sorts, q.choice("sort", sorts...)))
	directions := []string{"asc", "desc"}
	if list.sort.By != occupancy.ByName {
		slices.Reverse(directions) // by default the largest or newest first
	}
	list.sort.Backwards = q.choice("order", directions...) != directions[0]
	if q.values.Has("expand") && q.choice("expand", "occupants") != "" {
		list.variant.detail = asExpanded
	}
	return list, q.err()
}

// linkTo returns the reference to the page with that cursor. It is relative to the request's URL,
// because a proxy may serve the API below another path.
func (q listQuery) linkTo(cursor string) string {
	values := url.Values{}
	maps.Copy(values, q.values)
	values.Set("cursor", cursor)
	return "?" + values.Encode()
}

// page returns the rooms of the requested page, and the cursor of the next one, "" after the last.
//
// A page continues after the last room of the previous one. A room's name and age never change, so a walk in these orders
// shows each room once. The number of people does change: a room that passes the cursor meanwhile appears twice or not at all.
func (s *Server) page(q listQuery) (page occupancy.Page, next string, err error) {
	wanted := occupancy.Query{Shard: q.shard, By: q.sort.By, Backwards: q.sort.Backwards, Limit: q.limit, Keep: q.matcher()}
	if q.typ != "all" {
		wanted.Type = occupancy.RoomType(q.typ)
	}
	if q.cursor != "" {
		c, err := openCursor(q.cursor, q.sort, s.cursors)
		if err != nil {
			return page, "", err
		}
		wanted.After = &c.Position
	}
	page, err = s.cfg.Directory.Rooms(wanted)
	if errors.Is(err, occupancy.ErrNotWatched) {
		err = &problem{kind: kindNotWatched, detail: "No domain of type " + q.typ + " is watched: add one to MUC_DOMAIN, or to muc= in PPCH_SHARDS_FILE."}
	}
	if page.Last != nil {
		next = cursor{q.sort, *page.Last}.seal(s.cursors)
	}
	return page, next, err
}

// matcher returns a function that reports whether a room matches the query and the grant.
func (q listQuery) matcher() func(occupancy.RoomSummary) bool {
	f := q.filter
	return func(g occupancy.RoomSummary) bool {
		switch {
		case g.Participants < f.least:
			return false
		case f.tenants != nil && !slices.Contains(f.tenants, g.Tenant):
			return false
		case !q.grant.AllowsAddress(g.Address):
			return false
		}
		return f.matchesName(g.Address)
	}
}

// getNamedRooms handles "GET /api/rooms?name=a&name=b".
// Each room appears once, with the names in the request that mean it.
func (s *Server) getNamedRooms(w *response, r *http.Request, q *query) error {
	if err := q.only("name", "expand", "shard"); err != nil {
		return err
	}
	as := variant{asListed, w.grant.HasNames()}
	if q.values.Has("expand") && q.choice("expand", "occupants") != "" {
		as.detail = asExpanded
	}
	shard, err := s.shardParameter(w, q)
	if err != nil {
		return err
	}
	names := q.values["name"]
	if len(names) > maxNamed {
		q.fail("name: %d names exceed the maximum of %d", len(names), maxNamed)
	}
	if err := q.err(); err != nil {
		return err
	}
	l := list{variant: as, shard: shard, asked: make(map[string]*occupancy.Room), rooms: make([]occupancy.RoomSummary, 0, len(names)), names: make([][]byte, 0, len(names))}
	index := make(map[string]int, len(names)) // in l, by address
	notes := make([]string, 0, len(names))
	for i, name := range names {
		named, err := s.resolve(name)
		if err == nil && !w.grant.Allows(named.jid) {
			err = keys.ErrRoomNotAllowed
		}
		if err == nil {
			err = s.checkShard(shard, named.jid)
		}
		if err != nil {
			return nameProblem(name, err)
		}
		if slices.Contains(names[:i], name) {
			continue
		}
		address := named.jid.String()
		if i, ok := index[address]; ok {
			l.names[i] = append(append(l.names[i], ','), named.quoted()...)
			notes[i] = cmp.Or(notes[i], s.cfg.Names.Remark(name, named.jid, l.rooms[i].Exists))
			continue
		}
		g, err := s.glanceOn(r.Context(), shard, named.jid)
		if err != nil {
			return err
		}
		if l.asOf.IsZero() || g.AsOf.Before(l.asOf) {
			l.asOf = g.AsOf
		}
		index[address] = len(l.rooms)
		if g.asked != nil {
			l.asked[address] = g.asked
		}
		l.rooms, l.names = append(l.rooms, g.RoomSummary), append(l.names, named.askedAs())
		notes = append(notes, s.cfg.Names.Remark(name, named.jid, g.Exists))
	}
	for i := range l.names {
		l.names[i] = append(append(l.names[i], ']'), noteMember(notes[i])...)
	}
	return s.writeList(w, r, l)
}

// nameProblem returns the problem of one of several names, with that name in its detail.
func nameProblem(name string, err error) error {
	p := *problemFor(err)
	p.detail = strconv.Quote(shorten(name)) + ": " + p.detail
	return &p
}

// list is the rooms of one response.
type list struct {
	rooms   []occupancy.RoomSummary
	names   [][]byte // the requested names, as JSON members; nil on pages
	next    string
	link    string // the Link header for the next page
	asOf    time.Time
	variant variant
	shard   string                     // whose rooms these are, empty for all
	asked   map[string]*occupancy.Room // as in an answer
}

// validators returns those of the list.
func (l list) validators(seed *etagSeed) validators {
	tag := etag(len(l.rooms))
	if l.next != "" {
		tag = tag.and(1) // not the cursor itself: its sealed text is different each time
	}
	for _, g := range l.rooms {
		tag = tag.and(seed.room(g, l.variant))
	}
	return newValidators(tag, l.asOf)
}

// setLink sets the Link header for the next page, if there is one.
func setLink(w *response, link string) {
	if link != "" {
		w.Header().Set("Link", link)
	}
}

// writeList answers with l, or with a 304 if the client has it already.
func (s *Server) writeList(w *response, r *http.Request, l list) error {
	if v := l.validators(&s.etags); v.matches(r) {
		setLink(w, l.link)
		return v.writeNotModified(w)
	}
	a := s.newAnswer(l.variant)
	defer a.release()
	a.link, a.shard, a.asked = l.link, l.shard, l.asked
	a.text(`{"rooms":[`)
	for i, g := range l.rooms {
		if i > 0 {
			a.text(",")
		}
		var name []byte
		if l.names != nil {
			name = l.names[i]
		}
		var err error
		if l.rooms[i], err = a.room(r.Context(), name, g); err != nil { // and replaces the summary with one that may be newer
			return err
		}
	}
	end := view.NewWriter()
	end.Value(view.PageEnd{NextCursor: view.OrNull(l.next), AsOf: view.FormatTime(l.asOf)})
	a.text("]," + end.String()[1:] + "\n")
	return a.write(w, r, l.validators(&s.etags))
}
