package api

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// sheet is how an attendance is written for spreadsheets.
type sheet struct {
	format string // "json" for none
	zone   *time.Location
	bom    bool
}

// sheet returns what q asks for.
func (q *query) sheet() sheet {
	s := sheet{format: q.choice("format", "json", "plain", "zoom", "teams"), zone: time.UTC, bom: q.choice("bom", "false", "true") == "true"}
	if name := q.text("tz"); name != "" {
		zone, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			q.fail("tz: %q is not a time zone such as Europe/Berlin", shorten(name))
			return s
		}
		s.zone = zone
	}
	return s
}

// write answers with the attendance as a file.
func (s sheet) write(w *response, names *occupancy.NameResolver, a history.Attendance) error {
	var text bytes.Buffer
	if s.bom {
		text.WriteString("\ufeff") // without which Excel doesn't read UTF-8
	}
	table := csv.NewWriter(&text)
	table.UseCRLF = true // RFC 4180 §2
	media := "text/csv; charset=utf-8; header=present"
	switch s.format {
	case "zoom":
		s.zoom(table, names, a)
	case "teams":
		table.Comma = '\t'
		media = "text/tab-separated-values; charset=utf-8"
		s.teams(table, names, a)
	default:
		s.plain(table, names, a)
	}
	table.Flush()
	if err := table.Error(); err != nil {
		return fmt.Errorf("api: attendance: %w", err)
	}
	name := fmt.Sprintf("attendance-%s-%s.csv", a.Meeting.Began.In(s.zone).Format("20060102-1504"), a.Meeting.ID.String()[:8])
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	return writeBytes(w, http.StatusOK, media, text.Bytes())
}

// plain writes one row for each stay, with all that is known.
func (s sheet) plain(table *csv.Writer, names *occupancy.NameResolver, a history.Attendance) {
	row(table, "name", "user_id", "pseudonym", "room", "type", "kind", "rule", "joined_at", "left_at", "left_after", "left_before", "reason",
		"seconds_min", "seconds_max", "total_seconds_min", "total_seconds_max", "meeting", "stay")
	for _, p := range slices.Concat(a.Attendees, a.Waited) {
		for _, stay := range p.Stays {
			left := ""
			if stay.LeftAfter.Equal(stay.LeftBefore) {
				left = s.iso(stay.LeftBefore)
			}
			d := stay.Duration(a.AsOf, a.Until())
			row(table, cell(cmp.Or(stay.Name, p.Name)), cell(p.UserID), p.Pseudonym, cell(names.Name(history.RoomJID(stay.Room))), string(stay.Type), string(stay.Kind), stay.Rule,
				s.iso(stay.Joined), left, s.iso(stay.LeftAfter), s.iso(stay.LeftBefore), cell(stay.Reason),
				whole(d.Min.Seconds()), whole(d.Max.Seconds()), whole(p.Total.Min.Seconds()), whole(p.Total.Max.Seconds()), stay.Meeting.String(), stay.ID.String())
		}
	}
}

// zoom writes the columns of Zoom's usage report. An unknown end is the earliest possible one.
func (s sheet) zoom(table *csv.Writer, names *occupancy.NameResolver, a history.Attendance) {
	const layout = "01/02/2006 03:04:05 PM"
	row(table, "Meeting ID", "Topic", "Start Time", "End Time", "Duration (Minutes)", "Participants")
	end := cmp.Or(a.Meeting.EndedAfter, a.AsOf)
	row(table, a.Meeting.ID.String(), cell(names.Name(history.RoomJID(a.Meeting.Room))), a.Meeting.Began.In(s.zone).Format(layout), end.In(s.zone).Format(layout),
		minutes(end.Sub(a.Meeting.Began)), strconv.Itoa(people(a)))
	row(table, "")
	row(table, "Name (Original Name)", "User Email", "Join Time", "Leave Time", "Duration (Minutes)", "Guest")
	for _, p := range a.Attendees {
		for _, stay := range p.Stays {
			if stay.Type == occupancy.RoomLobby || !stay.Kind.Person() {
				continue
			}
			guest := "Yes"
			if p.UserID != "" || p.Pseudonym != "" {
				guest = "No"
			}
			row(table, cell(cmp.Or(stay.Name, p.Name)), cell(cmp.Or(p.UserID, p.Pseudonym)), stay.Joined.In(s.zone).Format(layout),
				cmp.Or(stay.LeftAfter, a.AsOf).In(s.zone).Format(layout), minutes(stay.Duration(a.AsOf, a.Until()).Min), guest)
		}
	}
}

// teams writes the sections of Microsoft Teams' attendance report. An unknown end is the earliest possible one.
func (s sheet) teams(table *csv.Writer, names *occupancy.NameResolver, a history.Attendance) {
	const layout = "1/2/06, 3:04:05 PM"
	end := cmp.Or(a.Meeting.EndedAfter, a.AsOf)
	row(table, "1. Summary")
	row(table, "Meeting title", cell(names.Name(history.RoomJID(a.Meeting.Room))))
	row(table, "Attended participants", strconv.Itoa(people(a)))
	row(table, "Start time", a.Meeting.Began.In(s.zone).Format(layout))
	row(table, "End time", end.In(s.zone).Format(layout))
	row(table, "Meeting duration", clock(end.Sub(a.Meeting.Began)))
	row(table, "")
	row(table, "2. Participants")
	row(table, "Name", "First Join", "Last Leave", "In-Meeting Duration", "Email", "Participant ID (UPN)", "Role")
	for _, p := range a.Attendees {
		if !isPerson(p) {
			continue
		}
		last := time.Time{}
		there := p.There()
		for _, stay := range there {
			if left := cmp.Or(stay.LeftAfter, a.AsOf); left.After(last) {
				last = left
			}
		}
		row(table, cell(p.Name), there[0].Joined.In(s.zone).Format(layout), last.In(s.zone).Format(layout), clock(p.Total.Min), "", cell(cmp.Or(p.UserID, p.Pseudonym)), "Attendee")
	}
	row(table, "")
	row(table, "3. In-Meeting Activities")
	row(table, "Name", "Join Time", "Leave Time", "Duration", "Email", "Role")
	for _, p := range a.Attendees {
		for _, stay := range p.Stays {
			if stay.Type == occupancy.RoomLobby || !stay.Kind.Person() {
				continue
			}
			row(table, cell(cmp.Or(stay.Name, p.Name)), stay.Joined.In(s.zone).Format(layout), cmp.Or(stay.LeftAfter, a.AsOf).In(s.zone).Format(layout),
				clock(stay.Duration(a.AsOf, a.Until()).Min), "", "Attendee")
		}
	}
}

// people returns how many of the attendees are people who were in the meeting.
func people(a history.Attendance) (n int) {
	for _, p := range a.Attendees {
		if isPerson(p) {
			n++
		}
	}
	return n
}

// isPerson reports whether p was in the meeting, and isn't a recorder, a visitor or only in the lobby.
func isPerson(p history.Attendee) bool {
	for _, stay := range p.Stays {
		if stay.Type != occupancy.RoomLobby && stay.Kind.Person() {
			return true
		}
	}
	return false
}

// row writes a row. The writer reports errors at the end.
func row(table *csv.Writer, cells ...string) { _ = table.Write(cells) }

func (s sheet) iso(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(s.zone).Format("2006-01-02T15:04:05.000Z07:00")
}

func whole(seconds float64) string { return strconv.FormatInt(int64(math.Round(seconds)), 10) }

// minutes returns d in begun minutes, as Zoom counts.
func minutes(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(max(0, d).Minutes())))
}

// clock returns d as Teams writes it, 1h 25m 0s, rounded as in the other formats.
func clock(d time.Duration) string {
	total := int(math.Round(max(0, d).Seconds()))
	h, m, sec := total/3600, total/60%60, total%60
	switch {
	case h > 0:
		return fmt.Sprintf("%dh %dm %ds", h, m, sec)
	case m > 0:
		return fmt.Sprintf("%dm %ds", m, sec)
	}
	return fmt.Sprintf("%ds", sec)
}

// formulaStarts begin what spreadsheets take for a formula, the full-width forms included (OWASP, CSV Injection).
const formulaStarts = "=+-@＝＋－＠"

// cell returns text that people wrote for a cell: no spreadsheet takes it for a formula, and it has one line.
func cell(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	if start := strings.TrimLeftFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }); start != "" && strings.ContainsRune(formulaStarts, []rune(start)[0]) {
		return "'" + text
	}
	return text
}
