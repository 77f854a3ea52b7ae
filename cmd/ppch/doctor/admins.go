package doctor

import (
	"slices"
	"strings"
)

// admins tells whose admins count for nobody.
func (e *examination) admins(seen facts) {
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
		e.is(Admins, OK, "Prosody vouches for those of PPCH_ADMIN_JIDS")
		return
	}
	e.is(Admins, Warning, "those of "+strings.Join(ignored, ", ")+" are ignored: that is no host of this Prosody where people log in",
		"mend PPCH_ADMIN_JIDS: accounts of a VirtualHost, such as boss@auth.meet.jitsi")
}
