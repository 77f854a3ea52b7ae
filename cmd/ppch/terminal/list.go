package terminal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// List selects and sorts rooms.
type List struct {
	// Query holds the parameters of GET /api/rooms, without limit and cursor.
	Query url.Values

	// Limit is the maximum number of rooms; 0 is unlimited.
	Limit int
}

// listed is a room of a list, with its JSON and its sort key.
type listed struct {
	room
	raw json.RawMessage
	key string
}

// listed decodes the rooms of a page.
func (c *Client) listed(p page) ([]listed, error) {
	rooms := make([]listed, len(p.Rooms))
	for i, raw := range p.Rooms {
		if err := json.Unmarshal(raw, &rooms[i].room); err != nil {
			return nil, c.notPPCH(err.Error())
		}
		rooms[i].raw, rooms[i].key = raw, sortKey(shown(rooms[i].DisplayName))
	}
	return rooms, nil
}

// rooms requests all rooms of a list, sorts them and returns them with the time of the last page.
// The service compares names by their bytes; people expect class 2 before class 10.
func (c *Client) rooms(ctx context.Context, l List) (all []listed, asOf time.Time, err error) {
	query := url.Values{"limit": {"1000"}}
	maps.Copy(query, l.Query)
	err = c.pages(ctx, query, func(p page) error {
		rooms, err := c.listed(p)
		all, asOf = append(all, rooms...), p.asOf
		return err
	})
	by, backwards := query.Get("sort"), query.Get("order") == "desc"
	if by == "participants" {
		backwards = query.Get("order") != "asc"
	}
	slices.SortStableFunc(all, func(a, b listed) int { return compare(a, b, by, backwards) })
	return all, asOf, err
}

// compare compares rooms by the parameter sort. Rooms with equally many people are sorted by name. The service has sorted those by age.
func compare(a, b listed, by string, backwards bool) int {
	names := cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.RoomName, b.RoomName))
	switch {
	case by == "participants" && backwards:
		return cmp.Or(b.ParticipantCount-a.ParticipantCount, names)
	case by == "participants":
		return cmp.Or(a.ParticipantCount-b.ParticipantCount, names)
	case by == "created":
		return 0
	case backwards:
		return -names
	}
	return names
}

var digits = regexp.MustCompile(`[0-9]+`)

// sortKey returns a key that sorts names as people expect, without regard to case and accents: class 2 before class 10.
// The dashboard uses the same order.
func sortKey(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.M, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(name))
	return digits.ReplaceAllStringFunc(name, func(number string) string { return strings.Repeat("0", max(0, 12-len(number))) + number })
}

// first returns the first rooms, as many as the limit allows.
func (l List) first(all []listed) []listed {
	if l.Limit > 0 {
		return all[:min(len(all), l.Limit)]
	}
	return all
}

// none says that no room matches. Only a list without filters says that no rooms are open.
func (l List) none() string {
	q := l.Query
	switch {
	case q.Has("q"):
		return fmt.Sprintf("No open room has %q in its name.", Clean(q.Get("q"))) + l.otherFilters()
	case q.Has("tenant"), q.Has("min_participants"), q.Has("shard"):
		return "No open room matches these filters."
	case q.Get("type") == "breakout", q.Get("type") == "lobby":
		return "No " + q.Get("type") + " rooms are open."
	}
	return "No rooms are open."
}

func (l List) otherFilters() string {
	if l.Query.Has("tenant") || l.Query.Has("min_participants") || l.Query.Has("shard") || !slices.Contains([]string{"", "main"}, l.Query.Get("type")) {
		return " The other filters apply too."
	}
	return ""
}

// Rooms writes a table of the rooms of a list.
func (c *Client) Rooms(ctx context.Context, w io.Writer, l List, style Style) error {
	all, asOf, err := c.rooms(ctx, l)
	if p := (*Problem)(nil); errors.As(err, &p) && len(p.UnknownShards) > 0 && !l.Query.Has("shard") {
		return fmt.Errorf("%w; --shard NAME lists the rooms of another shard", err)
	}
	if err != nil {
		return err
	}
	sum := totals{known: true, asOf: asOf}
	sum.add(all)
	_, err = io.WriteString(w, roomsTable(l.first(all), sum, l.none(), style))
	return err
}

// RoomsJSON writes the rooms of a list, one JSON object a line.
func (c *Client) RoomsJSON(ctx context.Context, w io.Writer, l List) error {
	all, _, err := c.rooms(ctx, l)
	if err != nil {
		return err
	}
	for _, r := range l.first(all) {
		if _, err := io.WriteString(w, LineOfJSON(r.raw)); err != nil {
			return err
		}
	}
	return nil
}

// RoomNames returns up to 100 names of open rooms that contain part, as people write them, for completion.
func (c *Client) RoomNames(ctx context.Context, part string) (names []string, err error) {
	p, err := c.page(ctx, url.Values{"q": {part}, "sort": {"participants"}, "limit": {"100"}})
	if err != nil {
		return nil, err
	}
	rooms, err := c.listed(p)
	for _, r := range rooms {
		names = append(names, shown(r.DisplayName))
	}
	return names, err
}
