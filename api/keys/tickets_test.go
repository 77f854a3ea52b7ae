package keys_test

import (
	"testing"
	"time"

	"ppch/api/keys"
)

func TestTickets_Expire(t *testing.T) {
	now := time.Now()
	tickets := must(keys.NewTickets("a secret that all nodes share"))(t)
	first, expires := tickets.Issue(keys.SumOf(testKey), now)
	if ticket, ok := tickets.Open(first, expires.Add(-time.Nanosecond)); !ok || ticket.Key != keys.SumOf(testKey) || !ticket.Expires.Equal(expires) {
		t.Errorf("got %v, %t before it expires", ticket, ok)
	}
	if _, ok := tickets.Open(first, expires); ok {
		t.Errorf("the ticket still opens at %s", expires)
	}
}
