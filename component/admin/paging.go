package admin

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco/items"
	"mellium.im/xmpp/paging"
	"mellium.im/xmpp/stanza"
)

// Bounds of a page, in items and in bytes of their nodes and names.
// Escaping makes up to six bytes of one, a guest can choose room addresses of up to 2 KiB,
// and Prosody ends the stream of a component that sends more than 512 KiB in one stanza.
const (
	defaultPage  = 50
	maxPage      = 200
	maxPageBytes = 48 << 10
)

// set is a request for a page of a list (XEP-0059).
type set struct {
	asked  bool // whether there was one
	max    int
	after  *string
	before *string
	index  *int
}

var errBadSet = refuse(stanza.Modify, stanza.BadRequest, "invalid page request (XEP-0059)")

// readSet reads the page request from the rest of a disco#items query.
func readSet(t xml.TokenReader) (set, error) {
	s := set{max: defaultPage}
	children := xmlstream.NewIter(t)
	for children.Next() {
		start, inner := children.Current()
		if start == nil || start.Name != (xml.Name{Space: paging.NS, Local: "set"}) {
			continue
		}
		var in struct {
			Max    *string `xml:"max"`
			After  *string `xml:"after"`
			Before *string `xml:"before"`
			Index  *string `xml:"index"`
		}
		d := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(*start), inner))
		if err := d.Decode(&in); err != nil || s.asked {
			return s, errBadSet
		}
		s.asked, s.after, s.before = true, in.After, in.Before
		if in.Max != nil {
			n, err := number(*in.Max)
			if err != nil {
				return s, errBadSet
			}
			s.max = min(n, maxPage)
		}
		if in.Index != nil {
			n, err := number(*in.Index)
			if err != nil {
				return s, errBadSet
			}
			s.index = &n
		}
	}
	if err := children.Err(); err != nil && !errors.Is(err, io.EOF) {
		return s, errBadSet
	}
	return s, nil
}

func number(s string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	return int(n), err
}

// cut returns the requested page of a list, and its description.
// The description is nil for a whole list without a request for a page.
func (s set) cut(all []items.Item) (page []items.Item, description xml.TokenReader) {
	from, to := 0, s.max
	switch {
	case s.after != nil && *s.after != "":
		i, there := position(all, *s.after)
		if there {
			i++
		}
		from, to = i, i+s.max
	case s.before != nil && *s.before == "": // the last page, XEP-0059 §2.5
		from, to = len(all)-s.max, len(all)
	case s.before != nil:
		i, _ := position(all, *s.before)
		from, to = i-s.max, i
	case s.index != nil:
		from = min(*s.index, len(all))
		to = from + s.max
	}
	from, to = max(from, 0), min(to, len(all))
	for size(all[from:to]) > maxPageBytes {
		if s.before != nil {
			from++
		} else {
			to--
		}
	}
	page = all[from:to]
	if !s.asked && len(page) == len(all) {
		return page, nil
	}
	return page, describe(page, from, len(all))
}

// size returns how many bytes items take at least.
func size(page []items.Item) (n int) {
	for _, i := range page {
		n += len(i.Node) + len(i.Name)
	}
	return n
}

// describe returns the <set/> for a page of a list.
func describe(page []items.Item, from, total int) xml.TokenReader {
	if len(page) == 0 {
		// paging.Set would name a first and a last item, which must be absent here: XEP-0059 §2.7.
		count := xmlstream.Wrap(xmlstream.Token(xml.CharData(strconv.Itoa(total))), xml.StartElement{Name: xml.Name{Local: "count"}})
		return xmlstream.Wrap(count, xml.StartElement{Name: xml.Name{Space: paging.NS, Local: "set"}})
	}
	index, count := uint64(from), uint64(total) // #nosec G115 -- neither is negative
	set := paging.Set{Last: page[len(page)-1].Node, Count: &count}
	set.First.ID, set.First.Index = page[0].Node, &index
	return set.TokenReader()
}

// position returns the index of the item of a node, or where it would be: a room may have ended since the previous page.
func position(all []items.Item, node string) (i int, there bool) {
	return slices.BinarySearchFunc(all, node, func(item items.Item, node string) int { return compareNodes(item.Node, node) })
}

// compareNodes is the order of every list: tenants, which have no room in their node, before rooms.
func compareNodes(a, b string) int {
	return cmp.Or(strings.Count(a, "@")-strings.Count(b, "@"), strings.Compare(a, b))
}
