package api

import (
	"encoding/base64"
	"encoding/json"

	"ppch/component/occupancy"
)

// cursor is where in a list a client has come to. Clients get it as text that means nothing to them, and may send anything.
type cursor struct {
	Sort     sorting
	Listing  uint64 `json:",omitempty"` // 0 where Position is enough
	Index    int    `json:",omitempty"` // of the last room, in Listing
	Position occupancy.Position
}

// sorting is how a list is sorted.
type sorting struct {
	By        occupancy.Order
	Backwards bool `json:",omitempty"`
}

func (c cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // there is nothing in it that could fail
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseCursor reads what String has written, for a list of that sorting.
func parseCursor(text string, s sorting) (cursor, error) {
	var c cursor
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(plain, &c)
	}
	if err != nil || c.Position.Address == "" || c.Index < 0 {
		return cursor{}, &problem{kind: kindBadParameter, cause: err, detail: "The cursor is none; send the next_cursor of the page before as it is."}
	}
	if c.Sort != s {
		return cursor{}, badParameter("The cursor belongs to a list that is sorted otherwise; send sort and order as for the first page.")
	}
	return c, nil
}
