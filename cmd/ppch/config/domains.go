package config

import (
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"
)

// domain returns the zero JID for an invalid one.
func (p *parser) domain(variable, value string) jid.JID {
	j, err := jid.Parse(value)
	if err != nil || !j.Equal(j.Domain()) {
		p.problem(variable, "%q is not a domain: use letters, digits, hyphens and dots, such as muc.meet.jitsi", value)
		return jid.JID{}
	}
	return j
}

func (p *parser) mucDomains(variable, value string, component jid.JID) (domains []jid.JID) {
	const fix = "name the MUC domain of your Jitsi, such as muc.meet.jitsi"
	var names []string
	for v := range strings.SplitSeq(value, ",") {
		if v = strings.TrimSpace(v); v != "" {
			names = append(names, v)
		}
	}
	if len(names) == 0 {
		p.problem(variable, "is empty: %s", fix)
	}
	for _, v := range names {
		if fields := strings.Fields(v); len(fields) > 1 {
			fix := "separate domains with commas, as in " + strings.Join(fields, ",")
			if slices.ContainsFunc(fields, func(f string) bool { return strings.Trim(f, ".") != f || !strings.Contains(f, ".") }) {
				fix = "remove it, as in " + strings.Join(fields, "")
			}
			p.problem(variable, "%q has a blank in it: %s", v, fix)
			continue
		}
		switch j := p.domain(variable, v); {
		case j.Equal(jid.JID{}):
		case j.Equal(component):
			p.problem(variable, "%s is PPCH_COMPONENT_DOMAIN: %s", v, fix)
		case slices.ContainsFunc(domains, j.Equal):
			p.problem(variable, "names %s twice", v)
		default:
			domains = append(domains, j)
		}
	}
	return domains
}

// admins parses the accounts that may inspect rooms by XMPP. Users don't log in at components, so an admin's domain can't be one.
func (p *parser) admins(variable, value string, components []jid.JID) (admins []jid.JID) {
	for _, v := range list(value) {
		j, err := jid.Parse(v)
		switch {
		case err != nil || !j.Equal(j.Bare()):
			p.problem(variable, "%q is neither a bare JID nor a domain: write admin@example.com or example.com", v)
			continue
		case slices.ContainsFunc(components, j.Domain().Equal):
			p.problem(variable, "%s is on a component, where users can't log in: name an account of a VirtualHost, such as admin@auth.meet.jitsi", v)
			continue
		case j.Localpart() == "":
			p.warnings = append(p.warnings, fmt.Sprintf("%s allows every account of %s, guests without a password included, "+
				"to see who is in every room; name bare JIDs instead, unless only admins can log in there", variable, j))
		}
		admins = append(admins, j)
	}
	return admins
}
