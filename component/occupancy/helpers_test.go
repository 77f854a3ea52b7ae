package occupancy_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// newDirectory returns a Directory whose replicas never get too old to be read: most tests are of days long past.
func newDirectory(domains ...jid.JID) *occupancy.Directory {
	d := occupancy.NewDirectory(domains...)
	d.MaxStaleness = 100 * 365 * 24 * time.Hour
	return d
}

// confirmed returns when the replica of a domain was last confirmed, and false if there is none.
func confirmed(d *occupancy.Directory, domain jid.JID) (time.Time, bool) {
	w, err := d.Domain(domain)
	return w.AsOf, err == nil && !w.AsOf.IsZero()
}

// listed returns all rooms in an order, none if they can't be read.
func listed(d *occupancy.Directory, by occupancy.Order) []occupancy.Glance {
	page, _ := d.Rooms(occupancy.Query{By: by, Domain: muc.String()})
	return page.Rooms
}

// reasonOf returns the reason of an UnknownError, nothing for any other.
func reasonOf(err error) occupancy.Reason {
	var unknown *occupancy.UnknownError
	if errors.As(err, &unknown) {
		return unknown.Reason
	}
	return ""
}

// problems returns the reasons why Prosody can't be asked about a domain, its rooms can't be read, and its events don't come as they happen.
func problems(d occupancy.Domain) string {
	return fmt.Sprintf("%q %q %q", reason(d.Problem), reason(d.ReadProblem), reason(d.EventProblem))
}

func reason(p *occupancy.UnknownError) occupancy.Reason {
	if p == nil {
		return ""
	}
	return p.Reason
}

// sameProblem compares problems by their reasons.
var sameProblem = cmp.Comparer(func(a, b *occupancy.UnknownError) bool { return reason(a) == reason(b) })
