package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// admins reports admins whose domain Prosody does not vouch for.
func (e *run) admins(seen facts) {
	if len(seen.Admins) == 0 {
		return
	}
	var ignored []string
	for _, a := range seen.Admins {
		if !a.Local && !slices.Contains(ignored, a.Domain) {
			ignored = append(ignored, a.Domain)
		}
	}
	if len(ignored) == 0 {
		e.report(Admins, OK, "Prosody verified the domains of PPCH_ADMIN_JIDS")
		return
	}
	e.report(Admins, Warning, "admins of "+strings.Join(ignored, ", ")+" are ignored: not a VirtualHost of this Prosody",
		"fix PPCH_ADMIN_JIDS: use accounts of a VirtualHost, such as boss@auth.meet.jitsi")
}

// notCounted reports the rules for occupants that don't count. One that hides no occupant may have a typing error, or its bot is away.
func (e *run) notCounted(seen facts) {
	if len(seen.NotCounted) == 0 {
		return
	}
	var all []string
	for _, r := range seen.NotCounted {
		all = append(all, fmt.Sprintf("%s hides %d", r.Rule, r.Occupants))
	}
	e.report(NotCounted, OK, strings.Join(all, ", ")+" of the present occupants")
}
