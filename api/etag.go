package api

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ppch/api/view"
	"ppch/api/web"
	"ppch/component/occupancy"
)

// etag is the value of an entity tag.
//
// It is a hash of what the response says, so all nodes with the same secret have it, also after a restart.
// Tags are weak, because as_of changes while a room stays the same, and RFC 9110 §8.8.1
// reserves strong tags for responses that are equal byte by byte. If-None-Match compares weakly anyway (§13.1.2).
type etag uint64

// etagSeed makes the tags of other programs different: those with another secret, version, or way to show rooms.
type etagSeed [sha256.Size]byte

func newEtagSeed(cfg Config) etagSeed {
	return sha256.Sum256(fmt.Appendf(nil, "ppch etags\x00%q", []string{cmp.Or(cfg.Secret, rand.Text()), cfg.Version, cfg.Commit, cfg.Names.Settings()}))
}

// of returns the tag of a response with this text.
func (s *etagSeed) of(text []byte) etag {
	h := sha256.New()
	_, _ = h.Write(s[:])
	_, _ = h.Write(text)
	return etag(binary.LittleEndian.Uint64(h.Sum(nil)))
}

// room returns the tag of a room in one variant.
// A fingerprint is already a hash, so multiplying it is enough to distinguish variants.
func (s *etagSeed) room(g occupancy.RoomSummary, as variant) etag {
	e := etag(binary.LittleEndian.Uint64(s[:])).and(etag(as.fingerprint(g.Fingerprint, g.AnonymousFingerprint))).and(etag(as.detail))
	if as.names {
		e++
	}
	return e
}

// and returns the tag of a response that contains both what e and what other stands for.
func (e etag) and(other etag) etag { return 0x9e3779b97f4a7c15*e + 2*other }

// String returns the tag for a header.
func (e etag) String() string {
	b := make([]byte, 0, 20)
	b = append(b, `W/"`...)
	b = strconv.AppendUint(b, uint64(e), 36)
	return string(append(b, '"'))
}

// validators are the headers with which a client can revalidate a response.
type validators struct {
	tag  string
	asOf string // when Prosody last confirmed the data, as a timestamp
}

func newValidators(e etag, asOf time.Time) validators {
	return validators{e.String(), view.FormatTime(asOf)}
}

// matches reports whether the client already has this response.
func (v validators) matches(r *http.Request) bool {
	header := r.Header.Get("If-None-Match")
	return header != "" && web.MatchesETag(header, v.tag)
}

// writeNotModified answers with a 304.
func (v validators) writeNotModified(w *response) error {
	v.set(w)
	w.WriteHeader(http.StatusNotModified)
	return nil
}

// set sets the headers of a response that the client may cache if it revalidates each time. It depends on the key.
// With a 304, PPCH-As-Of is when Prosody last confirmed the response that the client has.
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

// All responses share these values, so a handler may replace them but never change them.
var (
	// varies says that the response depends on the key.
	varies = []string{"Authorization, X-API-Key"}

	revalidate = []string{"private, no-cache"}
)
