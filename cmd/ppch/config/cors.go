package config

import (
	"net/url"
	"strings"
)

// origins parses the Origins (RFC 6454 §6.1) of pages that may read responses.
func (p *parser) origins(variable, value string) (origins []string) {
	for _, v := range list(value) {
		if strings.Contains(v, "@") {
			p.problem(variable, "contains a user name, and perhaps a password, hidden here: write an origin such as https://dashboard.example.com")
			continue
		}
		o, problem := origin(v)
		if problem != "" {
			p.problem(variable, "%q %s", v, problem)
			continue
		}
		origins = append(origins, o)
	}
	return origins
}

// origin returns v as browsers send it, or what is wrong with it.
func origin(v string) (o, problem string) {
	if strings.Contains(v, "*") {
		// The key isn't the only protection: a visitor's browser would reach a service that only its network can.
		return "", "would allow pages of strangers: name each origin, such as https://dashboard.example.com"
	}
	scheme, _, ok := strings.Cut(strings.ToLower(v), "://")
	if !ok {
		return "", "has no scheme: write https://" + v
	}
	if scheme != "http" && scheme != "https" {
		return "", "has a scheme that browsers don't load pages from: use https:// or http://"
	}
	u, err := url.Parse(strings.ToLower(v))
	if err != nil || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") || strings.ContainsAny(u.Host, ";'\"<>()") { // ; would begin another directive of a policy
		return "", "is not an origin: write one such as https://dashboard.example.com, and separate origins with commas"
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r > '~' }) {
		return "", "has a host outside ASCII: write it as browsers send it, xn--…"
	}
	// Browsers omit the default port of the scheme.
	host := strings.TrimSuffix(u.Host, map[string]string{"http": ":80", "https": ":443"}[scheme])
	if whole := scheme + "://" + u.Host; whole != strings.ToLower(v) {
		return "", "has more than scheme, host and port: write " + scheme + "://" + host
	}
	return scheme + "://" + host, ""
}
