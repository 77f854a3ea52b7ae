package api

import (
	"errors"
	"net/http"

	"mellium.im/xmpp/jid"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// getSpecial handles "GET /api/rooms/{room_name}" and the same with "/participants" with a shard, or the former with the visitors on all visitor nodes.
func (s *Server) getSpecial(w *response, r *http.Request, p detail, q *query) error {
	visitors := p == asRoom && q.values.Has("expand") && q.choice("expand", "visitors") != ""
	if q.values.Has("wait") {
		q.fail("wait: not together with shard or expand")
	}
	shard, err := s.shardParameter(w, q)
	if err := errors.Join(err, q.err()); err != nil {
		return err
	}
	room, err := s.roomInPath(w)
	if err != nil {
		return err
	}
	if err := s.checkShard(shard, room); err != nil {
		return err
	}
	found, err := s.roomOn(r.Context(), shard, room)
	if err != nil {
		return err
	}
	as := variant{p, w.grant.HasNames()}
	a := s.newAnswer(as)
	defer a.release()
	summary := found.Summary()
	a.shard, a.asked = shard, map[string]*occupancy.Room{summary.Address: &found}
	name, _ := w.roomName() // roomInPath has read it
	now, err := a.room(r.Context(), append([]byte(roomName), view.Marshal(name)...), summary)
	if err != nil {
		return err
	}
	tag := s.etags.room(now, as)
	if visitors {
		list := s.visitors(room, as.names)
		a.member("visitor_occupants", list)
		tag = tag.and(s.etags.of(list))
	}
	v := newValidators(tag, now.AsOf)
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
