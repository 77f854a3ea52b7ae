package api

import (
	"encoding/json"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// cursor is the last room that a page of a list has shown, by its place in the order of that list.
// Clients get it sealed: they can neither read nor forge one, and every node with the same secret opens it, also after a restart.
type cursor struct {
	Sort     sorting
	Position occupancy.Position
}

// sorting is how a list is sorted.
type sorting struct {
	By        occupancy.Order
	Backwards bool
}

// seal returns c as clients get it.
func (c cursor) seal(s *keys.Sealer) string { return s.Seal(view.Marshal(c)) }

// openCursor returns the cursor that seal has sealed, for a list of that sorting.
func openCursor(text string, by sorting, s *keys.Sealer) (cursor, error) {
	var c cursor
	plain, err := s.Open(text)
	if err == nil {
		err = json.Unmarshal(plain, &c)
	}
	if err != nil {
		return cursor{}, &problem{kind: kindBadParameter, cause: err, detail: "The cursor was not issued by this service: send next_cursor of the previous page unchanged, or start with the first page."}
	}
	if c.Sort != by {
		return cursor{}, badParameter("The cursor belongs to a list with another order: send sort and order as for the first page.")
	}
	return c, nil
}
