package doctor

import (
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
