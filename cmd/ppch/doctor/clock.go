package doctor

import (
	"fmt"
	"slices"
	"time"
)

// maxAhead is how much two clocks that are kept right may differ.
const maxAhead = time.Second

// clock tells whether Prosody's clock goes as that of the service.
func (e *examination) clock(seen facts) {
	for _, d := range seen.Domains {
		if d.Module == nil || d.Module.ClockAhead == nil {
			continue
		}
		ahead := time.Duration(*d.Module.ClockAhead * float64(time.Second))
		if ahead.Abs() <= maxAhead {
			e.is(Clock, OK, fmt.Sprintf("Prosody's and the service's differ by less than %s", maxAhead))
			return
		}
		word := "ahead of"
		if ahead < 0 {
			word = "behind"
		}
		e.is(Clock, Warning, fmt.Sprintf("Prosody's is %s %s the service's, which joined_at and created_at allow for", ahead.Abs().Round(time.Second), word),
			"set the clocks of both machines by NTP; by which of them is wrong certificates and JWTs may be refused as well")
		return
	}
	if slices.ContainsFunc(seen.Domains, func(d domainFacts) bool { return d.Module != nil }) {
		e.is(Clock, Unchecked, "not checked: the Lua module is too old to tell")
		return
	}
	e.is(Clock, Unchecked, waitsFor(Module))
}
