package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// Bounds of a message. NATS bounds its size.
const (
	maxDomains = 1000
	maxClock   = 100 * 365 * 24 * time.Hour
	maxNumber  = 1 << 30
	maxTime    = 253402300799999 // end of the year 9999, the last in RFC 3339
	maxBeat    = time.Hour
)

// kind is what a message is.
type kind string

const (
	kindBatch   kind = "batch"   // the next changes of one domain
	kindState   kind = "state"   // the heartbeat, with the state of all domains
	kindPage    kind = "page"    // of a snapshot
	kindRequest kind = "request" // for a page

	kindQuestion kind = "question" // about recorded meetings
	kindAnswer   kind = "answer"   // to a question, or a part of it
)

var messageKinds = []kind{kindBatch, kindState, kindPage, kindRequest, kindQuestion, kindAnswer}

// message is what collectors and nodes send: this header as one line of JSON, then a line for each change (line.go),
// or the Payload.
// Times of the sender's clocks are in microseconds (At) and milliseconds (Time).
type message struct {
	Kind      kind   `json:"kind"`
	Shard     string `json:"shard"`
	Collector string `json:"collector"`

	// Epoch names the run of the collector. It begins with the time of its start.
	// Seq is the number of the last batch in it that this includes.
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`

	// At is the sender's monotonic clock, Time its wall clock.
	At   int64 `json:"at,omitempty"`
	Time int64 `json:"time,omitempty"`

	// Of a batch, and of a page with Synced, the last of its domain. Age is how old the data was at At.
	Domain    string `json:"domain,omitempty"`
	Age       int64  `json:"age,omitempty"`
	Synced    bool   `json:"synced,omitempty"`
	Rooms     int    `json:"rooms,omitempty"`
	Occupants int    `json:"occupants,omitempty"`
	Unseen    bool   `json:"unseen,omitempty"`

	// Lost is whether the changes aren't here: they are too many, or the domain was loaded or discarded. A node resyncs.
	Lost bool `json:"lost,omitempty"`

	// Of a state, and of the first page.
	Version   string        `json:"version,omitempty"`
	ShardKind string        `json:"shard_kind,omitempty"`
	Heartbeat int64         `json:"heartbeat,omitempty"` // microseconds
	Domains   []domainState `json:"domains,omitempty"`
	End       bool          `json:"end,omitempty"` // the collector stops

	// Of a page and its request. Nonce relates the two. Snapshot names the snapshot, empty in the request for a new one.
	Nonce    string  `json:"nonce,omitempty"`
	Snapshot string  `json:"snapshot,omitempty"`
	From     *cursor `json:"from,omitempty"` // of the page
	Next     *cursor `json:"next,omitempty"` // nil in the last page
	Error    string  `json:"error,omitempty"`

	// Of a question and an answer, which also have a Nonce. Once is whether the question may be answered only once.
	// Part numbers the parts of an answer from 1 to Parts; the last one may have an Error instead.
	Once  bool `json:"once,omitempty"`
	Part  int  `json:"part,omitempty"`
	Parts int  `json:"parts,omitempty"`

	Deltas  []occupancy.Delta `json:"-"`
	Payload []byte            `json:"-"`
}

// opaque reports whether a message has a Payload, which this package doesn't read, instead of Deltas.
func (m *message) opaque() bool { return m.Kind == kindQuestion || m.Kind == kindAnswer }

// cursor is a place in a snapshot: numbers of a domain, a room and an occupant, from 0.
type cursor struct{ Domain, Room, Occupant int }

// domainState is the state of a MUC domain on a collector.
type domainState struct {
	JID  string `json:"jid"`
	Type string `json:"type,omitempty"`

	VisitorNode bool `json:"visitor_node,omitempty"`

	// Known is whether the collector has a replica. Age is the age of its last confirmation, in microseconds.
	// Current is whether that came on the present connection.
	Known   bool  `json:"known,omitempty"`
	Age     int64 `json:"age,omitempty"`
	Current bool  `json:"current,omitempty"`

	Connected bool   `json:"connected,omitempty"`
	Since     int64  `json:"since,omitempty"` // how long, in microseconds
	Mode      string `json:"mode,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Remedy    string `json:"remedy,omitempty"`
	Retry     int64  `json:"retry,omitempty"` // in microseconds
}

// encode returns the body of a message.
func (m message) encode() []byte {
	body, err := json.Marshal(m)
	if err != nil {
		panic(err) // it has no value that JSON lacks
	}
	body = append(slices.Grow(body, 1+len(m.Payload)+lineLen(m.Deltas)), '\n')
	body = append(body, m.Payload...)
	for i := range m.Deltas {
		body = appendDelta(body, &m.Deltas[i])
	}
	return body
}

// decode reads the body of a message.
func decode(body []byte) (message, error) {
	var m message
	head, lines, ok := bytes.Cut(body, []byte{'\n'})
	if !ok {
		return m, errFormat
	}
	if err := json.Unmarshal(head, &m); err != nil {
		return message{}, fmt.Errorf("cluster: header: %w", err)
	}
	if err := m.check(); err != nil {
		return message{}, fmt.Errorf("cluster: %s: %w", m.Kind, err)
	}
	if m.opaque() {
		m.Payload = lines
		return m, nil
	}
	var err error
	if m.Deltas, err = decodeDeltas(string(lines)); err != nil {
		return message{}, fmt.Errorf("cluster: %s %d: %w", m.Kind, m.Seq, err)
	}
	return m, nil
}

// check returns an error for values that no collector sends.
func (m *message) check() error {
	switch {
	case !slices.Contains(messageKinds, m.Kind):
		return fmt.Errorf("kind %q", m.Kind)
	case m.Shard == "" || m.Collector == "" || m.Epoch == "":
		return fmt.Errorf("shard %q, collector %q, epoch %q", m.Shard, m.Collector, m.Epoch)
	case !within(maxClock, m.At, m.Age) || m.Heartbeat < 0 || m.Heartbeat > maxBeat.Microseconds() || m.Time < 0 || m.Time > maxTime:
		return fmt.Errorf("at %d, age %d, time %d, heartbeat %d", m.At, m.Age, m.Time, m.Heartbeat)
	case m.Rooms < 0 || m.Rooms > maxNumber || m.Occupants < 0 || m.Occupants > maxNumber:
		return fmt.Errorf("%d rooms, %d occupants", m.Rooms, m.Occupants)
	case len(m.Domains) > maxDomains:
		return fmt.Errorf("%d domains", len(m.Domains))
	case (m.Kind == kindState || m.Kind == kindPage && m.Domains != nil) && m.Heartbeat == 0:
		return fmt.Errorf("no heartbeat")
	case m.opaque() && m.Nonce == "" || m.Kind == kindAnswer && (m.Part < 1 || m.Part > m.Parts || m.Parts > maxParts):
		return fmt.Errorf("nonce %q, part %d of %d", m.Nonce, m.Part, m.Parts)
	case m.Kind == kindBatch && m.Seq == 0:
		return fmt.Errorf("seq 0")
	}
	if (m.Kind == kindBatch || m.Synced || m.Domain != "") && !isHost(m.Domain) {
		return fmt.Errorf("domain %q", m.Domain)
	}
	for _, c := range []*cursor{m.From, m.Next} {
		if c != nil && min(c.Domain, c.Room, c.Occupant) < 0 {
			return fmt.Errorf("cursor %v", *c)
		}
	}
	for _, d := range m.Domains {
		if !isHost(d.JID) || !within(maxClock, d.Age, d.Since, d.Retry) || roomType(d.Type) == "" || mode(d.Mode) == "" && d.Mode != "" {
			return fmt.Errorf("state of a domain %+v", d)
		}
	}
	return nil
}

func within(limit time.Duration, microseconds ...int64) bool {
	return slices.Min(microseconds) >= 0 && slices.Max(microseconds) <= limit.Microseconds()
}

// isHost reports whether s can be a MUC domain.
func isHost(s string) bool { return protocol.CheckRoom("room@"+s) == nil }

func roomType(s string) occupancy.RoomType {
	switch t := occupancy.RoomType(s); t {
	case occupancy.RoomMain, occupancy.RoomBreakout, occupancy.RoomLobby:
		return t
	}
	return ""
}

func mode(s string) occupancy.Mode {
	switch m := occupancy.Mode(s); m {
	case occupancy.ModeUndecided, occupancy.ModeModule, occupancy.ModeDisco, occupancy.ModeExistence:
		return m
	}
	return ""
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// domainJID returns the JID of a MUC domain, which isHost has checked.
func domainJID(s string) jid.JID { return jid.NewUnsafe("", s, "").JID }
