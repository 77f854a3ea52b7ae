package main

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"ppch/api"
)

// dnsName is a DNS name in lower case.
var dnsName = regexp.MustCompile(`^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$`)

// hosts returns the names by which the service may be asked without a key: that of PPCH_PUBLIC_URL, those of PPCH_HOSTS,
// and the one that it listens on, by which healthcheck and doctor ask it.
func (p *parser) hosts(s settings) api.Hosts {
	names := []string{strings.ToLower(s.Host), p.publicURL("PPCH_PUBLIC_URL", s.PublicURL)}
	for _, v := range list(s.Hosts) {
		name := strings.TrimSuffix(strings.ToLower(v), ".")
		if _, err := netip.ParseAddr(name); err != nil && !dnsName.MatchString(name) {
			p.problem("PPCH_HOSTS", "%q is not a DNS name: write it without scheme, port and *, in ASCII, such as ppch.example.com", v)
		}
		names = append(names, name)
	}
	return api.NewHosts(names...)
}

// publicURL returns the host in the URL by which clients reach the service, or "" for none.
func (p *parser) publicURL(variable, value string) (host string) {
	const mend = "write one such as https://ppch.example.com"
	if value == "" {
		return ""
	}
	if strings.Contains(value, "@") {
		p.problem(variable, "holds a user name, and maybe a password that is not shown here: %s", mend)
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		p.problem(variable, "%q is not an address of a web site: %s", value, mend)
		return ""
	}
	host = strings.ToLower(u.Hostname())
	if _, err := netip.ParseAddr(host); err != nil && !dnsName.MatchString(host) {
		p.problem(variable, "%q has no host, or one that is not a DNS name in ASCII: %s", value, mend)
	}
	return host
}
