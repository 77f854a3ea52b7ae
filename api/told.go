package api

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
)

// maxTold is how many bytes of whole lists are kept. One of 100 rooms has about 60 kB.
const maxTold = 8 << 20

// asking is all that a list depends on besides the directory: who asks, and for what.
type asking struct {
	grant grant
	query string // as it was sent
}

// toldList is a list as it was told.
type toldList struct {
	validators

	link string // to the next page, as a header has it, or ""
	body []byte
}

// write answers with t, or that the client has it already.
func (t *toldList) write(w http.ResponseWriter, r *http.Request) error {
	if !t.hold(r) {
		return t.writeAll(w)
	}
	t.setLink(w)
	return t.writeUnchanged(w)
}

func (t *toldList) writeAll(w http.ResponseWriter) error {
	t.setLink(w)
	t.set(w)
	return writeBytes(w, http.StatusOK, mediaJSON, t.body)
}

func (t *toldList) setLink(w http.ResponseWriter) {
	if t.link != "" {
		exchangeOf(w).setHeader("Link", t.link)
	}
}

// toldLists keeps whole lists until anything changes, since many look at the same ones at once.
// It is safe for concurrent use.
//
// Each belongs to an age of the directory that was read before the list was, so that one which is given away at the same age
// is what would be told now. All of another age are forgotten together.
type toldLists struct {
	mu    sync.Mutex
	age   uint64
	kept  map[asking]*toldList // nil for what was asked once: a copy of what nobody asks again would be for nothing
	bytes int
}

// get returns what was told of that age, or nil.
func (l *toldLists) get(age uint64, a asking) *toldList {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.age != age {
		return nil
	}
	return l.kept[a]
}

// keep notes what was told at that age, or keeps a copy if it was asked for before. There is a bound to both.
func (l *toldLists) keep(age uint64, a asking, t toldList) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age < l.age {
		return
	}
	if age > l.age || l.kept == nil {
		l.age, l.kept, l.bytes = age, make(map[asking]*toldList), 0
	}
	again, noted := l.kept[a]
	size := len(a.query) + 512 // about what an entry takes
	if noted {
		size = len(t.body) + len(t.link)
	}
	if again != nil || size > maxTold {
		return
	}
	if l.bytes+size > maxTold {
		// All begin anew: else whoever asks for much would keep others out.
		l.kept, l.bytes = make(map[asking]*toldList), 0
	}
	l.bytes += size
	if noted {
		t.body = bytes.Clone(t.body)
		l.kept[a] = &t
		return
	}
	a.query = strings.Clone(a.query) // not the whole request line
	l.kept[a] = nil
}

// age returns that of the directory, and whether all lists are of it alone: each domain's rooms are known now.
func (s *Server) age() (age uint64, known bool) {
	age = s.directory.Age()
	domains := s.directory.Domains()
	for _, d := range domains {
		if _, err := s.rooms.Listed(d.JID); err != nil {
			return 0, false
		}
	}
	return age, len(domains) > 0
}
