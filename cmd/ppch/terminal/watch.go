package terminal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tmaxmax/go-sse"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// event is an event of a room, with the fields of a reset and a status.
type event struct {
	view.RoomEvent
	Reason string `json:"reason"`
	Domain string `json:"domain"`
	Status string `json:"status"`

	VisitorsOf []string `json:"visitors_of"`
}

// eventsPath returns the path of the event stream of a room, or of all if name is empty.
func eventsPath(name string) string {
	if name == "" {
		return "/api/events"
	}
	return roomPath(name) + "/events"
}

// WatchJSON writes each event as one line of JSON until ctx ends. It writes lost connections to errs.
func (c *Client) WatchJSON(ctx context.Context, w, errs io.Writer, name string) error {
	return c.follow(ctx, eventsPath(name), func(e sse.Event) error {
		if !json.Valid([]byte(e.Data)) {
			return c.notPPCH("an event that is not JSON")
		}
		_, err := io.WriteString(w, LineOfJSON([]byte(e.Data)))
		return err
	}, func(err error) { fmt.Fprintln(errs, lossOf(err)) })
}

// WatchLines writes a line of text for each event until ctx ends.
func (c *Client) WatchLines(ctx context.Context, w io.Writer, name string) error {
	return c.follow(ctx, eventsPath(name), func(e sse.Event) error {
		line := lineFor(e, 0)
		if line == "" {
			return nil
		}
		_, err := fmt.Fprintln(w, line)
		return err
	}, func(err error) { fmt.Fprintln(w, lossOf(err)) })
}

// lossOf describes a lost connection, with the time.
func lossOf(err error) string {
	return time.Now().Format(time.TimeOnly) + "  connection lost: " + Clean(err.Error())
}

// lineFor describes an event, or returns "" for one that is not shown. It shortens names so that the line fits
// the width and ends with the count; 0 is unlimited.
func lineFor(e sse.Event, width int) string {
	var v event
	if json.Unmarshal([]byte(e.Data), &v) != nil {
		return ""
	}
	when, err := view.ParseTime(&v.Time)
	if err != nil {
		return ""
	}
	at := when.Local().Format(time.TimeOnly) + "  "
	room := shown(v.DisplayName)
	now := fmt.Sprintf(", now %d %s", v.ParticipantCount, plural(v.ParticipantCount, "person", "people"))
	on := "" // others may have the room, too
	if v.Shard != "" && v.Shard != occupancy.DefaultShard {
		on = " on " + Clean(v.Shard)
	}
	now += on
	switch e.Type {
	case "participant.joined":
		return fitted(width, at, v.who(), " joined ", room, now)
	case "participant.left":
		return fitted(width, at, v.who(), " left ", room, now)
	case "room.started":
		return fitted(width, at, room, " started")
	case "room.ended":
		return fitted(width, at, room, " ended")
	case "reset":
		if v.Reason == string(view.ResetRetired) {
			return at + Clean(v.Domain) + on + ": out of service"
		}
		return at + "events were missed (" + Clean(v.Reason) + ")"
	case "status":
		if len(v.VisitorsOf) > 0 {
			return at + "visitors" + on + ": " + Clean(v.Status)
		}
		return at + Clean(v.Domain) + on + ": " + Clean(v.Status)
	}
	return ""
}

// who returns the name of the event's occupant, with the kind unless that is a person.
func (v event) who() string {
	if v.Occupant == nil {
		return "an occupant"
	}
	who := Clean(cmp.Or(v.Occupant.Name, v.Occupant.ID))
	if v.Occupant.Kind != occupancy.KindUser {
		who += " (" + kindOf(*v.Occupant) + ")"
	}
	return who
}

// fitted joins the parts of a line: every second one is a name. If the line is too long, the names share the columns
// that the other parts leave, and a short name leaves more to a long one.
func fitted(columns int, parts ...string) string {
	if columns == 0 || width(strings.Join(parts, "")) <= columns {
		return strings.Join(parts, "")
	}
	var names []int
	for i, part := range parts {
		if i%2 == 1 {
			names = append(names, i)
		} else {
			columns -= width(part)
		}
	}
	slices.SortFunc(names, func(a, b int) int { return width(parts[a]) - width(parts[b]) })
	for n, i := range names {
		parts[i] = fit(parts[i], max(columns/(len(names)-n), 1))
		columns -= width(parts[i])
	}
	return strings.Join(parts, "")
}
