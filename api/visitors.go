package api

import (
	"hash/maphash"
	"net/http"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
	"ppch/api/view"
)

// getVisited handles "GET /api/rooms/{room_name}?expand=visitors": a room with its visitors on all visitor nodes.
func (s *Server) getVisited(w *response, r *http.Request, q *query) error {
	q.choice("expand", "visitors")
	if q.values.Has("wait") {
		q.fail("expand: not together with wait, which doesn't notice each change of a visitor")
	}
	if err := q.err(); err != nil {
		return err
	}
	name, err := w.roomName()
	if err != nil {
		return err
	}
	named, err := s.resolve(name)
	if err != nil {
		return err
	}
	if !w.grant.Allows(named.jid) {
		return keys.ErrRoomNotAllowed
	}
	as := variant{asRoom, w.grant.HasNames()}
	glance, err := s.summary(r.Context(), named.jid)
	if err != nil {
		return err
	}
	a := s.newAnswer(as)
	defer a.release()
	now, err := a.room(r.Context(), named.called, glance)
	if err != nil {
		return err
	}
	visitors := s.visitors(named.jid, as.names)
	a.member("visitor_occupants", visitors)
	v := newValidators(etagOf(now, as).and(etag(maphash.Bytes(etagSeed, visitors))), now.AsOf)
	if v.matches(r) {
		return v.writeNotModified(w)
	}
	a.text("\n")
	return a.write(w, r, v)
}

// visitors returns the visitors of a room as JSON, null if they are unknown or if the key may not read names.
func (s *Server) visitors(room jid.JID, names bool) []byte {
	if !names {
		return []byte("null")
	}
	all, ok := s.cfg.Directory.Visitors(room)
	if !ok {
		return []byte("null")
	}
	if len(all) > manyPeople {
		defer s.turns.take().Over()
	}
	return view.Marshal(view.NewVisitors(all))
}
