package protocol_test

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// encodeBatch writes b as the Lua module sends it.
func encodeBatch(b protocol.Batch) string {
	attrs := []string{"xmlns", protocol.Namespace, "epoch", b.Epoch, "seq", strconv.FormatUint(b.Seq, 10), "at", clock(b.At), "end", flag(b.End)}
	if b.Synced {
		attrs = append(attrs, "synced", "1", "rooms", strconv.Itoa(b.Rooms), "occupants", strconv.Itoa(b.Occupants), "unseen", flag(b.Unseen))
	}
	var inner strings.Builder
	for _, d := range b.Deltas {
		if d.Gone {
			var lines strings.Builder
			for _, nick := range slices.Sorted(maps.Keys(d.Reasons)) {
				lines.WriteString(escaped(line("-", nick, string(d.Reasons[nick]))))
			}
			inner.WriteString(element("gone", lines.String(), "jid", d.Room, "reason", string(d.Reason), "alternate", d.Alternate))
			continue
		}
		inner.WriteString(encodeRoom(d))
	}
	return element("batch", inner.String(), attrs...)
}

func encodeRoom(d occupancy.Delta) string {
	attrs := []string{"jid", d.Room, "new", flag(d.New)}
	var inner strings.Builder
	if f := d.Facts; f != nil {
		attrs = append(attrs, "facts", "1", "created", milli(f.CreatedAt), "meeting", f.MeetingID, "subject", f.Subject,
			"password", flag(f.Password), "members", flag(f.MembersOnly), "lobby", f.Lobby)
		if f.Visitors != nil {
			attrs = append(attrs, "visitors", strconv.Itoa(*f.Visitors))
		}
		for _, b := range f.Breakouts {
			inner.WriteString(element("breakout", "", "jid", b.JID, "name", b.Name))
		}
	}
	for _, o := range d.Present {
		inner.WriteString(escaped(line("+", o.ID, o.RealJID, o.Role, o.Affiliation, milli(o.JoinedAt),
			o.UserID, o.UserName, o.UserGroup, o.UserEmail, o.Name, o.AvatarURL, o.Flags.String(), o.MovedFrom, string(o.Connection))))
	}
	for _, nick := range d.Left {
		inner.WriteString(escaped(line("-", nick, string(d.Reasons[nick]))))
	}
	return element("room", inner.String(), attrs...)
}

// encodeSubscribed writes s as the Lua module sends it.
func encodeSubscribed(s protocol.Subscribed) string {
	return element("subscribed", "", "xmlns", protocol.Namespace, "epoch", s.Epoch, "version", s.Version,
		"at", clock(s.At), "time", milli(s.Time), "heartbeat", strconv.FormatFloat(s.Heartbeat.Seconds(), 'f', -1, 64),
		"recorders", strings.Join(s.Accounts.Recorders, " "), "transcribers", strings.Join(s.Accounts.Transcribers, " "),
		"hidden", strings.Join(s.Accounts.Hidden, " "), "focus", s.Accounts.Jicofo, "type", string(s.Accounts.Type), "cache", strconv.Itoa(s.RoomCache))
}

func clock(at time.Duration) string { return strconv.FormatFloat(at.Seconds(), 'f', 3, 64) }

// element writes an element without its empty attributes.
func element(name, inner string, attrs ...string) string {
	var b strings.Builder
	b.WriteString("<" + name)
	for i := 0; i < len(attrs); i += 2 {
		if attrs[i+1] != "" {
			fmt.Fprintf(&b, " %s='%s'", attrs[i], escaped(attrs[i+1]))
		}
	}
	fmt.Fprintf(&b, ">%s</%s>", inner, name)
	return b.String()
}

// line joins escaped fields, without empty ones at the end.
func line(fields ...string) string {
	escape := strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)
	for i, f := range fields {
		fields[i] = escape.Replace(f)
	}
	return strings.TrimRight(strings.Join(fields, "\t"), "\t") + "\n"
}

// escaped escapes XML as Prosody does: TAB and LF in text stay.
func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return strings.NewReplacer("&#x9;", "\t", "&#xA;", "\n").Replace(b.String())
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return ""
}

func milli(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}
