package terminal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// totals count all rooms, even if a table shows only some.
type totals struct {
	// known is false if the key is limited to some rooms.
	known         bool
	rooms, people int
	asOf          time.Time
}

func (t *totals) add(rooms []listed) {
	t.rooms += len(rooms)
	for _, r := range rooms {
		t.people += r.ParticipantCount
	}
}

// roomsTable shows rooms, with the totals below, or the text none.
func roomsTable(rooms []listed, all totals, none string, style Style) string {
	if len(rooms) == 0 {
		return none + "\n"
	}
	t := style.newTable(2, "people", "room", "shard", "age", "also")
	several := onSeveralShards(rooms)
	for _, r := range rooms {
		age := "?"
		if !r.created.IsZero() {
			age = span(new(int64(r.asOf.Sub(r.created) / time.Second)))
		}
		shard := ""
		if several {
			shard = r.shards()
		}
		t.add(r.number(), shown(r.DisplayName), shard, age, r.also())
	}
	last := fmt.Sprintf("%d %s, %d %s", all.rooms, plural(all.rooms, "room", "rooms"), all.people, plural(all.people, "person", "people"))
	switch {
	case !all.known:
		last = "… and more, which this key can't count"
	case len(rooms) < all.rooms:
		last = fmt.Sprintf("… %d more; ", all.rooms-len(rooms)) + last
	}
	return t.String() + last + ", as of " + all.asOf.Local().Format(time.TimeOnly) + "\n"
}

// maxNick is the width of a nick in a table. Jitsi's nicks have 8 characters; other clients choose longer ones.
const maxNick = 16

// roomTable shows one room.
func roomTable(r room, style Style) string {
	var b strings.Builder
	if !r.Exists {
		fmt.Fprintf(&b, "There is no room %s now.\n", shown(r.RoomName))
	}
	if r.NameNote != "" {
		b.WriteString(Clean(r.NameNote) + "\n")
	}
	if !r.Exists {
		return b.String()
	}
	summary := fmt.Sprintf(": %s %s", r.number(), plural(r.ParticipantCount, "person", "people"))
	for _, part := range []string{r.also(), r.unsure()} {
		if part != "" {
			summary += ", " + part
		}
	}
	summary += fmt.Sprintf("; open for %s, as of %s", span(r.DurationSeconds), r.asOf.Local().Format(time.TimeOnly))
	b.WriteString(fit(shown(r.DisplayName), style.rest(summary)) + summary + "\n")
	if r.Note != "" {
		b.WriteString(Clean(r.Note) + "\n")
	}
	if r.Split {
		b.WriteString("Split between shards, whose people can't see each other: " + r.shards() + "\n")
	}
	if r.Subject != nil {
		b.WriteString("Subject: " + Clean(*r.Subject) + "\n")
	}
	if len(r.Occupants) == 0 {
		return b.String()
	}
	t := style.newTable(1, "name", "kind", "role", "here for", "nick")
	for _, o := range r.Occupants {
		t.add(Clean(cmp.Or(o.Name, o.ID)), kindOf(o.Occupant), Clean(o.Role), span(o.DurationSeconds), fit(Clean(o.ID), maxNick))
	}
	return b.String() + t.String()
}

// onSeveralShards reports whether rooms are on more than one shard.
func onSeveralShards(rooms []listed) bool {
	return slices.ContainsFunc(rooms, func(r listed) bool { return r.Split || orNone(r.Shard) != orNone(rooms[0].Shard) })
}

// shards returns the shards that have the room.
func (r room) shards() string {
	if !r.Split {
		return Clean(orNone(r.Shard))
	}
	var names []string
	for _, p := range r.Parts {
		names = append(names, fmt.Sprintf("%s %d", Clean(p.Shard), p.ParticipantCount))
	}
	return strings.Join(names, " + ")
}

// orNone returns a text that may be unknown, then empty.
func orNone(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// number returns the number of people; ≤ marks a count that may include others, ≥ one that some shards are missing from.
func (r room) number() string {
	switch {
	case len(r.UnknownShards) > 0 && r.Counts != nil:
		return fmt.Sprintf("≥%d", r.ParticipantCount)
	case len(r.UnknownShards) > 0:
		return fmt.Sprintf("?%d", r.ParticipantCount)
	case !r.Exact:
		return fmt.Sprintf("≤%d", r.ParticipantCount)
	}
	return fmt.Sprint(r.ParticipantCount)
}

// kindName returns the word for n occupants of a kind, which a later version may have added.
func kindName(kind string, n int) string { return Clean(occupancy.Kind(kind).Word(n)) }

// kindOf returns the kind of an occupant in words, with the operator's rule.
func kindOf(o view.Occupant) string {
	if o.Rule != "" {
		return kindName(string(o.Kind), 1) + " by rule " + Clean(o.Rule)
	}
	return kindName(string(o.Kind), 1)
}

// also returns the occupants that are not counted, and participants of the meeting outside the room.
func (r room) also() string {
	var parts []string
	for _, kind := range []string{"recorder", "transcriber", "hidden", "visitor"} {
		if n := r.Counts[occupancy.Kind(kind)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kindName(kind, n)))
		}
	}
	return strings.Join(append(parts, r.related()...), ", ")
}

// related returns participants of the meeting outside the room.
func (r room) related() (parts []string) {
	if r.Lobby != nil && r.Lobby.ParticipantCount != nil && *r.Lobby.ParticipantCount > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", *r.Lobby.ParticipantCount))
	}
	inBreakouts := 0
	for _, b := range r.BreakoutRooms {
		if b.ParticipantCount != nil {
			inBreakouts += *b.ParticipantCount
		}
	}
	if inBreakouts > 0 {
		parts = append(parts, fmt.Sprintf("%d in breakout rooms", inBreakouts))
	}
	// Focus counts all visitors of the meeting, including those in this room.
	if elsewhere := r.visitors() - r.Counts[occupancy.KindVisitor]; elsewhere > 0 {
		parts = append(parts, fmt.Sprintf("%d %s elsewhere", elsewhere, kindName("visitor", elsewhere)))
	}
	return parts
}

func (r room) visitors() int {
	if r.Visitors == nil {
		return 0
	}
	return *r.Visitors
}

// unsure notes unknown visitors in an otherwise exact room.
func (r room) unsure() string {
	if r.Visitors == nil && r.Exact && r.Type != nil && *r.Type == occupancy.RoomMain {
		return "visitors elsewhere unknown"
	}
	return ""
}
