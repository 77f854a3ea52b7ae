package protocol

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"ppch/component/occupancy"
)

// Namespace is a feature of MUC domains where the Lua module is loaded.
// The number is the version of the protocol.
const (
	Namespace = prefix + "1"
	prefix    = "urn:ppch:occupancy:"
)

// The payloads of the protocol.
var (
	SubscribeName  = xml.Name{Space: Namespace, Local: "subscribe"}
	BatchName      = xml.Name{Space: Namespace, Local: "batch"}
	subscribedName = xml.Name{Space: Namespace, Local: "subscribed"}
)

// Bounds of numbers on the wire.
const (
	maxHeartbeat = time.Hour
	maxClock     = 100 * 365 * 24 * time.Hour
	maxTime      = 253402300799999 // end of the year 9999, the last in RFC 3339
	maxNumber    = 1 << 30
)

// Subscribed is the answer to a subscription.
type Subscribed struct {
	Epoch     string
	Version   string
	Heartbeat time.Duration
	At        time.Duration // by Prosody's monotonic clock
	Time      time.Time     // by Prosody's wall clock, zero from an older module
	Accounts  occupancy.SystemAccounts
	RoomCache int // how many rooms Prosody keeps in memory, zero from an older module
}

// Batch is a message within a subscription.
type Batch struct {
	Epoch string
	Seq   uint64
	At    time.Duration // by the clock of Subscribed.At
	End   bool          // the last one: the module is being unloaded or reloaded
	occupancy.Batch
}

// UnmarshalXML implements xml.Unmarshaler.
func (s *Subscribed) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	*s = Subscribed{
		Epoch:   attribute(start, "epoch"),
		Version: attribute(start, "version"),
		Accounts: occupancy.SystemAccounts{
			Recorders:    strings.Fields(attribute(start, "recorders")),
			Transcribers: strings.Fields(attribute(start, "transcribers")),
			Hidden:       strings.Fields(attribute(start, "hidden")),
			Jicofo:       attribute(start, "focus"),
			VisitorNode:  attribute(start, "visitors") == "here",
			Type:         roomType(attribute(start, "type")),
		},
	}
	if start.Name != subscribedName || s.Epoch == "" {
		return fmt.Errorf("protocol: answer to a subscription: <%s xmlns='%s'> with epoch %q", start.Name.Local, start.Name.Space, s.Epoch)
	}
	heartbeat := attribute(start, "heartbeat")
	seconds, err := strconv.ParseFloat(heartbeat, 64)
	if err != nil || !(seconds > 0 && seconds <= maxHeartbeat.Seconds()) {
		return fmt.Errorf("protocol: answer to a subscription: heartbeat %q", heartbeat)
	}
	s.Heartbeat = time.Duration(seconds * float64(time.Second))
	if s.At, err = clock(start); err != nil {
		return fmt.Errorf("protocol: answer to a subscription: %w", err)
	}
	if attribute(start, "cache") != "" {
		if s.RoomCache, err = number(start, "cache"); err != nil {
			return fmt.Errorf("protocol: answer to a subscription: %w", err)
		}
	}
	if s.Time, err = unixMilli(attribute(start, "time")); err != nil {
		return fmt.Errorf("protocol: answer to a subscription: %w", err)
	}
	return skip(d)
}

// roomType returns the type of that name, or an empty one for an unknown name.
func roomType(name string) occupancy.RoomType {
	switch t := occupancy.RoomType(name); t {
	case occupancy.RoomMain, occupancy.RoomBreakout, occupancy.RoomLobby:
		return t
	}
	return ""
}

// DecodeBatch reads a <batch/>, whose start element was read before, up to and including its end element.
// It skips elements, attributes and fields that it doesn't know, and refuses invalid values of others.
// It doesn't bound what it keeps: t must.
func DecodeBatch(t xml.TokenReader, start xml.StartElement) (Batch, error) {
	b, err := batchAttributes(start)
	if err != nil {
		return Batch{}, fmt.Errorf("protocol: batch: %w", err)
	}
	err = children(t, func(child xml.StartElement) error {
		var delta occupancy.Delta
		var err error
		switch child.Name {
		case xml.Name{Space: Namespace, Local: "room"}:
			delta, err = decodeRoom(t, child)
		case xml.Name{Space: Namespace, Local: "gone"}:
			delta, err = decodeGone(t, child)
		default:
			return skip(t)
		}
		b.Deltas = append(b.Deltas, delta)
		return err
	}, nil)
	if err != nil {
		return Batch{}, fmt.Errorf("protocol: batch %d: %w", b.Seq, err)
	}
	return b, nil
}

func batchAttributes(start xml.StartElement) (b Batch, err error) {
	b.Epoch = attribute(start, "epoch")
	b.Synced = attribute(start, "synced") == "1"
	b.End = attribute(start, "end") == "1"
	if start.Name != BatchName || b.Epoch == "" {
		return b, fmt.Errorf("<%s xmlns='%s'> with epoch %q", start.Name.Local, start.Name.Space, b.Epoch)
	}
	if b.Seq, err = strconv.ParseUint(attribute(start, "seq"), 10, 64); err != nil || b.Seq == 0 {
		return b, fmt.Errorf("seq %q", attribute(start, "seq"))
	}
	if b.At, err = clock(start); err != nil || !b.Synced {
		return b, err
	}
	b.Unseen = attribute(start, "unseen") == "1"
	if b.Rooms, err = number(start, "rooms"); err == nil {
		b.Occupants, err = number(start, "occupants")
	}
	return b, err
}

// decodeGone reads a <gone/> up to its end element.
func decodeGone(t xml.TokenReader, start xml.StartElement) (occupancy.Delta, error) {
	delta := occupancy.Delta{
		Room: attribute(start, "jid"), Gone: true,
		Reason: occupancy.ParseLeaveReason(attribute(start, "reason")), Alternate: attribute(start, "alternate"),
	}
	err := CheckRoom(delta.Room)
	if err != nil {
		return delta, err
	}
	if CheckRoom(delta.Alternate) != nil {
		delta.Alternate = ""
	}
	var lines strings.Builder
	if err = children(t, func(xml.StartElement) error { return skip(t) }, &lines); err == nil {
		err = decodeLines(&delta, lines.String())
	}
	if err == nil && len(delta.Present) > 0 {
		err = errors.New("has occupants")
	}
	if err != nil {
		return delta, fmt.Errorf("ended room %q: %w", delta.Room, err)
	}
	delta.Left, delta.Present = nil, nil
	return delta, nil
}

// decodeRoom reads a <room/> up to its end element.
func decodeRoom(t xml.TokenReader, start xml.StartElement) (occupancy.Delta, error) {
	delta := occupancy.Delta{Room: attribute(start, "jid"), New: attribute(start, "new") == "1"}
	err := CheckRoom(delta.Room)
	if err == nil && attribute(start, "facts") == "1" {
		delta.Facts, err = roomFacts(start)
	}
	if err != nil {
		return delta, err
	}
	var lines strings.Builder
	err = children(t, func(child xml.StartElement) error {
		if (child.Name == xml.Name{Space: Namespace, Local: "breakout"}) && delta.Facts != nil {
			b := occupancy.Breakout{JID: attribute(child, "jid"), Name: attribute(child, "name")}
			// Other modules of Jitsi write this list: an invalid entry must not hide the room.
			if CheckRoom(b.JID) == nil {
				delta.Facts.Breakouts = append(delta.Facts.Breakouts, b)
			}
		}
		return skip(t)
	}, &lines)
	if err == nil {
		err = decodeLines(&delta, lines.String())
	}
	if err != nil {
		return delta, fmt.Errorf("room %q: %w", delta.Room, err)
	}
	return delta, nil
}

func roomFacts(start xml.StartElement) (*occupancy.RoomFacts, error) {
	f := &occupancy.RoomFacts{
		MeetingID:   attribute(start, "meeting"),
		Subject:     attribute(start, "subject"),
		Password:    attribute(start, "password") == "1",
		MembersOnly: attribute(start, "members") == "1",
		Lobby:       attribute(start, "lobby"),
	}
	var err error
	if f.CreatedAt, err = unixMilli(attribute(start, "created")); err != nil {
		return nil, err
	}
	if attribute(start, "visitors") != "" {
		visitors, err := number(start, "visitors")
		if err != nil {
			return nil, err
		}
		f.Visitors = &visitors
	}
	if CheckRoom(f.Lobby) != nil {
		f.Lobby = ""
	}
	return f, nil
}

// FindBatch reads up to the start element of the first <batch/> and returns it.
func FindBatch(t xml.TokenReader) (xml.StartElement, error) {
	for {
		tok, err := t.Token()
		if start, ok := tok.(xml.StartElement); ok && start.Name == BatchName {
			return start, nil
		}
		if err != nil {
			return xml.StartElement{}, ended(err)
		}
	}
}

// IsNamespace reports whether a namespace is that of any version of the protocol.
func IsNamespace(namespace string) bool { return strings.HasPrefix(namespace, prefix) }

// IsNewer reports whether a namespace is that of a newer version of the protocol.
func IsNewer(namespace string) bool {
	version, err := strconv.Atoi(strings.TrimPrefix(namespace, prefix))
	ours, _ := strconv.Atoi(strings.TrimPrefix(Namespace, prefix))
	return err == nil && version > ours
}

// children calls each with the start of every child of an element; each must read the rest of the child.
// It adds the text between children to text, which may be nil.
func children(t xml.TokenReader, each func(xml.StartElement) error, text *strings.Builder) error {
	for {
		tok, err := t.Token()
		switch tok := tok.(type) {
		case xml.StartElement:
			if err := each(tok); err != nil {
				return err
			}
		case xml.CharData:
			if text != nil {
				text.Write(tok)
			}
		case xml.EndElement:
			return nil
		}
		if err != nil {
			return ended(err)
		}
	}
}

// skip reads the rest of an element.
func skip(t xml.TokenReader) error {
	for depth := 1; ; {
		tok, err := t.Token()
		switch tok.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			if depth--; depth == 0 {
				return nil
			}
		}
		if err != nil {
			return ended(err)
		}
	}
}

// ended returns the error for input that ends within an element.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// attribute returns the attribute of that name that has no namespace, or an empty string.
func attribute(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// number returns the value of an attribute that must be a non-negative number.
func number(start xml.StartElement, name string) (int, error) {
	n, err := strconv.ParseUint(attribute(start, name), 10, 32)
	if err != nil || n > maxNumber {
		return 0, fmt.Errorf("%s %q", name, attribute(start, name))
	}
	return int(n), nil
}

// clock returns the attribute at, seconds of Prosody's monotonic clock.
func clock(start xml.StartElement) (time.Duration, error) {
	at, err := strconv.ParseFloat(attribute(start, "at"), 64)
	if err != nil || !(at >= 0 && at <= maxClock.Seconds()) {
		return 0, fmt.Errorf("at %q", attribute(start, "at"))
	}
	return time.Duration(math.Round(at*1000)) * time.Millisecond, nil
}

// unixMilli returns the time for Unix time in milliseconds, or the zero time for an empty string.
func unixMilli(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms <= 0 || ms > maxTime {
		return time.Time{}, fmt.Errorf("time %q", s)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// CheckRoom returns an error for what can't be the bare JID of a room.
// It doesn't use jid.Parse, since PRECIS refuses rooms that Prosody's stringprep accepts.
func CheckRoom(s string) error {
	local, host, _ := strings.Cut(s, "@")
	if local == "" || host == "" || strings.ContainsAny(s, "/ \t\r\n") || strings.Contains(host, "@") {
		return fmt.Errorf("jid %q", s)
	}
	return nil
}
