package admin

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmpp/form"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// stats returns the totals of a domain.
func (h *Handler) stats(domain jid.JID) (occupancy.Stats, error) {
	stats, err := h.Directory.Stats(occupancy.Query{Domain: domain.Domainpart()})
	if err != nil {
		return occupancy.Stats{}, err
	}
	return stats[0], nil
}

// summary describes a domain in a few words.
func (h *Handler) summary(d occupancy.Domain) string {
	stats, err := h.stats(d.JID)
	if err != nil {
		state, _ := domainStatus(d)
		return state
	}
	return count(stats.Rooms, "room", "rooms") + ", " + people(stats.Counts.People())
}

// domains returns the watched MUC domains, the main one first. Of several shards that have one, it is the one that can't be read, if any.
func (h *Handler) domains() (all []occupancy.Domain) {
	for _, d := range h.Directory.Domains() {
		if !slices.ContainsFunc(all, func(other occupancy.Domain) bool { return other.JID.Equal(d.JID) }) {
			if worst, err := h.Directory.Domain(d.JID); err == nil {
				d = worst
			}
			all = append(all, d)
		}
	}
	return all
}

// domainOnShard returns the name of a domain, with that of its shard if there are several.
func (h *Handler) domainOnShard(d occupancy.Domain) string {
	if len(h.Directory.Shards()) < 2 {
		return d.JID.String()
	}
	return d.JID.String() + " of " + d.Shard
}

// totalsForm returns the totals of all meetings, without lobbies and breakout rooms.
// It has no totals if one of their parts is unknown.
func (h *Handler) totalsForm() *form.Data {
	domains := h.domains()
	fields := []field{{"version", "Version", h.Version}, {"since", "Connected to Prosody since", stamp(domains[0].Since)}}
	rooms, inRooms := 0, 0
	for _, d := range domains {
		if d.Type != occupancy.RoomMain || d.Kind == occupancy.ShardVisitors {
			continue
		}
		stats, err := h.stats(d.JID)
		if err != nil {
			return resultForm("PPCH", append(fields, field{"problem", "Problem", errorText(err)}))
		}
		rooms += stats.Rooms
		inRooms += stats.Counts.People()
	}
	return resultForm("PPCH", append(fields,
		field{"rooms", "Rooms", strconv.Itoa(rooms)}, field{"participants", "People", strconv.Itoa(inRooms)}))
}

// roomFields are the facts of a room that exists.
func roomFields(r occupancy.Room) []field {
	fields := []field{
		{"room", "Room", r.JID.String()},
		{"participants", "People", strconv.Itoa(r.Participants)},
		{"exact", "Exact", strconv.FormatBool(r.Exact)},
		{"shard", "Shard", r.Shard},
		{"source", "Source", string(r.Source)},
		{"as_of", "Last update", stamp(r.AsOf)},
		{"created_at", "Created at", stamp(r.CreatedAt)},
		{"counts", "By kind", kinds(r.Counts)},
	}
	if r.Source != occupancy.SourceModule {
		return fields
	}
	fields = append(fields,
		field{"type", "Room type", string(r.Type)},
		field{"tenant", "Tenant", show(r.Tenant)},
		field{"subject", "Subject", show(r.Subject)},
		field{"meeting_id", "Meeting", show(r.MeetingID)},
		field{"password", "Needs a password", strconv.FormatBool(r.Password)},
		field{"members_only", "Members only", strconv.FormatBool(r.MembersOnly)},
		field{"visitors", "Visitors on other servers", numberOrUnknown(r.Visitors)},
	)
	if r.Lobby != nil && r.Lobby.Exists {
		fields = append(fields, field{"lobby", "Waiting in the lobby", strconv.Itoa(r.Lobby.Participants)})
	}
	for i, b := range r.Breakouts {
		if b.Known && b.Exists {
			fields = append(fields, field{"breakout" + strconv.Itoa(i+1), "Breakout room " + show(b.Name), strconv.Itoa(b.Participants)})
		}
	}
	return fields
}

// numberOrUnknown returns a number as text; nil is "unknown".
func numberOrUnknown(n *int) string {
	if n == nil {
		return "unknown"
	}
	return strconv.Itoa(*n)
}

// kinds returns the counts by kind as text.
func kinds(counts map[occupancy.Kind]int) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, string(k)+" "+strconv.Itoa(counts[k]))
	}
	return strings.Join(all, ", ")
}
