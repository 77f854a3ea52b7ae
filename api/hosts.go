package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Hosts are the DNS names by which the service may be asked without a key. The zero Hosts have none.
//
// A web page may have its own name resolve to the address of a service that it can't reach itself (DNS rebinding).
// A visitor's browser then asks that service for the page, and lets the page read the answer, but it sends the page's name as Host.
type Hosts struct{ names map[string]bool }

// NewHosts returns Hosts with those names, which are lower case.
func NewHosts(names ...string) Hosts {
	h := Hosts{names: make(map[string]bool, len(names))}
	for _, name := range names {
		h.names[name] = true
	}
	return h
}

// Allow reports whether the Host of a request is one of the names, or one that no page can have resolve to an address of its choice:
// an IP address, localhost or another name of a single label, or none, which browsers always send.
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

// allowsHost reports whether r may be answered without a key, by its Host. Of our certificate's names a page has none either.
func (s *Server) allowsHost(r *http.Request) bool {
	return s.hosts.Allow(r.Host) || s.cert != nil && s.cert.current.Load().Leaf.VerifyHostname(hostName(r.Host)) == nil
}

// welcome returns nil if r may be answered where no key is needed: its Host is allowed, or it carries a key all the same.
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

// hostProblem is the problem of r, which has no key and a Host that isn't allowed.
func hostProblem(r *http.Request) *problem {
	return &problem{kind: kindHostNotAllowed, detail: fmt.Sprintf(
		"A request without an API key may not use the Host %q: add the name to PPCH_HOSTS, or send a key.", shorten(hostName(r.Host)))}
}
