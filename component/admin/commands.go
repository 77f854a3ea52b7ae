package admin

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"mellium.im/xmpp/commands"
	"mellium.im/xmpp/form"

	"ppch/component/adhoc"
	"ppch/component/occupancy"
)

// Bounds of one answer to a command. The answer states how much it leaves out.
const (
	maxRows    = 100
	maxOptions = 50 // of a form
)

// commands returns the ad-hoc commands of the component.
func (h *Handler) commands() []adhoc.Command {
	all := []adhoc.Command{
		{Node: "rooms", Name: "List rooms", Start: h.askFilter},
		{Node: "room", Name: "List the people in a room", Start: h.askRoom(h.showRoom, false)},
		{Node: "statistics", Name: "Statistics", Start: h.showStatistics},
		{Node: "domains", Name: "Connection and MUC domains", Start: h.showDomains},
		{Node: "resync", Name: "Resync a MUC domain", Start: h.askResync},
		{Node: "diagnostics", Name: "Diagnostics", Start: h.showDiagnostics},
		{Node: "watch", Name: "Watch a room", Start: h.askRoom(h.subscribe, true)},
		{Node: "unwatch", Name: "Stop watching", Start: h.unsubscribe},
	}
	if h.Meetings != nil {
		all = append(all, adhoc.Command{Node: "meetings", Name: "Past meetings", Start: h.askMeetings},
			adhoc.Command{Node: "attendance", Name: "Attendance of a meeting", Start: h.askMeeting})
	}
	return all
}

// allRooms is the option for all rooms, or domains; it is not a JID.
const allRooms = "*"

// askFilter asks which rooms to list.
func (h *Handler) askFilter(adhoc.Request) (adhoc.Reply, error) {
	options := []form.Option{form.Label("MUC domain"), form.Value(allRooms), form.ListItem("all", allRooms)}
	for _, d := range h.domains() {
		options = append(options, form.ListItem(d.JID.String(), d.JID.String()))
	}
	return adhoc.Reply{
		Form: form.New(
			form.Title("List rooms"),
			form.Instructions("All fields are optional."),
			form.List("domain", options...),
			form.Text("text", form.Label("Part of the name")),
			form.Text("tenant", form.Label("Tenant")),
			form.Text("people", form.Label("Minimum number of people"), form.Value("0")),
			form.Text("after", form.Label("Start after this room JID"), form.Desc("To continue a list.")),
		),
		Next: h.listRooms, Last: true,
	}, nil
}

func (h *Handler) listRooms(r adhoc.Request) (adhoc.Reply, error) {
	s := selection{tenant: r.Form.Value("tenant"), text: r.Form.Value("text")}
	if d := r.Form.Value("domain"); d != "" && d != allRooms {
		if _, ok := h.domain(d); !ok {
			return adhoc.Reply{}, adhoc.BadPayload("the domain isn't watched")
		}
		s.domain = d
	}
	if n := r.Form.Value("people"); n != "" {
		var err error
		if s.people, err = number(n); err != nil {
			return adhoc.Reply{}, adhoc.BadPayload("the number of people isn't a number")
		}
	}
	rooms, unknown := h.rooms(s)
	total := len(rooms)
	if after := r.Form.Value("after"); after != "" {
		for len(rooms) > 0 && rooms[0].Address <= after {
			rooms = rooms[1:]
		}
	}
	reply := adhoc.Reply{Notes: warnings(unknown)}
	table := &adhoc.Table{Title: "Rooms", Columns: []adhoc.Column{
		{Var: "name", Label: "Name"}, {Var: "people", Label: "People"}, {Var: "jid", Label: "JID"},
	}}
	var lines []string
	bytes := 0
	for len(rooms) > 0 && len(table.Rows) < maxRows && bytes < maxPageBytes {
		g := rooms[0]
		name, line := h.roomName(g.Address), h.roomLine(g)
		rooms, bytes = rooms[1:], bytes+len(g.Address)+len(name)+len(line)
		table.Rows = append(table.Rows, []string{name, strconv.Itoa(g.Participants), g.Address})
		lines = append(lines, line)
	}
	table.Fields = asText(lines)
	reply.Table = table
	text := count(total, "room", "rooms")
	if len(rooms) > 0 {
		text += "; these are " + strconv.Itoa(len(table.Rows)) + ". For more, start after " + table.Rows[len(table.Rows)-1][2]
	}
	if len(unknown) == 0 || total > 0 {
		reply.Notes = append(reply.Notes, commands.Note{Value: text})
	}
	return reply, nil
}

func warnings(all []string) (notes []commands.Note) {
	for _, text := range all {
		notes = append(notes, commands.Note{Type: commands.NoteWarn, Value: text})
	}
	return notes
}

// showRoom lists the occupants of a room.
func (h *Handler) showRoom(_ adhoc.Request, address string) (adhoc.Reply, error) {
	j, ok := h.roomJID(address)
	if !ok {
		return adhoc.Reply{}, adhoc.BadPayload("not a room of a watched domain")
	}
	room, err := h.Prosody.Room(context.Background(), j)
	if err != nil {
		return adhoc.Warning(errorText(err)), nil
	}
	if !room.Exists {
		return adhoc.Info("there is no room " + h.roomName(address) + " now"), nil
	}
	if !room.Exact && room.Counts == nil {
		return adhoc.Reply{Notes: warnings([]string{inexact}), Form: resultForm(h.roomName(address), roomFields(room))}, nil
	}
	table := &adhoc.Table{Title: h.roomName(address) + " — " + people(room.Participants), Columns: []adhoc.Column{
		{Var: "name", Label: "Name"}, {Var: "kind", Label: "Kind"}, {Var: "role", Label: "Role"},
		{Var: "joined", Label: "Joined at"}, {Var: "id", Label: "Nick"}, {Var: "real_jid", Label: "Real JID"},
	}}
	for _, f := range roomFields(room) {
		if f.value != "" {
			table.Fields = append(table.Fields, adhoc.Field{Var: f.name, Label: f.label, Values: []string{f.value}})
		}
	}
	var lines []string
	all := sorted(room)
	for _, o := range all[:min(len(all), maxRows)] {
		table.Rows = append(table.Rows, []string{occupantName(o), string(o.Kind), o.Role, stamp(o.JoinedAt), show(o.ID), show(o.RealJID)})
		lines = append(lines, occupantLine(o))
	}
	table.Fields = append(table.Fields, asText(lines)...)
	reply := adhoc.Reply{Table: table, Notes: warnings(shardNotes(room))}
	if len(all) > maxRows {
		reply.Notes = append(reply.Notes, commands.Note{Value: count(len(all), "occupant", "occupants") + "; these are the first " + strconv.Itoa(maxRows)})
	}
	return reply, nil
}

// asText repeats a table as lines of text, for clients such as Profanity that show no tables.
func asText(lines []string) []adhoc.Field {
	if len(lines) == 0 {
		return nil
	}
	return []adhoc.Field{{Var: "text", Label: "As text", Values: lines}}
}

// shardNotes says on which of several shards a room is, and on which it may be.
func shardNotes(r occupancy.Room) (notes []string) {
	if r.Split {
		var parts []string
		for _, p := range r.Parts {
			parts = append(parts, p.Shard+" "+strconv.Itoa(p.Participants))
		}
		notes = append(notes, "the room is split between shards, whose people can't see each other: "+strings.Join(parts, ", "))
	}
	if len(r.UnknownShards) > 0 {
		notes = append(notes, "there may be more people: the room may also be on shards that can't be read now: "+strings.Join(r.UnknownShards, ", "))
	}
	return notes
}

// inexact explains the number of a room by disco.
const inexact = "the number includes focus and recorders, since the Lua module isn't loaded"

// askResync asks which domain to resync.
func (h *Handler) askResync(adhoc.Request) (adhoc.Reply, error) {
	options := []form.Option{form.Label("MUC domain")}
	for i, d := range h.domains() {
		if i == 0 {
			options = append(options, form.Value(d.JID.String()))
		}
		options = append(options, form.ListItem(d.JID.String(), d.JID.String()))
	}
	return adhoc.Reply{
		Form: form.New(
			form.Title("Resync a MUC domain"),
			form.Instructions("Prosody sends all its rooms again. Present data stays available meanwhile. Without a domain, the main one is resynced."),
			form.List("domain", options...),
		),
		Next: func(r adhoc.Request) (adhoc.Reply, error) {
			main := h.domains()[0].JID.String()
			d, ok := h.domain(cmp.Or(strings.TrimSpace(r.Form.Value("domain")), main))
			if !ok {
				return adhoc.Reply{}, adhoc.BadPayload("the domain isn't watched; use " + h.domainNames())
			}
			if err := h.Prosody.Resync(d.JID); err != nil {
				return adhoc.Warning(errorText(err)), nil
			}
			return adhoc.Info("resyncing " + d.JID.String()), nil
		},
		Last: true,
	}, nil
}

// domainNames lists the watched domains.
func (h *Handler) domainNames() string {
	var names []string
	for _, d := range h.domains() {
		names = append(names, d.JID.String())
	}
	return strings.Join(names, ", ")
}
