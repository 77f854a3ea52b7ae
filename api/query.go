package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// query is the parameters of a request. Its readers note the first mistake, which err returns.
type query struct {
	values url.Values
	wrong  *problem
}

// parseQuery returns the parameters of r, or an error if one of them is unknown.
func parseQuery(r *http.Request, known ...string) (*query, error) {
	q, err := readQuery(r)
	if err != nil {
		return nil, err
	}
	return q, q.only(known...)
}

// bare returns a handler of requests without parameters.
func bare(next handlerFunc) handlerFunc {
	return func(w *response, r *http.Request) error {
		if _, err := parseQuery(r); err != nil {
			return err
		}
		return next(w, r)
	}
}

// readQuery returns the parameters of r, including unknown ones.
func readQuery(r *http.Request) (*query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &problem{kind: kindBadParameter, detail: "The query has an invalid percent-escape or a semicolon.", cause: err}
	}
	return &query{values: values}, nil
}

// only returns an error if a parameter is unknown: a misspelt filter must not return an unfiltered list.
func (q *query) only(known ...string) error {
	for name := range q.values {
		if !slices.Contains(known, name) {
			return unknownParameter(name, known)
		}
	}
	return nil
}

func unknownParameter(name string, known []string) *problem {
	if len(known) == 0 {
		return badParameter("unknown parameter %q: this path has none", shorten(name))
	}
	return badParameter("unknown parameter %q: use %s", shorten(name), strings.Join(known, ", "))
}

func badParameter(format string, args ...any) *problem {
	return &problem{kind: kindBadParameter, detail: fmt.Sprintf(format, args...)}
}

// shorten cuts a client's text for quoting it in a response.
func shorten(s string) string {
	const limit = 40
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// fail notes the first mistake.
func (q *query) fail(format string, args ...any) {
	if q.wrong == nil {
		q.wrong = badParameter(format, args...)
	}
}

// err returns the first mistake in the parameters read so far.
func (q *query) err() error {
	if q.wrong == nil {
		return nil
	}
	return q.wrong
}

// text returns the value of a parameter, or "" if it is absent. More than one value is a mistake.
func (q *query) text(name string) string {
	values := q.values[name]
	if len(values) > 1 {
		q.fail("%s: given %d times, want one value", name, len(values))
	}
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// number returns a whole number from least to most, or def if the parameter is absent.
func (q *query) number(name string, def, least, most int) int {
	text := q.text(name)
	if !q.values.Has(name) {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		q.fail("%s: %q is not a whole number from %d to %d", name, shorten(text), least, most)
		return def
	}
	return n
}

// choice returns one of the words, or the first of them if the parameter is absent.
func (q *query) choice(name string, words ...string) string {
	text := q.text(name)
	if !q.values.Has(name) {
		return words[0]
	}
	if !slices.Contains(words, text) {
		q.fail("%s: %q is not %s", name, shorten(text), strings.TrimPrefix(strings.Join(words, " or "), " or "))
		return words[0]
	}
	return text
}

// cursor is the position in a list of the last room on a page.
// Clients get it sealed: they can neither read nor forge it, and every instance with the same secret can open it, also after a restart.
type cursor struct {
	Sort     sorting
	Position occupancy.Position
}

// sorting is the order of a list.
type sorting struct {
	By        occupancy.Order
	Backwards bool
}

// seal returns c for clients.
func (c cursor) seal(s *keys.Sealer) string { return s.Seal(view.Marshal(c)) }

// openCursor returns the cursor that seal sealed, for a list with the same sorting.
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
