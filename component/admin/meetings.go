package admin

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/commands"
	"mellium.im/xmpp/form"

	"ppch/component/adhoc"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// readTimeout is how long a command waits for the file.
const readTimeout = 10 * time.Second

// askMeetings asks of which room to list meetings.
func (h *Handler) askMeetings(adhoc.Request) (adhoc.Reply, error) {
	return adhoc.Reply{
		Form: form.New(
			form.Title("Past meetings"),
			form.Instructions("All fields are optional."),
			form.Text("room", form.Label("Room"), form.Desc("As in a meeting link.")),
			form.Text("people", form.Label("Minimum number of people at a time"), form.Value("1")),
		),
		Next: h.listMeetings, Last: true,
	}, nil
}

// listMeetings lists the last meetings.
func (h *Handler) listMeetings(r adhoc.Request) (adhoc.Reply, error) {
	f := history.MeetingFilter{Type: occupancy.RoomMain, Limit: maxRows}
	if name := r.Form.Value("room"); name != "" {
		j, err := h.Names.Room(name)
		if err != nil {
			return adhoc.Reply{}, adhoc.BadPayload("not a room of a watched domain")
		}
		f.Room, f.Type = j.String(), ""
	}
	if n := r.Form.Value("people"); n != "" {
		var err error
		if f.MinParticipants, err = number(n); err != nil {
			return adhoc.Reply{}, adhoc.BadPayload("the number of people isn't a number")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	meetings, more, missing, err := h.Meetings.Meetings(ctx, caller(r), f)
	if err != nil {
		return adhoc.Warning(storeText(err)), nil
	}
	table := &adhoc.Table{Title: "Past meetings", Columns: []adhoc.Column{
		{Var: "name", Label: "Room"}, {Var: "started", Label: "Started at"}, {Var: "ended", Label: "Ended at"}, {Var: "people", Label: "Most people at a time"}, {Var: "id", Label: "Id"},
	}}
	var lines []string
	for _, m := range meetings {
		ended, line := "goes on", h.roomName(m.Room)+": since "+stamp(m.Began)
		if !m.Ongoing() {
			ended = between(m.EndedAfter, m.EndedBefore)
			line = h.roomName(m.Room) + ": " + stamp(m.Began) + " to " + ended
		}
		table.Rows = append(table.Rows, []string{h.roomName(m.Room), stamp(m.Began), ended, strconv.Itoa(m.Peak), m.ID.String()})
		lines = append(lines, line+", up to "+people(m.Peak)+", "+m.ID.String())
	}
	table.Fields = asText(lines)
	text := count(len(meetings), "meeting", "meetings")
	if more != (history.Position{}) {
		text = "these are the last " + strconv.Itoa(len(meetings)) + " meetings"
	}
	return adhoc.Reply{Table: table, Notes: append([]commands.Note{{Value: text}}, unanswered(missing)...)}, nil
}

// askMeeting asks for a meeting.
func (h *Handler) askMeeting(adhoc.Request) (adhoc.Reply, error) {
	return adhoc.Reply{
		Form: form.New(
			form.Title("Attendance of a meeting"),
			form.Instructions("PPCH logs who asks."),
			form.Text("id", form.Label("Id"), form.Desc("From the list of past meetings."), form.Required),
		),
		Next: h.showAttendance, Last: true,
	}, nil
}

// showAttendance lists who was in a meeting.
func (h *Handler) showAttendance(r adhoc.Request) (adhoc.Reply, error) {
	id, err := history.ParseID(r.Form.Value("id"))
	if err != nil {
		return adhoc.Reply{}, adhoc.BadPayload("not the id of a meeting")
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	a, missing, err := h.Meetings.Attendance(ctx, caller(r), id)
	if err != nil {
		return adhoc.Warning(storeText(err)), nil
	}
	table := &adhoc.Table{Title: h.roomName(a.Meeting.Room) + " — " + stamp(a.Meeting.Began), Columns: []adhoc.Column{
		{Var: "name", Label: "Name"}, {Var: "total", Label: "Was there for"}, {Var: "stays", Label: "Stays"}, {Var: "joined", Label: "First joined at"}, {Var: "user", Label: "User id"},
	}}
	var lines []string
	for _, p := range a.Attendees[:min(len(a.Attendees), maxRows)] {
		name, total, there := show(p.Name), lasted(p.Total), p.There()
		table.Rows = append(table.Rows, []string{name, total, strconv.Itoa(len(there)), stamp(there[0].Joined), show(p.UserID + p.Pseudonym)})
		lines = append(lines, name+": "+total+" from "+stamp(there[0].Joined))
	}
	table.Fields = asText(lines)
	reply := adhoc.Reply{Table: table}
	if len(a.Attendees) > maxRows {
		reply.Notes = append(reply.Notes, commands.Note{Value: count(len(a.Attendees), "person", "people") + "; these are the first " + strconv.Itoa(maxRows)})
	}
	if n := len(a.Waited); n > 0 {
		reply.Notes = append(reply.Notes, commands.Note{Value: count(n, "person was", "people were") + " only in the lobby"})
	}
	for _, g := range a.Gaps {
		reply.Notes = append(reply.Notes, commands.Note{Type: commands.NoteWarn, Value: "not watched: " + between(g.Began, g.Ended)})
	}
	reply.Notes = append(reply.Notes, unanswered(missing)...)
	return reply, nil
}

// caller returns the admin, who may read everything.
func caller(r adhoc.Request) history.Caller {
	return history.Caller{Key: r.From.Bare().String(), Names: true}
}

// unanswered returns a note for each PPCH whose part is missing.
func unanswered(missing []history.Unanswered) (notes []commands.Note) {
	for _, u := range missing {
		notes = append(notes, commands.Note{Type: commands.NoteWarn, Value: "incomplete without " + clip(u.String(), maxWords)})
	}
	return notes
}

// storeText returns an error of the file for people.
func storeText(err error) string {
	var p *history.Problem
	var silent *history.UnansweredError
	switch {
	case errors.As(err, &p):
		return p.Title + ": " + p.Remedy
	case errors.As(err, &silent):
		return clip(strings.TrimPrefix(silent.Error(), "history: "), maxWords)
	case errors.Is(err, history.ErrOff):
		return "no PPCH records meetings: set PPCH_DATA_DIR and PPCH_HISTORY"
	case errors.Is(err, history.ErrNoMeeting):
		return "there is no such meeting: it may have been deleted by age"
	}
	return "the file with past meetings can't be read; PPCH's log may say why"
}

// between returns a time with bounds.
func between(after, before time.Time) string {
	if after.Equal(before) {
		return stamp(before)
	}
	return "between " + stamp(after) + " and " + stamp(before)
}

// lasted returns a duration with bounds.
func lasted(s history.Span) string {
	least, most := s.Min.Round(time.Second).String(), s.Max.Round(time.Second).String()
	if least == most {
		return least
	}
	return least + " to " + most
}
