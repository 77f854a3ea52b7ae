package webhook

import (
	"mellium.im/xmpp/jid"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// translator turns recorded changes into events.
type translator struct {
	names *occupancy.NameResolver
	epoch string
	seq   uint64 // of the last change

	// origins are those of the last change on each shard.
	origins map[string]occupancy.Origin
}

// events returns the events that a change causes, in order: a room is occupied before its first participant joins.
func (t *translator) events(c history.Event) []Event {
	if c.Kind == occupancy.EventStatus {
		return t.watch(c)
	}
	t.seq = max(t.seq, c.Seq)
	if c.Origin.Epoch != "" {
		t.origins[c.Shard] = c.Origin
	}
	var types []Type
	lobby := c.Type == occupancy.RoomLobby
	person := c.Occupant.Kind.Person()
	before, after := c.Before.People(), c.Counts.People()
	switch {
	case lobby && after > before:
		types = []Type{LobbyWaiting}
	case lobby && after < before:
		types = []Type{LobbyLeft}
	case lobby:
	case c.Kind == occupancy.EventRoomStarted:
		types = []Type{RoomStarted}
	case c.Kind == occupancy.EventRoomEnded:
		types = []Type{RoomEnded}
	case c.Kind == occupancy.EventRoomUpdated:
	case before == 0 && after > 0:
		types = []Type{RoomOccupied, ParticipantJoined}
	case after > before:
		types = []Type{ParticipantJoined}
	case after == 0 && before > 0:
		types = []Type{ParticipantLeft, RoomEmptied}
	case after < before:
		types = []Type{ParticipantLeft}
	case person && c.Kind == occupancy.EventUpdated:
		types = []Type{ParticipantUpdated}
	default:
		types = machinery(c)
	}
	all := make([]Event, 0, len(types))
	for _, typ := range types {
		all = append(all, t.event(c, typ))
	}
	return all
}

// machinery returns the types of a change of recorders and transcribers: the first begins and the last ends.
func machinery(c history.Event) (types []Type) {
	for _, m := range []struct {
		kind           occupancy.Kind
		started, ended Type
	}{
		{occupancy.KindRecorder, RecordingStarted, RecordingEnded},
		{occupancy.KindTranscriber, TranscriptionStarted, TranscriptionEnded},
	} {
		switch before, after := c.Before.Of(m.kind), c.Counts.Of(m.kind); {
		case before == 0 && after > 0:
			types = append(types, m.started)
		case before > 0 && after == 0:
			types = append(types, m.ended)
		}
	}
	return types
}

// watch returns the event of a domain whose watch was lost or restored.
func (t *translator) watch(c history.Event) []Event {
	if c.Gap == nil {
		return nil
	}
	e := Event{Type: WatchLost, At: c.At, Position: t.position(c.Shard), Domain: c.Gap.Domain, Reason: string(c.Gap.Reason), Since: c.Gap.Began}
	if !c.Gap.Ended.IsZero() {
		e.Type = WatchRestored
	}
	e.ID = c.ID(string(e.Type)).String()
	return []Event{e}
}

// position returns the position of the last change on a shard: that of its batch, which is the same for every PPCH that follows the shard,
// or else that of this run.
func (t *translator) position(shard string) Position {
	if at, ok := t.origins[shard]; ok {
		return Position{shard, at.Epoch, at.Seq}
	}
	return Position{shard, t.epoch, t.seq}
}

// event returns the event of a type for a change of a room.
func (t *translator) event(c history.Event, typ Type) Event {
	e := Event{
		ID: c.ID(string(typ)).String(), Type: typ, At: c.At, Position: t.position(c.Shard),
		Room: Room{
			JID: c.Room.String(), Name: t.names.Name(c.Room), Display: t.names.Display(c.Room), URL: t.names.MeetingURL(c.Room, c.Parent), Type: c.Type, Tenant: c.Tenant, Parent: c.Parent.String(),
			Meeting: c.Meeting.String(), MeetingID: c.MeetingID, CreatedAt: c.Created,
		},
	}
	if c.NotBefore.Before(c.At) {
		e.NotBefore = c.NotBefore
	}
	e.MeetingParticipants = c.MeetingParticipants
	if c.Type == occupancy.RoomLobby {
		t.inLobby(&e, c)
	} else {
		e.Participants, e.Counts = new(c.Counts.People()), c.Counts.Map()
	}
	switch typ {
	case RoomStarted:
	case RoomEnded:
		e.Room.EndedAt = c.At
	default:
		if typ == ParticipantLeft || typ == LobbyLeft {
			e.Reason = string(c.Reason)
		}
		e.Occupant, e.Stay = new(occupantOf(c.Occupant)), c.Stay.String()
		if c.Kind == occupancy.EventLeft {
			e.Occupant.LeftAt = c.At
		}
	}
	return e
}

// inLobby makes e an event of the meeting whose lobby the room is, as far as that is known.
func (t *translator) inLobby(e *Event, c history.Event) {
	e.Waiting = new(c.Counts.People())
	if e.Room.Parent != "" {
		e.Room = Room{JID: e.Room.Parent, Name: t.names.Name(c.Parent), Display: t.names.Display(c.Parent), URL: t.names.MeetingURL(c.Parent, jid.JID{}), Type: occupancy.RoomMain, Tenant: c.Tenant}
	}
	if c.Main != nil {
		e.Room.Meeting, e.Room.MeetingID, e.Room.CreatedAt = c.Main.Meeting.String(), c.Main.MeetingID, c.Main.Created
	}
	if c.MainCounts != nil {
		e.Participants, e.Counts = new(c.MainCounts.People()), c.MainCounts.Map()
	}
}

func occupantOf(o occupancy.Occupant) Occupant {
	return Occupant{
		ID: o.ID, Name: o.Name, Kind: o.Kind, Role: o.Role, JoinedAt: o.JoinedAt,
		UserID: o.UserID, UserName: o.UserName, UserGroup: o.UserGroup, Flags: o.Flags, MovedFrom: o.MovedFrom, Connection: o.Connection,
	}
}
