package main

import (
	"net/url"
	"strings"
)

// origins returns what a browser sends as Origin for pages that may read our answers (RFC 6454 §6.1).
func (p *parser) origins(variable, value string) (origins []string) {
	for _, v := range list(value) {
		if strings.Contains(v, "@") {
			p.problem(variable, "holds a user name, and maybe a password that is not shown here: an origin is like https://dashboard.example.com")
			continue
		}
		o, fault := origin(v)
		if fault != "" {
			p.problem(variable, "%q %s", v, fault)
			continue
		}
		origins = append(origins, o)
	}
	return origins
}

// origin returns the origin that v is, or what is wrong with it.
func origin(v string) (o, fault string) {
	if strings.Contains(v, "*") {
		// A key in a page isn't all that protects what it reads: whoever visits some page would lend it the network they are in.
		return "", "would let pages of strangers in: name each origin, such as https://dashboard.example.com"
	}
	scheme, _, ok := strings.Cut(strings.ToLower(v), "://")
	if !ok {
		return "", "has no scheme: write https://" + v
	}
	if scheme != "http" && scheme != "https" {
		return "", "has a scheme that no page is served by: use https:// or http://"
	}
	u, err := url.Parse(strings.ToLower(v))
	if err != nil || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return "", "is not an origin: write one such as https://dashboard.example.com"
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r > '~' }) {
		return "", "has a host that browsers send in ASCII: write it as xn--…"
	}
	// Browsers leave the port of the scheme out.
	host := strings.TrimSuffix(u.Host, map[string]string{"http": ":80", "https": ":443"}[scheme])
	if whole := scheme + "://" + u.Host; whole != strings.ToLower(v) {
		return "", "is more than an origin, which has no path: write " + scheme + "://" + host
	}
	return scheme + "://" + host, ""
}
