package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Hosts are the DNS names that a request without a key may have as its Host. The zero Hosts have none.
//
// They protect against DNS rebinding: the owner of a web page lets the page's name resolve to the address of this service, in a network
// that only visitors of the page can reach. Their browsers then let the page read our answers, but send the page's name as Host.
type Hosts struct{ names map[string]bool }

// NewHosts returns Hosts with those names, in lower case.
func NewHosts(names ...string) Hosts {
	h := Hosts{names: make(map[string]bool, len(names))}
	for _, name := range names {
		h.names[name] = true
	}
	return h
}

// Allow reports whether the Host of a request is one of the names, or can't be the name of a web page on the internet:
// an IP address, localhost, or another name without a dot. Browsers always send a Host, so a request without one is allowed too.
func (h Hosts) Allow(host string) bool {
	name := hostName(host)
	if _, err := netip.ParseAddr(name); err == nil || !strings.Contains(name, ".") {
		return true
	}
	return h.names[name]
}

// hostName returns the name in the Host of a request, without port and in lower case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// allowsHost reports whether the Host of r is allowed without a key. The names of our certificate are allowed as well.
func (s *Server) allowsHost(r *http.Request) bool {
	return s.cfg.Hosts.Allow(r.Host) || s.cert != nil && s.cert.Matches(hostName(r.Host))
}

// welcome returns nil if a route that needs no key may answer r: its Host is allowed, or it has a valid key.
func (s *Server) welcome(r *http.Request) error {
	if s.allowsHost(r) {
		return nil
	}
	k, err := s.identify(r)
	if err != nil {
		return err
	}
	return k.Valid(time.Now())
}

// hostProblem returns the problem for r, which has no key and a Host that isn't allowed.
func hostProblem(r *http.Request) *problem {
	return &problem{kind: kindHostNotAllowed, detail: fmt.Sprintf(
		"A request without an API key may not use the Host %q: add the name to PPCH_HOSTS, or send a key.", shorten(hostName(r.Host)))}
}
