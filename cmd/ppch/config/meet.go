package config

import (
	"net/url"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"
)

// meetURLs returns the URL of the meetings on each MUC domain, without a trailing slash.
// The value is the URL for the main domain, and "domain=url" for others.
func (p *parser) meetURLs(variable, value string, domains []jid.JID) map[string]string {
	const fix = "write the URL at which people open Jitsi Meet, such as https://meet.example.com, and domain=url for another MUC domain"
	urls := make(map[string]string)
	for _, v := range list(value) {
		domain, address, named := strings.Cut(v, "=")
		if !named {
			domain, address = "", v
		}
		u, err := url.Parse(address)
		switch {
		case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
			p.problem(variable, "%q is not an http:// or https:// URL: %s", v, fix)
			continue
		case u.User != nil:
			p.problem(variable, "contains a user name, and perhaps a password, hidden here: %s", fix)
			continue
		case named && !slices.ContainsFunc(domains, func(d jid.JID) bool { return d.Domainpart() == domain }):
			p.problem(variable, "%s is not in MUC_DOMAIN: %s", domain, fix)
			continue
		case !named && len(domains) > 0:
			domain = domains[0].Domainpart()
		}
		if _, twice := urls[domain]; twice {
			p.problem(variable, "has two URLs for %s: %s", domain, fix)
		}
		u.Host, u.Path = strings.ToLower(u.Host), strings.TrimRight(u.Path, "/")
		urls[domain] = u.String()
	}
	return urls
}
