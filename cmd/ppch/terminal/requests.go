package terminal

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/url"
	"strings"
	"time"

	"ppch/api/view"
)

// maxPages limits a list to a million rooms, more than any Prosody has.
const maxPages = 1000

// room is a room whose times are parsed. They are zero if unknown.
type room struct {
	view.Room
	created, asOf time.Time
}

// UnmarshalJSON decodes a room.
func (r *room) UnmarshalJSON(raw []byte) error {
	err := json.Unmarshal(raw, &r.Room)
	if err != nil {
		return err
	}
	if r.created, err = view.ParseTime(r.CreatedAt); err != nil {
		return err
	}
	r.asOf, err = view.ParseTime(&r.AsOf)
	return err
}

// page is a page of a list.
type page struct {
	Rooms []json.RawMessage `json:"rooms"`
	view.PageEnd
	asOf time.Time
}

// page requests a page of a list.
func (c *Client) page(ctx context.Context, query url.Values) (page, error) {
	var p page
	if err := c.get(ctx, "/api/rooms", query, &p); err != nil {
		return page{}, err
	}
	var err error
	if p.asOf, err = view.ParseTime(&p.AsOf); err != nil {
		return page{}, c.notPPCH(err.Error())
	}
	// A missing list is not an empty one.
	if p.Rooms == nil || p.asOf.IsZero() {
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
		if err := each(p); err != nil || p.NextCursor == nil {
			return err
		}
		query.Set("cursor", *p.NextCursor)
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
	query := url.Values{}
	if c.Shard != "" {
		query.Set("shard", c.Shard)
	}
	if err := c.get(ctx, roomPath(name), query, &raw); err != nil {
		return nil, room{}, err
	}
	var r room
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, room{}, c.notPPCH(err.Error())
	}
	if r.asOf.IsZero() {
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
