package terminal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// MeetingList selects meetings.
type MeetingList struct {
	// Query holds the parameters of GET /api/meetings, without limit and cursor.
	Query url.Values

	// Limit is the maximum number of meetings; 0 is unlimited.
	Limit int
}

// meetings calls each with every meeting of a list, latest first.
func (c *Client) meetings(ctx context.Context, l MeetingList, each func(view.Meeting, json.RawMessage) error) error {
	query := url.Values{"limit": {"1000"}}
	maps.Copy(query, l.Query)
	n := 0
	var missing []view.Unanswered
	defer func() { c.note(missing) }()
	for range maxPages {
		var p struct {
			Meetings   []json.RawMessage `json:"meetings"`
			NextCursor *string           `json:"next_cursor"`
			Unanswered []view.Unanswered `json:"unanswered"`
		}
		if err := c.get(ctx, "/api/meetings", query, &p); err != nil {
			return err
		}
		if len(p.Unanswered) > 0 {
			missing = p.Unanswered
		}
		for _, raw := range p.Meetings {
			var m view.Meeting
			if err := json.Unmarshal(raw, &m); err != nil {
				return c.notPPCH(err.Error())
			}
			if err := each(m, raw); err != nil {
				return err
			}
			if n++; n == l.Limit {
				return nil
			}
		}
		if p.NextCursor == nil {
			return nil
		}
		query.Set("cursor", *p.NextCursor)
	}
	return c.notPPCH("an endless list")
}

// note writes whose part is missing in a response to Notes.
func (c *Client) note(missing []view.Unanswered) {
	if c.Notes == nil {
		return
	}
	for _, u := range missing {
		name := cmp.Or(orEmpty(u.Collector), "any record")
		fmt.Fprintf(c.Notes, "ppch: incomplete without %s of the shard %s: %s\n", Clean(name), Clean(u.Shard), Clean(u.Why))
	}
}

// MeetingsJSON writes one line of JSON for each meeting.
func (c *Client) MeetingsJSON(ctx context.Context, w io.Writer, l MeetingList) error {
	return c.meetings(ctx, l, func(_ view.Meeting, raw json.RawMessage) error {
		_, err := io.WriteString(w, LineOfJSON(raw))
		return err
	})
}

// Meetings writes a table of meetings.
func (c *Client) Meetings(ctx context.Context, w io.Writer, l MeetingList, style Style) error {
	t := style.newTable(1, "started", "room", "length", "peak", "id")
	n := 0
	err := c.meetings(ctx, l, func(m view.Meeting, _ json.RawMessage) error {
		n++
		t.add(localTime(&m.StartedAt), shown(m.DisplayName), length(m), fmt.Sprint(m.PeakParticipants), Clean(m.ID))
		return nil
	})
	if err != nil {
		return err
	}
	text := "No meetings.\n"
	if n > 0 {
		text = t.String()
	}
	_, err = io.WriteString(w, text)
	return err
}

// length returns how long a meeting lasted.
func length(m view.Meeting) string {
	began, err := view.ParseTime(&m.StartedAt)
	if err != nil {
		return "?"
	}
	after, _ := view.ParseTime(m.EndedAfter)
	before, _ := view.ParseTime(m.EndedBefore)
	switch {
	case m.Ongoing:
		return "goes on"
	case m.EndedAt == nil:
		return spanOf(int64(after.Sub(began)/time.Second), int64(before.Sub(began)/time.Second))
	}
	return span(new(int64(before.Sub(began) / time.Second)))
}

// spanOf returns a duration with bounds.
func spanOf(least, most int64) string {
	if least == most {
		return span(&least)
	}
	return span(&least) + "–" + span(&most)
}

// AttendanceJSON writes the attendance of a meeting as a line of JSON.
func (c *Client) AttendanceJSON(ctx context.Context, w io.Writer, id string) error {
	var raw json.RawMessage
	if err := c.get(ctx, attendancePath(id), nil, &raw); err != nil {
		return err
	}
	var a struct {
		Unanswered []view.Unanswered `json:"unanswered"`
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return c.notPPCH(err.Error())
	}
	c.note(a.Unanswered)
	_, err := io.WriteString(w, LineOfJSON(raw))
	return err
}

func attendancePath(id string) string { return "/api/meetings/" + url.PathEscape(id) + "/attendance" }

// AttendanceFile writes the attendance of a meeting as the service sends it for spreadsheets.
func (c *Client) AttendanceFile(ctx context.Context, w io.Writer, id string, query url.Values) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := c.request(ctx, http.MethodGet, attendancePath(id), query, nil)
	if err != nil {
		return err
	}
	resp, err := c.http().Do(req)
	if err != nil {
		return explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.problemOf(resp)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/") {
		return c.notPPCH("the response is not a table")
	}
	for _, missing := range resp.Header.Values("PPCH-Unanswered") {
		shard, collector, _ := strings.Cut(missing, " ")
		c.note([]view.Unanswered{{Shard: shard, Collector: &collector, Why: "no answer"}})
	}
	if _, err := io.Copy(w, io.LimitReader(resp.Body, maxResponse)); err != nil {
		return fmt.Errorf("the response of %s was cut off: %w", c.URL.Host, err)
	}
	return nil
}

// Attendance writes a table of who was in a meeting.
func (c *Client) Attendance(ctx context.Context, w io.Writer, id string, style Style) error {
	var a view.Attendance
	if err := c.get(ctx, attendancePath(id), nil, &a); err != nil {
		return err
	}
	c.note(a.Unanswered)
	var b strings.Builder
	summary := fmt.Sprintf(": started %s, %s, peak %d", localTime(&a.Meeting.StartedAt), length(a.Meeting), a.Meeting.PeakParticipants)
	b.WriteString(fit(shown(a.Meeting.DisplayName), style.rest(summary)) + summary + "\n")
	if len(a.Attendees) > 0 {
		t := style.newTable(1, "name", "here for", "stays", "joined", "left")
		for _, p := range a.Attendees {
			t.add(attendeeName(p), spanOf(p.Total.Min, p.Total.Max), fmt.Sprint(staysOutsideLobby(p)), localTime(&p.FirstJoinedAt), leftAt(p))
		}
		b.WriteString(t.String())
	}
	if len(a.Waited) > 0 {
		b.WriteString("Only in the lobby:\n")
		t := style.newTable(1, "name", "waited for", "came", "left")
		for _, p := range a.Waited {
			t.add(attendeeName(p), spanOf(p.Lobby.Min, p.Lobby.Max), localTime(&p.FirstJoinedAt), leftAt(p))
		}
		b.WriteString(t.String())
	}
	for _, g := range a.Gaps {
		until := "now"
		if g.To != nil {
			until = localTime(g.To)
		}
		fmt.Fprintf(&b, "Not watched from %s until %s: %s\n", localTime(&g.From), until, Clean(string(g.Reason)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// leftAt returns when an attendee left.
func leftAt(p view.Attendee) string {
	switch {
	case p.LastLeftAt != nil:
		return localTime(p.LastLeftAt)
	case !p.Present:
		return "unknown"
	}
	return "here"
}

func staysOutsideLobby(p view.Attendee) (n int) {
	for _, s := range p.Stays {
		if s.Type != occupancy.RoomLobby {
			n++
		}
	}
	return n
}

// attendeeName returns the name of an attendee, with the kind unless that is a person.
func attendeeName(p view.Attendee) string {
	name := Clean(cmp.Or(orEmpty(p.Name), orEmpty(p.UserID), orEmpty(p.Pseudonym), "?"))
	if len(p.Stays) > 0 && !p.Stays[0].Kind.Person() {
		name += " (" + kindOf(view.Occupant{Kind: p.Stays[0].Kind, Rule: p.Stays[0].Rule}) + ")"
	}
	return name
}

// orEmpty returns the text, empty for null.
func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
