package cluster_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"ppch/component/cluster"
	"ppch/component/occupancy"
)

// newExchange runs an exchange of a service, which answers that it is itself.
func newExchange(t *testing.T, cfg cluster.Config, deliverer string) (x *cluster.Exchange, asked *atomic.Int64) {
	t.Helper()
	m := newMember(t, cfg)
	asked = &atomic.Int64{}
	x = cluster.NewExchange(cluster.ExchangeConfig{
		Conn: m.conn, Shard: "main", Name: cfg.Name, Deliverer: deliverer, Active: func() bool { return true }, Log: cfg.Log,
		Answer: func(_ context.Context, from string, question []byte) []byte {
			asked.Add(1)
			return []byte(`"` + cfg.Name + ` to ` + from + `: ` + strings.Trim(string(question), `"`) + `"`)
		},
	})
	m.run(x.Run)
	return x, asked
}

// says waits until a service answers.
func says(t *testing.T, x *cluster.Exchange, to, want string) {
	t.Helper()
	eventually(t, 10*time.Second, func() string {
		ctx, cancel := context.WithTimeout(t.Context(), beat)
		defer cancel()
		got, err := x.Ask(ctx, to, []byte(`"hi"`))
		if err != nil || string(got) != want {
			return string(got) + " want " + want
		}
		return ""
	})
}

func TestExchange_AsksOneOrAny(t *testing.T) {
	nats := runNATS(t)
	a, ofA := newExchange(t, options(t, nats.ClientURL(), "a.meet.jitsi"), "a.meet.jitsi")
	b, _ := newExchange(t, options(t, nats.ClientURL(), "b.meet.jitsi"), "a.meet.jitsi")
	says(t, b, "a.meet.jitsi", `"a.meet.jitsi to b.meet.jitsi: hi"`)
	says(t, a, "", `"b.meet.jitsi to a.meet.jitsi: hi"`)
	before := ofA.Load()
	ctx, cancel := context.WithTimeout(t.Context(), 2*beat)
	defer cancel()
	if got, err := b.Ask(ctx, "c.meet.jitsi", []byte(`1`)); err == nil {
		t.Errorf("got %s from a service that doesn't run", got)
	}
	if ofA.Load() != before {
		t.Error("another service was asked")
	}
	if p := a.Problem(); p != nil {
		t.Errorf("got the problem %v", p)
	}
}

// A program without the secret can neither ask nor answer, and an old answer has no effect.
func TestExchange_ForeignersAreIgnored(t *testing.T) {
	nats := runNATS(t)
	a, ofA := newExchange(t, options(t, nats.ClientURL(), "a.meet.jitsi"), "")
	foreign := options(t, nats.ClientURL(), "b.meet.jitsi")
	foreign.Secret = "another secret of other programs"
	x, _ := newExchange(t, foreign, "")
	time.Sleep(4 * beat)
	ctx, cancel := context.WithTimeout(t.Context(), 2*beat)
	defer cancel()
	if got, err := x.Ask(ctx, "a.meet.jitsi", []byte(`1`)); err == nil || ofA.Load() > 0 {
		t.Errorf("got %s; asked %d times", got, ofA.Load())
	}
	if got, err := a.Ask(ctx, "", []byte(`1`)); err == nil {
		t.Errorf("got %s", got)
	}
	if p := a.Problem(); p != nil {
		t.Errorf("got the problem %v of a program without the secret", p)
	}
}

func TestExchange_TwoDeliver(t *testing.T) {
	for name, c := range map[string]struct{ a, b, want string }{
		"no deliverer is named":             {"", "", "b.meet.jitsi delivers the webhooks of the shard main, too"},
		"each is the deliverer for itself":  {"a.meet.jitsi", "b.meet.jitsi", "b.meet.jitsi delivers"},
		"the other one doesn't know of one": {"a.meet.jitsi", "", "b.meet.jitsi delivers"},
		"both name the same":                {"a.meet.jitsi", "a.meet.jitsi", ""},
	} {
		t.Run(name, func(t *testing.T) {
			nats := runNATS(t)
			a, _ := newExchange(t, options(t, nats.ClientURL(), "a.meet.jitsi"), c.a)
			b := options(t, nats.ClientURL(), "b.meet.jitsi")
			if newExchange(t, b, c.b); c.want == "" {
				says(t, a, "b.meet.jitsi", `"b.meet.jitsi to a.meet.jitsi: hi"`)
			}
			eventually(t, 10*time.Second, func() string {
				p := a.Problem()
				if (p == nil) != (c.want == "") || p != nil && (!strings.HasPrefix(p.Remedy, c.want) || p.Reason != occupancy.ReasonCollectorConflict) {
					return "got another problem"
				}
				return ""
			})
		})
	}
}

// A missing permission is a problem of webhooks, not of rooms.
func TestExchange_Forbidden(t *testing.T) {
	nats := runNATS(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "collector", Password: "pw", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"ppch.main.a_meet_jitsi.>"}}, Subscribe: &server.SubjectPermission{Allow: []string{"ppch.main.a_meet_jitsi.>"}},
		}}}
	})
	cfg := options(t, nats.ClientURL(), "a.meet.jitsi")
	cfg.User, cfg.Password = "collector", "pw"
	x, _ := newExchange(t, cfg, "a.meet.jitsi")
	eventually(t, 10*time.Second, func() string {
		if p := x.Problem(); p == nil || p.Reason != occupancy.ReasonNATSForbidden || !strings.Contains(p.Remedy, "ppch.main.webhooks") {
			return "no problem"
		}
		return ""
	})
	c := newCollector(t, cfg)
	time.Sleep(4 * beat)
	if p := c.collector.Problem(); p != nil {
		t.Errorf("got %v for the rooms", p)
	}
}
