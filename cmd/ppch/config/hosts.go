package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// dnsName is a DNS name in lower case.
var dnsName = regexp.MustCompile(`^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$`)

// hosts returns the names that requests without a key may use: those of PPCH_PUBLIC_URL and PPCH_HOSTS,
// and that of PPCH_HOST, which healthcheck and doctor use.
func (p *parser) hosts(s Settings) []string {
	names := []string{strings.ToLower(s.Host), p.publicURL("PPCH_PUBLIC_URL", s.PublicURL)}
	for _, v := range list(s.Hosts) {
		name := strings.TrimSuffix(strings.ToLower(v), ".")
		if _, err := netip.ParseAddr(name); err != nil && !dnsName.MatchString(name) {
			p.problem("PPCH_HOSTS", "%q is not a DNS name in ASCII: write it without scheme, port and *, such as ppch.example.com", v)
		}
		names = append(names, name)
	}
	return names
}

// publicURL returns the host in the URL by which clients reach the service, or "" for none.
func (p *parser) publicURL(variable, value string) (host string) {
	const fix = "write one such as https://ppch.example.com"
	if value == "" {
		return ""
	}
	if strings.Contains(value, "@") {
		p.problem(variable, "contains a user name, and perhaps a password, hidden here: %s", fix)
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		p.problem(variable, "%q is not an http:// or https:// URL: %s", value, fix)
		return ""
	}
	host = strings.ToLower(u.Hostname())
	if _, err := netip.ParseAddr(host); err != nil && !dnsName.MatchString(host) {
		p.problem(variable, "%q has no host, or one that is not a DNS name in ASCII: %s", value, fix)
	}
	return host
}
