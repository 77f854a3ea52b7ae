package terminal

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/url"
	"strings"
	"time"
)

// maxPages limits a list to a million rooms, more than any Prosody has.
const maxPages = 1000

// room is the part of a room that is shown.
type room struct {
	Name         string         `json:"room_name"`
	NameNote     string         `json:"name_note"`
	Exists       bool           `json:"exists"`
	Participants int            `json:"participant_count"`
	Exact        bool           `json:"exact"`
	Counts       map[string]int `json:"counts"`
	CreatedAt    *time.Time     `json:"created_at"`
	AsOf         time.Time      `json:"as_of"`
	Note         string         `json:"note"`
	Subject      *string        `json:"subject"`
	Type         string         `json:"type"`
	Visitors     *int           `json:"visitors"`
	Lobby        *related       `json:"lobby"`
	Breakouts    []related      `json:"breakout_rooms"`
	Occupants    []occupant     `json:"occupants"`
	Duration     *int64         `json:"duration_seconds"`
}

type related struct {
	RoomJID      string  `json:"room_jid"`
	Name         *string `json:"name"`
	Participants *int    `json:"participant_count"`
}

type occupant struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Role     string `json:"role"`
	Duration *int64 `json:"duration_seconds"`
}

// page is a page of a list.
type page struct {
	Rooms []json.RawMessage `json:"rooms"`
	Next  *string           `json:"next_cursor"`
	AsOf  time.Time         `json:"as_of"`
}

// page requests a page of a list.
func (c *Client) page(ctx context.Context, query url.Values) (page, error) {
	var p page
	if err := c.get(ctx, "/api/rooms", query, &p); err != nil {
		return page{}, err
	}
	// A missing list is not an empty one.
	if p.Rooms == nil || p.AsOf.IsZero() {
		return page{}, c.notPPCH("a list without rooms or as_of")
	}
	return p, nil
}

// pages calls each with every page of a list.
func (c *Client) pages(ctx context.Context, query url.Values, each func(page) error) error {
	query = maps.Clone(query)
	for range maxPages {
		p, err := c.page(ctx, query)
		if err != nil {
			return err
		}
		if err := each(p); err != nil || p.Next == nil {
			return err
		}
		query.Set("cursor", *p.Next)
	}
	return c.notPPCH("an endless list")
}

// roomPath returns the path of the room called name.
func roomPath(name string) string {
	// Proxies resolve a segment of dots as a relative path.
	if strings.Trim(name, ".") == "" {
		return "/api/rooms/" + strings.ReplaceAll(name, ".", "%2E")
	}
	return "/api/rooms/" + url.PathEscape(name)
}

// room requests a room and returns its JSON, raw and decoded.
func (c *Client) room(ctx context.Context, name string) (json.RawMessage, room, error) {
	var raw json.RawMessage
	if err := c.get(ctx, roomPath(name), nil, &raw); err != nil {
		return nil, room{}, err
	}
	var r room
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, room{}, c.notPPCH(err.Error())
	}
	if r.AsOf.IsZero() {
		return nil, room{}, c.notPPCH("a room without as_of")
	}
	return raw, r, nil
}

// Room writes the people in a room.
func (c *Client) Room(ctx context.Context, w io.Writer, name string, style Style) error {
	_, r, err := c.room(ctx, name)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, roomTable(r, style))
	return err
}

// RoomJSON writes a room as one line of JSON.
func (c *Client) RoomJSON(ctx context.Context, w io.Writer, name string) error {
	raw, _, err := c.room(ctx, name)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, LineOfJSON(raw))
	return err
}
