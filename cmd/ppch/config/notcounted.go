package config

import (
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// notCounted parses the operator's rules for occupants that don't count. Jitsi's people log in at the parent of a MUC domain, and
// guests at its guest domain: a rule that hides all of them is a mistake, and one with a wildcard may hide guests, whose names are random.
func (p *parser) notCounted(variable, value string, mucs []jid.JID) (rules []occupancy.Rule) {
	for v := range strings.SplitSeq(value, ",") {
		if v = strings.TrimSpace(v); v == "" {
			continue
		}
		rule, err := occupancy.ParseRule(v)
		if err != nil {
			p.problem(variable, "%q: %v", v, err)
			continue
		}
		if slices.ContainsFunc(rules, func(r occupancy.Rule) bool { return r.Name == rule.Name }) {
			p.problem(variable, "names %s twice", rule.Name)
			continue
		}
		local, domain, _ := strings.Cut(rule.Pattern, "@")
		for _, muc := range mucs {
			_, parent, _ := strings.Cut(muc.Domainpart(), ".")
			if domain != parent && domain != "guest."+parent {
				continue
			}
			if rule.HidesEveryone(domain) {
				p.problem(variable, "%q would hide everyone at %s: name accounts, such as recording-bot@%s", v, domain, domain)
			} else if strings.ContainsAny(local, "*?") {
				p.warnings = append(p.warnings, fmt.Sprintf("%s: %q may hide guests, whose accounts at %s have random names; name accounts instead", variable, v, domain))
			}
			break
		}
		rules = append(rules, rule)
	}
	return rules
}
