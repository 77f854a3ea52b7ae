package webhook

import (
	"math/rand/v2"
	"time"
)

// schedule are the waits before the attempts of a delivery, by Standard Webhooks 1.0: 75.6 hours in all.
var schedule = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// backoff returns how long to wait by a schedule after a number of failed attempts, and false if there are no more.
// The wait is up to a fifth longer, so that receivers that come back don't receive everything at once.
func backoff(schedule []time.Duration, attempts int) (wait time.Duration, more bool) {
	if attempts >= len(schedule) {
		return 0, false
	}
	wait = schedule[attempts]
	if wait > 0 {
		wait += rand.N(wait / 5) // #nosec G404 -- predicting it is useless
	}
	return wait, true
}
