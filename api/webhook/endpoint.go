package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"ppch/api/keys"
	"ppch/component/occupancy"
)

// Limits of an endpoint.
const (
	maxURL     = 2048
	maxHeaders = 20
	maxHeader  = 1024
	maxRooms   = 100
)

// endpointID is the form of ids. Callers may choose one; it stands in URLs, logs and metrics.
var endpointID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// CheckID returns an error that says how to fix id, if it can't be that of an endpoint.
func CheckID(id string) error {
	if !endpointID.MatchString(id) {
		return fmt.Errorf("id: %q is not 1 to 64 letters, digits, - and _", shorten(id))
	}
	return nil
}

// Settings are what a caller chooses for an endpoint.
type Settings struct {
	URL      string            // https:// or http://
	Events   []string          // types, or groups such as room.*; none selects all
	Rooms    []string          // room patterns as in a keys file; none selects all
	Names    bool              // whether bodies identify people
	Format   Format            // empty is FormatPPCH
	Template string            // for FormatText
	Headers  map[string]string // added to each request
	Enabled  bool
}

// reservedHeaders are set by this package, or change how HTTP works.
var reservedHeaders = []string{
	"Connection", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "Webhook-Id", "Webhook-Signature", "Webhook-Timestamp", "X-Jaas-Signature",
}

// parsed are valid settings, ready for use.
type parsed struct {
	url      *url.URL
	filter   Filter
	rooms    keys.RoomFilter
	template *Template
	header   http.Header
}

// parse validates s. Its error joins all mistakes, each with the field first.
func (s *Settings) parse(names *occupancy.NameResolver) (parsed, error) {
	var p parsed
	var problems []error
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	var err error
	p.url, err = ParseURL(s.URL)
	note(err)
	p.filter, err = ParseFilter(s.Events)
	note(err)
	if len(s.Rooms) > maxRooms {
		note(fmt.Errorf("rooms: has %d patterns, %d are allowed", len(s.Rooms), maxRooms))
	} else {
		p.rooms, err = keys.ParseRooms(s.Rooms, names)
		note(err)
	}
	s.Format = cmp.Or(s.Format, FormatPPCH)
	switch {
	case !slices.Contains(Formats(), s.Format):
		note(fmt.Errorf("format: %q is unknown: use ppch, cloudevents, event_sync, jaas or text", shorten(string(s.Format))))
	case s.Format.needsNames() && !s.Names:
		note(fmt.Errorf("format: %s is about single people: set names to true", s.Format))
	case s.Format == FormatText:
		p.template, err = ParseTemplate(s.Template)
		note(err)
	case s.Template != "":
		note(fmt.Errorf("template: allowed only with the format text, not %s", s.Format))
	}
	p.header, err = parseHeaders(s.Headers)
	note(err)
	return p, errors.Join(problems...)
}

// ParseURL returns the URL of a receiver, or an error that says what is wrong with it.
// Whether its address may be reached is decided at each connection, since DNS may answer differently then.
func ParseURL(text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, fmt.Errorf("url: has %d bytes, %d are allowed", len(text), maxURL)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("url: %q is not http:// or https:// with a host", shorten(withoutPassword(text)))
	case u.User != nil:
		return nil, errors.New("url: contains a user or password: send them in headers, as Authorization")
	case u.Fragment != "":
		return nil, errors.New("url: contains a #: a server never receives what follows it")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, errors.New("url: contains white space or a character that is not ASCII: percent-encode it")
	}
	return u, nil
}

// withoutPassword cuts credentials out of a URL for an error.
func withoutPassword(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if at := strings.LastIndexByte(rest, '@'); ok && at >= 0 {
		return scheme + "://…" + rest[at:]
	}
	return text
}

func parseHeaders(headers map[string]string) (http.Header, error) {
	if len(headers) > maxHeaders {
		return nil, fmt.Errorf("headers: has %d, %d are allowed", len(headers), maxHeaders)
	}
	h := make(http.Header, len(headers))
	for name, value := range headers {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return nil, fmt.Errorf("headers: %q is not the name of a header", shorten(name))
		case slices.Contains(reservedHeaders, canonical):
			return nil, fmt.Errorf("headers: %s is set by PPCH: remove it", canonical)
		case !httpguts.ValidHeaderFieldValue(value) || len(value) > maxHeader:
			return nil, fmt.Errorf("headers: the value of %s contains a line break or control character, or more than %d bytes", canonical, maxHeader)
		case h[canonical] != nil:
			return nil, fmt.Errorf("headers: %s: duplicate header", canonical)
		}
		h[canonical] = []string{value}
	}
	return h, nil
}

// Endpoint is a receiver with its state.
type Endpoint struct {
	ID    string
	Owner keys.Sum // the key that made it
	Settings

	// Secret signs deliveries. Until PreviousUntil, Previous signs them too.
	Secret, Previous string
	PreviousUntil    time.Time

	CreatedAt time.Time

	// Generation is that in the [Registry], 0 for an endpoint that isn't registered.
	Generation uint64

	// FailingSince is when deliveries began to fail without a success since; zero if the last one succeeded.
	FailingSince time.Time

	// DisabledAt and DisabledReason are set if the service disabled the endpoint.
	DisabledAt     time.Time
	DisabledReason string
}
