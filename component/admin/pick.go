package admin

import (
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmpp/commands"
	"mellium.im/xmpp/form"

	"ppch/component/adhoc"
	"ppch/component/occupancy"
)

// picked continues with the address of the picked room, or with allRooms.
type picked func(r adhoc.Request, room string) (adhoc.Reply, error)

// askRoom asks for a room in two steps: for part of its name, and for one of the matches.
// With orAll, "all rooms" is an option too.
func (h *Handler) askRoom(then picked, orAll bool) adhoc.Stage {
	return func(adhoc.Request) (adhoc.Reply, error) {
		return adhoc.Reply{
			Form: form.New(
				form.Title("Pick a room"),
				form.Instructions("Part of a name finds open rooms. A whole name, or a JID, finds any room."),
				form.Text("text", form.Label("Name")),
			),
			Next: func(r adhoc.Request) (adhoc.Reply, error) { return h.askWhich(r.Form.Value("text"), then, orAll) },
		}, nil
	}
}

func (h *Handler) askWhich(text string, then picked, orAll bool) (adhoc.Reply, error) {
	rooms, unknown := h.rooms(selection{text: text})
	options, more := h.options(text, rooms)
	if orAll {
		options = append(options, option{"all rooms", allRooms})
	}
	if len(options) == 0 {
		return adhoc.Reply{}, adhoc.BadPayload(strings.Join(append([]string{"no room matches"}, unknown...), "; "))
	}
	list := []form.Option{form.Label("Room"), form.Required, form.Value(options[0].value)}
	for _, o := range options {
		list = append(list, form.ListItem(o.label, o.value))
	}
	reply := adhoc.Reply{
		Notes: warnings(unknown),
		Form:  form.New(form.Title("Pick a room"), form.List("room", list...)),
		Next:  func(r adhoc.Request) (adhoc.Reply, error) { return then(r, r.Form.Value("room")) },
		Last:  true,
	}
	if more {
		reply.Notes = append(reply.Notes, commands.Note{Value: strconv.Itoa(len(rooms)) + " rooms match; these are the first. Go back and type more of the name."})
	}
	return reply, nil
}

type option struct{ label, value string }

// options returns the matching rooms, as many as one form can hold, with the exact name first.
// An exact name without a match comes last: the room may not exist, or not be listed.
func (h *Handler) options(text string, rooms []occupancy.RoomSummary) (all []option, more bool) {
	exact := ""
	if j, err := h.Names.Room(text); err == nil {
		exact = j.String()
	}
	bytes := 0
	for _, g := range rooms {
		o := option{h.roomName(g.Address) + " — " + people(g.Participants), g.Address}
		switch {
		case g.Address == exact:
			all, exact = slices.Insert(all, 0, o), ""
		case len(all) < maxOptions && bytes < maxPageBytes:
			all, bytes = append(all, o), bytes+len(g.Address)+len(o.label)
		default:
			more = true
		}
	}
	if exact != "" {
		all = append(all, option{h.roomName(exact) + " — exactly this name", exact})
	}
	return all, more
}
