package terminal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/tmaxmax/go-sse"
)

// event is the part of an event that is shown.
type event struct {
	Time         time.Time `json:"time"`
	RoomName     string    `json:"room_name"`
	Participants int       `json:"participant_count"`
	Occupant     *occupant `json:"occupant"`

	// Of events that don't belong to a room.
	Reason string `json:"reason"`
	Domain string `json:"domain"`
	Status string `json:"status"`
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
		line := lineFor(e)
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

// lineFor describes an event, or returns "" for one that is not shown.
func lineFor(e sse.Event) string {
	var v event
	if json.Unmarshal([]byte(e.Data), &v) != nil {
		return ""
	}
	room := readable(v.RoomName)
	who := "an occupant"
	if v.Occupant != nil {
		who = Clean(v.Occupant.Name)
		if who == "" {
			who = Clean(v.Occupant.ID)
		}
		if v.Occupant.Kind != "user" {
			who += " (" + Clean(v.Occupant.Kind) + ")"
		}
	}
	at := v.Time.Local().Format(time.TimeOnly) + "  "
	switch e.Type {
	case "participant.joined":
		return fmt.Sprintf("%s%s joined %s, now %d %s", at, who, room, v.Participants, plural(v.Participants, "person", "people"))
	case "participant.left":
		return fmt.Sprintf("%s%s left %s, now %d %s", at, who, room, v.Participants, plural(v.Participants, "person", "people"))
	case "room.started":
		return at + room + " started"
	case "room.ended":
		return at + room + " ended"
	case "reset":
		return at + "events were missed (" + Clean(v.Reason) + ")"
	case "status":
		return at + Clean(v.Domain) + ": " + Clean(v.Status)
	}
	return ""
}
