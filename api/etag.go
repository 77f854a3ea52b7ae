package api

import (
	"hash/maphash"
	"net/http"
	"strconv"
	"time"

	"ppch/api/view"
	"ppch/api/web"
	"ppch/component/occupancy"
)

// etag is what an entity tag is made of.
//
// Tags are weak, and can't be anything else: as_of moves on while a room stays the same, and RFC 9110 §8.8.1
// keeps strong tags for answers that are equal byte by byte. If-None-Match compares weakly anyhow (§13.1.2).
type etag uint64

// etagSeed makes tags of one process differ from those of every other.
var etagSeed = maphash.MakeSeed()

// etagOf returns the tag of a room's answer.
// A state is a hash already, and another one in each process, so that to multiply it is enough to tell answers apart.
func etagOf(g occupancy.RoomSummary, s variant) etag {
	e := etag(s.fingerprint(g.Fingerprint, g.AnonymousFingerprint)).and(etag(s.detail))
	if s.names {
		e++
	}
	return e
}

// and returns the tag of an answer that holds what e stands for and also other.
func (e etag) and(other etag) etag { return 0x9e3779b97f4a7c15*e + 2*other }

// String returns the tag as a header has it.
func (e etag) String() string {
	b := make([]byte, 0, 20)
	b = append(b, `W/"`...)
	b = strconv.AppendUint(b, uint64(e), 36)
	return string(append(b, '"'))
}

// validators are what a client can ask by whether what it has still holds.
type validators struct {
	tag  string
	asOf string // when this was last known to be true, as a timestamp
}

func newValidators(e etag, asOf time.Time) validators {
	return validators{e.String(), view.FormatTime(asOf)}
}

// matches reports whether the client has what these are of.
func (v validators) matches(r *http.Request) bool {
	header := r.Header.Get("If-None-Match")
	return header != "" && web.MatchesETag(header, v.tag)
}

// writeNotModified answers that what the client has still holds.
func (v validators) writeNotModified(w *response) error {
	v.set(w)
	w.WriteHeader(http.StatusNotModified)
	return nil
}

// set sets the headers of an answer that the client may keep if it asks each time. Another key may see less of it.
// Ppch-As-Of tells whoever gets a 304 for when what it has is now known to be true.
func (v validators) set(w *response) {
	h := w.Header()
	h["Cache-Control"] = revalidate
	h.Set("Etag", v.tag)
	h.Set("Ppch-As-Of", v.asOf)
	if others := h["Vary"]; others == nil {
		h["Vary"] = varies
	} else {
		h["Vary"] = append(others, varies...)
	}
}

// These are shared by all answers; who wants another value replaces it.
var (
	// varies says that keys may differ in what they see.
	varies = []string{"Authorization, X-API-Key"}

	revalidate = []string{"private, no-cache"}
)
