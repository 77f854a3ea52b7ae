package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// askTimeout is a last resort: whoever asks Prosody gives up sooner, and can say why.
const askTimeout = 10 * time.Second

// getParticipants handles "GET /api/rooms/{room_name}/participants".
func (s *Server) getParticipants(w http.ResponseWriter, r *http.Request) error {
	// This route was there first, and clients of the first version may send it any parameter.
	q := &query{}
	if r.URL.RawQuery != "" {
		q.values = r.URL.Query()
	}
	return s.getOne(w, r, inParticipants, q)
}

// getRoom handles "GET /api/rooms/{room_name}".
func (s *Server) getRoom(w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r, "wait")
	if err != nil {
		return err
	}
	return s.getOne(w, r, inDetail, q)
}

// getOne answers with the room in the path.
func (s *Server) getOne(w http.ResponseWriter, r *http.Request, p place, q *query) error {
	wait := waitFor(q)
	if err := q.err(); err != nil {
		return err
	}
	name, err := exchangeOf(w).roomName()
	if err != nil {
		return err
	}
	named, err := s.roomNamed(name)
	if err != nil {
		return err
	}
	room := named.jid
	grant := exchangeOf(w).grant
	if !grant.sees(room) {
		return errRoomNotAllowed
	}
	as := shape{p, grant.names()}
	glance, err := s.rooms.Glance(r.Context(), room)
	if err != nil {
		return err
	}
	if glance, err = s.changed(w, r, room, glance, as, wait); err != nil {
		return err
	}
	as.names = exchangeOf(w).grant.names()
	v := newValidators(etagOf(glance, as), glance.AsOf)
	if v.hold(r) {
		return v.writeUnchanged(w)
	}
	b := buffers.get()
	defer buffers.put(b)
	var told occupancy.Glance
	if *b, told, err = s.appendRoom(r.Context(), *b, named.quoted, glance, as); err != nil {
		return err
	}
	if told != glance {
		v = newValidators(etagOf(told, as), told.AsOf)
	}
	*b = append(*b, '\n')
	v.set(w)
	return writeBytes(w, http.StatusOK, mediaJSON, *b)
}

// appendRoom writes a room to b as JSON, under the name by which the client called it, as JSON, or its own if that is nil.
// What it has written may be newer than g; it returns the glance that fits.
func (s *Server) appendRoom(ctx context.Context, b, name []byte, g occupancy.Glance, as shape) ([]byte, occupancy.Glance, error) {
	y := s.bodies.get(g.Address, as, as.state(g.State, g.Numbers))
	if y == nil {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		read, err := s.rooms.Room(ctx, g.JID())
		if err != nil {
			return nil, g, err
		}
		if y, err = s.bodies.make(read, as); err != nil {
			return nil, g, err
		}
		g.State, g.Numbers, g.AsOf = read.State, read.Numbers, read.AsOf
	}
	if name == nil {
		name = y.name
	}
	return y.append(b, name, g.AsOf), g, nil
}

// How many names of rooms are remembered, and how long one may be for that.
const (
	maxNames      = 4096
	maxNameLength = 256
)

// namedRoom is a room by what a client calls it.
type namedRoom struct {
	jid    jid.JID
	quoted []byte // what it is called, as JSON
}

// roomNamed returns a room by what a client calls it. To find that out takes long, and clients repeat themselves.
func (s *Server) roomNamed(name string) (namedRoom, error) {
	if known, ok := s.named.Get(name); ok {
		return known, nil
	}
	room, err := s.names.Room(name)
	if err != nil {
		return namedRoom{}, err
	}
	quoted, err := json.Marshal(name)
	if err != nil {
		return namedRoom{}, fmt.Errorf("api: marshal: %w", err)
	}
	named := namedRoom{room, quoted}
	if len(name) <= maxNameLength {
		s.named.Add(name, named)
	}
	return named, nil
}

// roomName returns the room name in the path as its sender meant it.
// The router matches the escaped path, so unescaping is left to us.
func (x *exchange) roomName() (string, error) {
	name, err := url.PathUnescape(x.room)
	if err != nil {
		return "", &problem{kind: kindMalformed, detail: "The path has a bad percent-escape.", cause: err}
	}
	return name, nil
}
