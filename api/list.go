package api

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// What one list may hold.
const (
	defaultLimit = 100
	maxLimit     = 1000
	maxNamed     = 100
)

// listTypes are the types of rooms that can be listed. Meetings come first, since in the others somebody waits, or is apart.
var listTypes = []string{string(occupancy.RoomMain), string(occupancy.RoomBreakout), string(occupancy.RoomLobby), "all"}

// listQuery is which rooms are wanted, and how.
type listQuery struct {
	sort    sorting
	typ     string
	filter  filter
	limit   int
	variant variant
	cursor  string
	values  url.Values
	grant   keys.Grant
}

// filter is which rooms of the listed domains are wanted.
type filter struct {
	tenants     []string // as it is written and as it is read, either "" for rooms of none; nil for rooms of any
	least       int
	matchesName func(address string) bool
}

// getRooms handles "GET /api/rooms": the rooms that are named, or all of them, a page at a time.
func (s *Server) getRooms(w *response, r *http.Request) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	if q.values.Has("name") {
		return s.getNamedRooms(w, r, q)
	}
	list, err := parseListQuery(q, s.names, w.grant)
	if err != nil {
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
	l := list{rooms: page.Rooms, next: next, asOf: page.AsOf, variant: q.variant}
	if next != "" {
		l.link = "<" + q.linkTo(next) + `>; rel="next"`
	}
	return s.writeList(w, r, l)
}

// parseListQuery returns what q asks for.
func parseListQuery(q *query, names *occupancy.NameResolver, grant keys.Grant) (listQuery, error) {
	if err := q.only("type", "tenant", "min_participants", "q", "sort", "order", "limit", "cursor", "expand"); err != nil {
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
	sorts := []string{"name", "participants", "created"} // in the order of occupancy's
	list.sort.By = occupancy.Order(slices.Index(sorts, q.choice("sort", sorts...)))
	directions := []string{"asc", "desc"}
	if list.sort.By != occupancy.ByName {
		slices.Reverse(directions) // who asks for an order by number wants most, or youngest, first
	}
	list.sort.Backwards = q.choice("order", directions...) != directions[0]
	if q.values.Has("expand") && q.choice("expand", "occupants") != "" {
		list.variant.detail = asExpanded
	}
	return list, q.err()
}

// linkTo returns the reference to the page with that cursor, relative to the request's URL:
// a proxy may serve us below a path of its own.
func (q listQuery) linkTo(cursor string) string {
	values := url.Values{}
	for name, v := range q.values {
		values[name] = v
	}
	values.Set("cursor", cursor)
	return "?" + values.Encode()
}

// page returns the rooms of the page that is asked for, and the cursor of the next, "" if there is none.
//
// A list goes on behind the room that it has come to. A room's name and age never change, so that a walk by these
// shows each room once. The number of people does change: a room that passes the cursor meanwhile is shown twice or not at all.
func (s *Server) page(q listQuery) (page occupancy.Page, next string, err error) {
	wanted := occupancy.Query{By: q.sort.By, Backwards: q.sort.Backwards, Limit: q.limit, Keep: q.matcher()}
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
	page, err = s.directory.Rooms(wanted)
	if errors.Is(err, occupancy.ErrNotWatched) {
		err = &problem{kind: kindNotWatched, detail: "No domain of type " + q.typ + " is watched: add one to MUC_DOMAIN."}
	}
	if page.Last != nil {
		next = cursor{q.sort, *page.Last}.seal(s.cursors)
	}
	return page, next, err
}

// matcher returns which rooms are wanted.
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
// A room is in the answer once, by whichever names it was asked for, and says by which.
func (s *Server) getNamedRooms(w *response, r *http.Request, q *query) error {
	if err := q.only("name", "expand"); err != nil {
		return err
	}
	as := variant{asListed, w.grant.HasNames()}
	if q.values.Has("expand") && q.choice("expand", "occupants") != "" {
		as.detail = asExpanded
	}
	names := q.values["name"]
	if len(names) > maxNamed {
		q.fail("name: %d names exceed the maximum of %d", len(names), maxNamed)
	}
	if err := q.err(); err != nil {
		return err
	}
	l := list{variant: as, rooms: make([]occupancy.RoomSummary, 0, len(names)), names: make([][]byte, 0, len(names))}
	index := make(map[string]int, len(names)) // in l, by address
	notes := make([]string, 0, len(names))
	for i, name := range names {
		named, err := s.resolve(name)
		if err == nil && !w.grant.Allows(named.jid) {
			err = keys.ErrRoomNotAllowed
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
			notes[i] = cmp.Or(notes[i], s.names.Remark(name, named.jid, l.rooms[i].Exists))
			continue
		}
		g, err := s.summary(r.Context(), named.jid)
		if err != nil {
			return err
		}
		if l.asOf.IsZero() || g.AsOf.Before(l.asOf) {
			l.asOf = g.AsOf
		}
		index[address] = len(l.rooms)
		l.rooms, l.names = append(l.rooms, g), append(l.names, named.askedAs())
		notes = append(notes, s.names.Remark(name, named.jid, g.Exists))
	}
	for i := range l.names {
		l.names[i] = append(append(l.names[i], ']'), noteMember(notes[i])...)
	}
	return s.writeList(w, r, l)
}

// nameProblem tells which of several names is impossible.
func nameProblem(name string, err error) error {
	p := *problemFor(err)
	p.detail = strconv.Quote(shorten(name)) + ": " + p.detail
	return &p
}

// list is rooms that are told together.
type list struct {
	rooms   []occupancy.RoomSummary
	names   [][]byte // what they were asked for as, as members; nil where they were not
	next    string
	link    string // to the next page, as a header has it
	asOf    time.Time
	variant variant
}

// validators returns those of the list.
func (l list) validators() validators {
	tag := etag(len(l.rooms))
	if l.next != "" {
		tag = tag.and(1) // the cursor itself is another each time, and any of them leads on
	}
	for _, g := range l.rooms {
		tag = tag.and(etagOf(g, l.variant))
	}
	return newValidators(tag, l.asOf)
}

// setLink sets the header that leads to the next page, unless there is none.
func setLink(w *response, link string) {
	if link != "" {
		w.Header().Set("Link", link)
	}
}

// writeList answers with l, or that the client has it already.
func (s *Server) writeList(w *response, r *http.Request, l list) error {
	if v := l.validators(); v.matches(r) {
		setLink(w, l.link)
		return v.writeNotModified(w)
	}
	a := s.newAnswer(l.variant)
	defer a.release()
	a.link = l.link
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
		if l.rooms[i], err = a.room(r.Context(), name, g); err != nil { // which may be newer than it was
			return err
		}
	}
	end := view.NewWriter()
	end.Value(view.PageEnd{NextCursor: view.OrNull(l.next), AsOf: view.FormatTime(l.asOf)})
	a.text("]," + end.String()[1:] + "\n")
	return a.write(w, r, l.validators())
}
