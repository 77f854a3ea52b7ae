package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// errHistoryOff is the problem of a service that records no meetings.
var errHistoryOff = &problem{
	kind:   kindHistoryOff,
	detail: "This PPCH doesn't record meetings. To turn it on, set PPCH_DATA_DIR to a folder on a local disk and PPCH_HISTORY to numbers, pseudonyms or names.",
}

// storeProblem returns the problem of a file that can't be used.
func storeProblem(p *history.Problem) *problem {
	if p.Reason == history.ReasonOff {
		return errHistoryOff
	}
	return &problem{kind: kindStoreUnavailable, detail: p.Title + ": " + p.Remedy + ".", reason: occupancy.Reason(p.Reason), retryAfter: operatorDelay, cause: p}
}

// unansweredProblem returns the problem of an answer that other PPCH didn't contribute to.
func unansweredProblem(err *history.UnansweredError) *problem {
	p := &problem{kind: kindHistoryIncomplete, retryAfter: unansweredDelay, unanswered: view.NewUnanswered(err.Unanswered), cause: err}
	var names []string
	for _, u := range err.Unanswered {
		name := "any collector of the shard " + u.Shard
		if u.Collector != "" {
			name = u.Collector + " of the shard " + u.Shard
		}
		names = append(names, name+" ("+u.Why+")")
	}
	p.detail = "No answer from " + strings.Join(names, ", ") + ": retry, or check that it runs and reaches NATS."
	return p
}

// unansweredDelay is the Retry-After of such a problem.
const unansweredDelay = 10 * time.Second

// caller returns who asks.
func caller(grant keys.Grant) history.Caller {
	by := history.Caller{Key: grant.Key.Name(), Names: grant.HasNames()}
	if grant.Limited() {
		by.Rooms = history.Rooms{}
		grant.EachRoom(func(local, domain string, prefix bool) {
			by.Rooms = append(by.Rooms, history.RoomPattern{Local: local, Domain: domain, Prefix: prefix})
		})
	}
	return by
}

// getMeetings handles "GET /api/meetings".
func (s *Server) getMeetings(w *response, r *http.Request) error {
	q, err := parseQuery(r, "room", "tenant", "type", "from", "to", "min_participants", "limit", "cursor")
	if err != nil {
		return err
	}
	return s.writeMeetings(w, r, q, q.text("room"))
}

// getRoomMeetings handles "GET /api/rooms/{room_name}/meetings".
func (s *Server) getRoomMeetings(w *response, r *http.Request) error {
	q, err := parseQuery(r, "from", "to", "min_participants", "limit", "cursor")
	if err != nil {
		return err
	}
	name, err := w.roomName()
	if err != nil {
		return err
	}
	return s.writeMeetings(w, r, q, name)
}

// writeMeetings answers with a page of meetings, of one room if its name isn't empty.
func (s *Server) writeMeetings(w *response, r *http.Request, q *query, room string) error {
	f, err := s.meetingFilter(q, w.grant, room)
	if err != nil {
		return err
	}
	meetings, next, missing, err := s.cfg.Archive.Meetings(r.Context(), caller(w.grant), f)
	if err != nil {
		return err
	}
	doc := view.Meetings{Meetings: []view.Meeting{}, Unanswered: view.NewUnanswered(missing)}
	for _, m := range meetings {
		doc.Meetings = append(doc.Meetings, view.NewMeeting(s.cfg.Names, m))
	}
	if next != (history.Position{}) {
		cursor := s.cursors.Seal(view.Marshal(meetingCursor{Meetings: next}))
		doc.NextCursor = &cursor
		q.values.Set("cursor", cursor)
		setLink(w, "<"+r.URL.EscapedPath()+"?"+q.values.Encode()+`>; rel="next"`)
	}
	return writeJSON(w, http.StatusOK, doc)
}

// meetingCursor is a place in a list of meetings. Its member tells it from the cursors of other lists.
type meetingCursor struct{ Meetings history.Position }

// meetingFilter returns what q asks for.
func (s *Server) meetingFilter(q *query, grant keys.Grant, room string) (f history.MeetingFilter, err error) {
	f = history.MeetingFilter{
		Limit:           q.number("limit", defaultLimit, 1, maxLimit),
		MinParticipants: q.number("min_participants", 0, 0, 1<<30),
		From:            q.time("from", 0),
		To:              q.time("to", 24*time.Hour-time.Millisecond),
	}
	if typ := q.choice("type", listTypes...); typ != "all" && room == "" {
		f.Type = occupancy.RoomType(typ)
	}
	if !f.From.IsZero() && !f.To.IsZero() && f.To.Before(f.From) {
		q.fail("from: %q is later than to", shorten(q.text("from")))
	}
	if tenant := q.text("tenant"); tenant != "" {
		f.Tenant = occupancy.Tenant(tenant)
	}
	if text := q.text("cursor"); text != "" {
		var c meetingCursor
		plain, err := s.cursors.Open(text)
		if err == nil {
			err = json.Unmarshal(plain, &c)
		}
		if f.After = c.Meetings; err != nil || f.After == (history.Position{}) {
			q.fail("cursor: not one of this list: send next_cursor of the previous page unchanged, or start with the first page")
		}
	}
	if err := q.err(); err != nil {
		return f, err
	}
	if room == "" {
		return f, nil
	}
	named, err := s.resolve(room)
	if err != nil {
		return f, err
	}
	if !grant.Allows(named.jid) {
		return f, keys.ErrRoomNotAllowed
	}
	f.Room = named.jid.String()
	return f, nil
}

// time returns the time of a parameter: a time of RFC 3339, or a time of a day, which is in UTC.
func (q *query) time(name string, ofDay time.Duration) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.Add(ofDay)
	}
	q.fail("%s: %q is neither a day such as 2027-12-31 nor a time such as 2027-12-31T18:00:00Z", name, shorten(text))
	return time.Time{}
}

// meetingID returns the id in the path.
func meetingID(w *response) (history.ID, error) {
	id, err := history.ParseID(w.vars["meeting_id"])
	if err != nil {
		return history.ID{}, history.ErrNoMeeting
	}
	return id, nil
}

// getMeeting handles "GET /api/meetings/{meeting_id}". A meeting in a room that the key doesn't include is unknown,
// because an id says nothing to those who may not read it.
func (s *Server) getMeeting(w *response, r *http.Request) error {
	id, err := meetingID(w)
	if err != nil {
		return err
	}
	m, missing, err := s.cfg.Archive.Meeting(r.Context(), caller(w.grant), id)
	if err != nil {
		return err
	}
	doc := view.NewMeeting(s.cfg.Names, m)
	doc.Unanswered = view.NewUnanswered(missing)
	return writeJSON(w, http.StatusOK, doc)
}

// getAttendance handles "GET /api/meetings/{meeting_id}/attendance".
func (s *Server) getAttendance(w *response, r *http.Request) error {
	q, err := parseQuery(r, "format", "tz", "bom")
	if err != nil {
		return err
	}
	sheet := q.sheet()
	if err := q.err(); err != nil {
		return err
	}
	if err := w.grant.Need(keys.ScopeParticipants); err != nil {
		return err
	}
	id, err := meetingID(w)
	if err != nil {
		return err
	}
	a, missing, err := s.cfg.Archive.Attendance(r.Context(), caller(w.grant), id)
	if err != nil {
		return err
	}
	if sheet.format != "json" {
		for _, u := range missing {
			w.Header().Add("PPCH-Unanswered", u.Shard+" "+u.Collector)
		}
		return sheet.write(w, s.cfg.Names, a)
	}
	doc := view.NewAttendance(s.cfg.Names, a)
	doc.Unanswered = view.NewUnanswered(missing)
	return writeJSON(w, http.StatusOK, doc)
}

// deleteStay handles "DELETE /api/meetings/{meeting_id}/stays/{stay_id}".
func (s *Server) deleteStay(w *response, r *http.Request) error {
	if err := w.grant.Need(keys.ScopeParticipants); err != nil {
		return err
	}
	id, err := meetingID(w)
	if err != nil {
		return err
	}
	stay, err := history.ParseID(w.vars["stay_id"])
	if err != nil {
		return history.ErrNoStay
	}
	// Once begun it has to be finished, even if the client leaves.
	if err := s.cfg.Archive.EraseStay(context.WithoutCancel(r.Context()), caller(w.grant), id, stay); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// userIn returns the user id in the path, for a key that may read names.
func userIn(w *response) (string, error) {
	if err := w.grant.Need(keys.ScopeParticipants); err != nil {
		return "", err
	}
	id, err := url.PathUnescape(w.vars["user_id"])
	if err != nil || id == "" {
		return "", badParameter("user_id: the path has an invalid percent-escape")
	}
	return id, nil
}

// getPerson handles "GET /api/people/{user_id}".
func (s *Server) getPerson(w *response, r *http.Request) error {
	id, err := userIn(w)
	if err != nil {
		return err
	}
	record, missing, err := s.cfg.Archive.Person(r.Context(), caller(w.grant), id)
	if err != nil {
		return err
	}
	doc := view.NewPerson(s.cfg.Names, record)
	doc.Unanswered = view.NewUnanswered(missing)
	return writeJSON(w, http.StatusOK, doc)
}

// deletePerson handles "DELETE /api/people/{user_id}".
func (s *Server) deletePerson(w *response, r *http.Request) error {
	id, err := userIn(w)
	if err != nil {
		return err
	}
	if w.grant.Limited() {
		return &problem{kind: kindRoomNotAllowed, detail: "An API key that is limited to some rooms can't delete a person, who may have been in others."}
	}
	n, err := s.cfg.Archive.Erase(context.WithoutCancel(r.Context()), caller(w.grant), id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, view.Erased{UserID: id, Stays: n})
}
