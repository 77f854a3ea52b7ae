package webhook_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"ppch/api/webhook"
)

// What waits is measured; what waits for a webhook that its owner has switched off isn't late.
func TestMetrics_Waiting(t *testing.T) {
	t.Parallel()
	s := newStation(t, func(c webhook.Config) webhook.Config { return c.Hasten(0, 0, 0, time.Hour) })
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusInternalServerError })
	s.add("in", in.URL, nil)
	s.record(s.joins("a", 0, 3)...)
	s.alter(`UPDATE messages SET created = created - ?`, time.Hour.Milliseconds())
	value := func(name string) float64 { return metric(t, s.outbox, name, "") }
	eventually(t, func() string {
		check(t, s.outbox.Sweep(t.Context()))
		if late := value("webhook_oldest_undelivered_seconds"); late < 3600 || late > 7200 || value("webhooks_failing") != 1 {
			return fmt.Sprintf("the oldest delivery is %g s old, %g webhooks fail", late, value("webhooks_failing"))
		}
		return ""
	})
	size := s.count(`SELECT SUM(size) FROM deliveries`)
	if value("webhook_waiting_deliveries") != 3 || value("webhook_waiting_bytes") != float64(size) || value("webhooks") != 1 {
		t.Errorf("got %g deliveries, %g of %d bytes", value("webhook_waiting_deliveries"), value("webhook_waiting_bytes"), size)
	}
	s.add("in", in.URL, func(w *webhook.Settings) { w.Enabled = false })
	check(t, s.outbox.Sweep(t.Context()))
	if late := value("webhook_oldest_undelivered_seconds"); late != 0 || value("webhooks") != 0 || value("webhooks_failing") != 0 || value("webhook_waiting_deliveries") != 3 {
		t.Errorf("the oldest delivery of a webhook that is switched off is %g s late", late)
	}
}
