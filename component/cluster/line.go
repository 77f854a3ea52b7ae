package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// A change of a room is a line that begins a delta, then lines for its occupants. Fields are separated by TAB and escaped as in
// the Lua module's lines (prosody/README.md). Fields at the end that this version doesn't know are skipped.
//
//	=  room  new  facts              facts are JSON, or empty if they haven't changed
//	!  room  reason  alternate       the room ended
//	+  nick  …                       an occupant of the room, complete
//	-  nick  reason  alternate       an occupant who left
const (
	signRoom = "="
	signGone = "!"
	signHere = "+"
	signLeft = "-"
)

// The fields of an occupant, after the sign.
const (
	fieldNick = iota
	fieldKind
	fieldRule
	fieldRole
	fieldAffiliation
	fieldJoined
	fieldStamp
	fieldRealJID
	fieldName
	fieldFlags
	fieldConnection
	fieldMovedFrom
	fieldAvatar
	fieldUserID
	fieldUserName
	fieldUserGroup
	fieldUserEmail
	fieldCount
)

// facts are the facts of a room in JSON. Times are in milliseconds.
type facts struct {
	Created     int64      `json:"created,omitempty"`
	Stamp       int64      `json:"stamp,omitempty"`
	MeetingID   string     `json:"meeting,omitempty"`
	Subject     string     `json:"subject,omitempty"`
	Password    bool       `json:"password,omitempty"`
	MembersOnly bool       `json:"members_only,omitempty"`
	Visitors    *int       `json:"visitors,omitempty"`
	Lobby       string     `json:"lobby,omitempty"`
	Breakouts   []breakout `json:"breakouts,omitempty"`
}

type breakout struct {
	JID  string `json:"jid"`
	Name string `json:"name,omitempty"`
}

// appendFields appends a line.
func appendFields(to []byte, sign string, fields ...string) []byte {
	to = append(to, sign...)
	for _, f := range fields {
		to = append(to, '\t')
		to = protocol.AppendEscaped(to, f)
	}
	return append(to, '\n')
}

func appendDelta(to []byte, d *occupancy.Delta) []byte {
	if d.Gone {
		return appendFields(to, signGone, d.Room, string(d.Reason), d.Alternate)
	}
	to = appendRoom(to, d.Room, d.New, d.Facts)
	for _, nick := range d.Left {
		reason := d.Reason
		if r, ok := d.Reasons[nick]; ok {
			reason = r
		}
		to = appendFields(to, signLeft, nick, string(reason), d.Alternate)
	}
	for i := range d.Present {
		to = appendOccupant(to, &d.Present[i])
	}
	return to
}

// appendRoom appends the line that begins the delta of a room.
func appendRoom(to []byte, room string, isNew bool, f *occupancy.RoomFacts) []byte {
	mark, text := "", ""
	if isNew {
		mark = "new"
	}
	if f != nil {
		out := facts{
			Created: milli(f.CreatedAt), Stamp: milli(f.Stamp), MeetingID: f.MeetingID, Subject: f.Subject,
			Password: f.Password, MembersOnly: f.MembersOnly, Visitors: f.Visitors, Lobby: f.Lobby,
		}
		for _, b := range f.Breakouts {
			out.Breakouts = append(out.Breakouts, breakout(b))
		}
		encoded, err := json.Marshal(out)
		if err != nil {
			panic(err) // it has no value that JSON lacks
		}
		text = string(encoded)
	}
	return appendFields(to, signRoom, room, mark, text)
}

func appendOccupant(to []byte, o *occupancy.Occupant) []byte {
	return appendFields(to, signHere, o.ID, string(o.Kind), o.Rule, o.Role, o.Affiliation, stamp(o.JoinedAt), stamp(o.Stamp), o.RealJID, o.Name,
		strconv.Itoa(int(o.Flags)), string(o.Connection), o.MovedFrom, o.AvatarURL, o.UserID, o.UserName, o.UserGroup, o.UserEmail)
}

// shortestOccupant is less than the length of the shortest line of an occupant.
const shortestOccupant = 16

// decodeDeltas reads lines. The strings of deltas share memory with text.
func decodeDeltas(text string) ([]occupancy.Delta, error) {
	var d decoder
	if n := strings.Count(text, "\n"+signHere+"\t"); n > 0 {
		d.present = make([]occupancy.Occupant, 0, min(n, len(text)/shortestOccupant))
	}
	for n := 1; text != ""; n++ {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return nil, errors.New("the last line has no line end")
		}
		if err := d.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		text = rest
	}
	return d.deltas, nil
}

// decoder reads lines one by one.
type decoder struct {
	deltas  []occupancy.Delta
	present []occupancy.Occupant // of all deltas, in one slice
	first   int                  // in present, of the last delta
}

func (r *decoder) line(line string) error {
	sign, line, _ := strings.Cut(line, "\t")
	var field [fieldCount]string
	for i, more := 0, true; i < fieldCount && more; i++ {
		var err error
		field[i], line, more = strings.Cut(line, "\t")
		if field[i], err = protocol.Unescape(field[i]); err != nil {
			return fmt.Errorf("field %d: %w", i+1, err)
		}
	}
	switch sign {
	case signRoom:
		d := occupancy.Delta{Room: field[0], New: field[1] == "new"}
		err := protocol.CheckRoom(d.Room)
		if err == nil && field[2] != "" {
			d.Facts, err = decodeFacts(field[2])
		}
		r.deltas, r.first = append(r.deltas, d), len(r.present)
		return err
	case signGone:
		d := occupancy.Delta{Room: field[0], Gone: true, Reason: occupancy.ParseLeaveReason(field[1]), Alternate: field[2]}
		r.deltas, r.first = append(r.deltas, d), len(r.present)
		return protocol.CheckRoom(d.Room)
	}
	if len(r.deltas) == 0 || r.deltas[len(r.deltas)-1].Gone || field[fieldNick] == "" {
		return fmt.Errorf("%q with nick %q outside of a room", sign, field[fieldNick])
	}
	d := &r.deltas[len(r.deltas)-1]
	switch sign {
	case signHere:
		o, err := decodeOccupant(&field)
		r.present = append(r.present, o)
		d.Present = r.present[r.first:len(r.present):len(r.present)]
		return err
	case signLeft:
		nick := field[fieldNick]
		d.Left, d.Alternate = append(d.Left, nick), field[2]
		if reason := occupancy.ParseLeaveReason(field[1]); reason != "" {
			if d.Reasons == nil {
				d.Reasons = make(map[string]occupancy.LeaveReason)
			}
			d.Reasons[nick] = reason
		}
		return nil
	}
	return fmt.Errorf("begins with %q", sign)
}

// kinds are all kinds of occupants.
var kinds = occupancy.Kinds()

func decodeOccupant(field *[fieldCount]string) (o occupancy.Occupant, err error) {
	kind := occupancy.Kind(field[fieldKind])
	if !slices.Contains(kinds, kind) {
		return o, fmt.Errorf("kind %q", kind)
	}
	flags, err := strconv.ParseUint(field[fieldFlags], 10, 16)
	if err != nil {
		return o, fmt.Errorf("flags %q", field[fieldFlags])
	}
	o = occupancy.Occupant{
		ID: field[fieldNick], Kind: kind, Rule: field[fieldRule], Role: field[fieldRole], Affiliation: field[fieldAffiliation],
		RealJID: field[fieldRealJID], Name: field[fieldName], Flags: occupancy.PresenceFlags(flags),
		Connection: occupancy.ParseConnection(field[fieldConnection]), MovedFrom: field[fieldMovedFrom], AvatarURL: field[fieldAvatar],
		UserID: field[fieldUserID], UserName: field[fieldUserName], UserGroup: field[fieldUserGroup], UserEmail: field[fieldUserEmail],
	}
	if o.JoinedAt, err = parseStamp(field[fieldJoined]); err == nil {
		o.Stamp, err = parseStamp(field[fieldStamp])
	}
	return o, err
}

func decodeFacts(text string) (*occupancy.RoomFacts, error) {
	var in facts
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	if min(in.Created, in.Stamp) < 0 || max(in.Created, in.Stamp) > maxTime || in.Visitors != nil && (*in.Visitors < 0 || *in.Visitors > maxNumber) {
		return nil, fmt.Errorf("facts %q", text)
	}
	f := &occupancy.RoomFacts{
		CreatedAt: unixMilli(in.Created), Stamp: unixMilli(in.Stamp), MeetingID: in.MeetingID, Subject: in.Subject,
		Password: in.Password, MembersOnly: in.MembersOnly, Visitors: in.Visitors, Lobby: in.Lobby,
	}
	for _, b := range in.Breakouts {
		f.Breakouts = append(f.Breakouts, occupancy.Breakout(b))
	}
	return f, nil
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return min(max(t.UnixMilli(), 1), maxTime)
}

func unixMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(milli(t), 10)
}

func parseStamp(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms <= 0 || ms > maxTime {
		return time.Time{}, fmt.Errorf("time %q", s)
	}
	return unixMilli(ms), nil
}
