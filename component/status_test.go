package component_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

// reported returns the statuses that s received, each as the problem of reads and that of events.
func reported(s *occupancy.Subscription) (all []string) {
	reason := func(p *occupancy.UnavailableError) string {
		if p == nil {
			return "ok"
		}
		return string(p.Reason)
	}
	for {
		select {
		case e := <-s.Events():
			if e.Kind == occupancy.EventStatus {
				all = append(all, reason(e.Domain.Problem)+" "+reason(e.Domain.EventProblem))
			}
		default:
			return all
		}
	}
}

func TestComponent_ReportsEveryStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &module{acks: map[string]string{}, batches: func(m *module, epoch string) {
			if epoch == "e1" {
				m.send(epoch, 1, 100, synced, oneRoom)
			}
		}}
		cut := func(c *componenttest.Conn) error {
			go func() { _ = m.script(c) }()
			time.Sleep(5 * time.Second)
			return nil // which closes the connection
		}
		cfg := config(componenttest.New("secret", cut, m.script).Dial)
		events := cfg.Directory.Subscribe(100)
		c, stop := start(t, cfg)
		defer stop()
		time.Sleep(time.Second)
		synctest.Wait()
		want := []string{
			"connecting connecting", // the stream is up
			"syncing syncing",       // the module was found
			"ok ok",                 // its rooms are loaded
		}
		same(t, "until it is ok", want, reported(events))
		time.Sleep(4100 * time.Millisecond)
		synctest.Wait()
		same(t, "when the stream ends", []string{"lost lost"}, reported(events))
		if main := c.Main(); main.Connected || main.ReadProblem != nil || main.Problem.RetryAfter < time.Second {
			t.Errorf("got %+v, want available rooms, and when to retry", main)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		got := reported(events)
		if !slices.Equal(got, []string{"connecting connecting", "ok syncing"}) {
			t.Errorf("on the next stream got %q, want available rooms without events", got)
		}
		if main := c.Main(); main.ReadProblem != nil || main.EventProblem == nil {
			t.Errorf("got %+v, want available rooms without events", main)
		}
	})
}

// A read that needs a connection causes an early attempt; a look at the status does not.
func TestReconnect_ReadsCutTheWait(t *testing.T) {
	for name, c := range map[string]struct {
		read  func(d *occupancy.Directory)
		hurry bool
	}{
		"a room":     {func(d *occupancy.Directory) { _, _ = d.Room(room("planning")) }, true},
		"a list":     {func(d *occupancy.Directory) { _, _ = d.Rooms(occupancy.Query{}) }, true},
		"the status": {func(d *occupancy.Directory) { _ = d.Domains() }, false},
		"metrics":    {func(d *occupancy.Directory) { _, _ = d.Totals(room("planning").Domain()) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := componenttest.New("secret", func(*componenttest.Conn) error { return nil })
				cfg := config(srv.Dial)
				_, stop := start(t, cfg)
				defer stop()
				time.Sleep(5 * time.Minute) // the waits are long now
				synctest.Wait()
				before := srv.Dials()
				for range 8 {
					c.read(cfg.Directory)
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if n := srv.Dials() - before; (n > 4) != c.hurry {
					t.Errorf("got %d attempts within 8 s", n)
				}
			})
		})
	}
}
