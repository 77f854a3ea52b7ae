package doctor

import (
	"fmt"
	"slices"
	"time"

	"ppch/api/view"
)

// maxAhead is the largest difference of two synchronized clocks.
const maxAhead = time.Second

// clock compares Prosody's clock with that of the service.
func (e *run) clock(seen facts) {
	for _, d := range seen.Domains {
		if d.Module == nil || d.Module.ClockAhead == nil {
			continue
		}
		ahead := time.Duration(*d.Module.ClockAhead * float64(time.Second))
		if ahead.Abs() <= maxAhead {
			e.report(Clock, OK, fmt.Sprintf("Prosody's clock and the service's differ by less than %s", maxAhead))
			return
		}
		word := "ahead of"
		if ahead < 0 {
			word = "behind"
		}
		e.report(Clock, Warning, fmt.Sprintf("Prosody's clock is %s %s the service's; joined_at and created_at are corrected for it", ahead.Abs().Round(time.Second), word),
			"synchronize both machines by NTP; a wrong clock may also invalidate certificates and JWTs")
		return
	}
	if slices.ContainsFunc(seen.Domains, func(d view.DomainDiagnostics) bool { return d.Module != nil }) {
		e.report(Clock, Unchecked, "skipped: the Lua module is too old to send its time")
		return
	}
	e.report(Clock, Unchecked, skippedFor(Module))
}
