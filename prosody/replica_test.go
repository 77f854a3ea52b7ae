package prosody_test

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ppch/prosody/prosodytest"
)

// README.md's protocol in Go, for tests only. It shares no code with the service,
// so that the same bug can't hide in both.

type subscribed struct {
	Epoch        string `xml:"epoch,attr"`
	Version      string `xml:"version,attr"`
	Heartbeat    string `xml:"heartbeat,attr"`
	Recorders    string `xml:"recorders,attr"`
	Transcribers string `xml:"transcribers,attr"`
	Hidden       string `xml:"hidden,attr"`
	Focus        string `xml:"focus,attr"`
	Type         string `xml:"type,attr"`
	Visitors     string `xml:"visitors,attr"`
	Cache        string `xml:"cache,attr"`

	At float64 `xml:"at,attr"`
}

type batch struct {
	Epoch     string      `xml:"epoch,attr"`
	Seq       int         `xml:"seq,attr"`
	At        float64     `xml:"at,attr"`
	Synced    string      `xml:"synced,attr"`
	Unseen    string      `xml:"unseen,attr"`
	End       string      `xml:"end,attr"`
	Rooms     []roomDelta `xml:"room"`
	Occupants string      `xml:"occupants,attr"`
	Total     string      `xml:"rooms,attr"`
	Gone      []gone      `xml:"gone"`
}

type gone struct {
	JID       string `xml:"jid,attr"`
	Reason    string `xml:"reason,attr"`
	Alternate string `xml:"alternate,attr"`
	Text      string `xml:",chardata"`
}

// lines counts what a batch says of occupants.
func (b batch) lines() int {
	n := 0
	for _, room := range b.Rooms {
		n += strings.Count(room.Text, "\n")
	}
	return n
}

type roomDelta struct {
	JID       string     `xml:"jid,attr"`
	New       string     `xml:"new,attr"`
	Facts     string     `xml:"facts,attr"`
	Attrs     []xml.Attr `xml:",any,attr"`
	Text      string     `xml:",chardata"`
	Breakouts []struct {
		JID  string `xml:"jid,attr"`
		Name string `xml:"name,attr"`
	} `xml:"breakout"`
}

func decodeBatch(st prosodytest.Stanza) (batch, error) {
	var iq struct {
		Batch batch `xml:"urn:ppch:occupancy:1 batch"`
	}
	if err := st.Decode(&iq); err != nil {
		return batch{}, fmt.Errorf("%w in %s", err, st.XML)
	}
	return iq.Batch, nil
}

// occupant is the fields of a line, from 1 as README.md counts them.
type occupant [16]string

func (o occupant) nick() string        { return o[2] }
func (o occupant) jid() string         { return o[3] }
func (o occupant) role() string        { return o[4] }
func (o occupant) affiliation() string { return o[5] }
func (o occupant) joined() string      { return o[6] }
func (o occupant) name() string        { return o[11] }
func (o occupant) avatar() string      { return o[12] }
func (o occupant) marks() string       { return o[13] }
func (o occupant) movedFrom() string   { return o[14] }
func (o occupant) connection() string  { return o[15] }

// reason is why an occupant left, by its line.
func (o occupant) reason() string { return o[3] }

var unescape = strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\r`, "\r")

func parseLine(line string) (occupant, error) {
	var o occupant
	for i, text := range strings.Split(line, "\t") {
		if i+1 < len(o) {
			o[i+1] = unescape.Replace(text)
		}
	}
	if (o[1] != "+" && o[1] != "-") || o[2] == "" {
		return o, fmt.Errorf("not a line: %q", line)
	}
	return o, nil
}

type room struct {
	facts     map[string]string
	breakouts map[string]string
	occupants map[string]occupant
}

// replica is a subscriber's copy of the rooms.
type replica struct {
	epoch  string
	seq    int
	at     float64
	synced bool
	rooms  map[string]*room
	left   map[string]string // why occupants left, by room and nick
	ended  map[string]gone   // rooms that ended
}

func newReplica(s subscribed) *replica {
	return &replica{epoch: s.Epoch, at: s.At, rooms: map[string]*room{}, left: map[string]string{}, ended: map[string]gone{}}
}

// apply checks a batch against every rule of the protocol and applies it.
func (r *replica) apply(b batch) error {
	if b.Epoch != r.epoch || b.Seq != r.seq+1 {
		return fmt.Errorf("batch %d of %s after %d of %s", b.Seq, b.Epoch, r.seq, r.epoch)
	}
	if b.At < r.at || b.At == 0 {
		return fmt.Errorf("batch %d was true at %f, and the one before at %f", b.Seq, b.At, r.at)
	}
	r.seq, r.at = b.Seq, b.At
	for _, delta := range b.Rooms {
		if err := r.applyRoom(delta); err != nil {
			return err
		}
	}
	for _, gone := range b.Gone {
		if r.rooms[gone.JID] == nil {
			return fmt.Errorf("unknown room is gone: %s", gone.JID)
		}
		for nick := range r.rooms[gone.JID].occupants {
			r.left[gone.JID+"/"+nick] = gone.Reason
		}
		for line := range strings.Lines(gone.Text) {
			o, err := parseLine(strings.TrimSuffix(line, "\n"))
			if _, there := r.rooms[gone.JID].occupants[o.nick()]; err != nil || o[1] != "-" || !there {
				return fmt.Errorf("line %q of %s, which is gone: %w", line, gone.JID, err)
			}
			r.left[gone.JID+"/"+o.nick()] = o.reason()
		}
		r.ended[gone.JID] = gone
		delete(r.rooms, gone.JID)
	}
	if r.synced && b.Synced == "" {
		return fmt.Errorf("batch %d is not synced any more", b.Seq)
	}
	r.synced = b.Synced == "1"
	if !r.synced {
		if b.Total != "" || b.Occupants != "" {
			return fmt.Errorf("totals before the snapshot is complete")
		}
		return nil
	}
	if b.Total != strconv.Itoa(len(r.rooms)) || b.Occupants != strconv.Itoa(r.count()) {
		return fmt.Errorf("batch %d says %s rooms, %s occupants; here are %d and %d", b.Seq, b.Total, b.Occupants, len(r.rooms), r.count())
	}
	return nil
}

func (r *replica) applyRoom(delta roomDelta) error {
	known := r.rooms[delta.JID]
	if delta.New == "1" {
		known = &room{occupants: map[string]occupant{}}
		r.rooms[delta.JID] = known
	}
	if known == nil {
		return fmt.Errorf("change of an unknown room: %s", delta.JID)
	}
	if delta.Facts == "1" {
		known.facts, known.breakouts = map[string]string{}, map[string]string{}
		for _, a := range delta.Attrs {
			known.facts[a.Name.Local] = a.Value
		}
		for _, b := range delta.Breakouts {
			known.breakouts[b.JID] = b.Name
		}
	} else if len(delta.Attrs) > 0 || len(delta.Breakouts) > 0 || delta.New == "1" {
		return fmt.Errorf("facts without facts='1' of %s", delta.JID)
	}
	for line := range strings.Lines(delta.Text) {
		o, err := parseLine(strings.TrimSuffix(line, "\n"))
		if err != nil || !strings.HasSuffix(line, "\n") {
			return fmt.Errorf("line %q: %w", line, err)
		}
		_, there := known.occupants[o.nick()]
		switch {
		case o[1] == "+":
			known.occupants[o.nick()] = o
		case !there:
			return fmt.Errorf("unknown occupant of %s has left: %s", delta.JID, o.nick())
		default:
			delete(known.occupants, o.nick())
			r.left[delta.JID+"/"+o.nick()] = o.reason()
		}
	}
	return nil
}

func (r *replica) count() int {
	n := 0
	for _, room := range r.rooms {
		n += len(room.occupants)
	}
	return n
}

func (r *replica) occupant(jid, nick string) (occupant, bool) {
	known := r.rooms[jid]
	if known == nil {
		return occupant{}, false
	}
	o, ok := known.occupants[nick]
	return o, ok
}

// fact returns an attribute of a room, empty if there is no such room.
func (r *replica) fact(jid, name string) string {
	if known := r.rooms[jid]; known != nil {
		return known.facts[name]
	}
	return ""
}

// held lists rooms and occupants in the format of the function held.
func (r *replica) held() []string {
	var all []string
	for jid, room := range r.rooms {
		all = append(all, jid)
		for nick, o := range room.occupants {
			all = append(all, strings.Join([]string{jid + "/" + nick, o.jid(), o.role(), o.affiliation()}, " "))
		}
	}
	slices.Sort(all)
	return all
}

func (r *replica) String() string { return strings.Join(r.held(), "\n") }
