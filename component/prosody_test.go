package component_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component"
	"ppch/component/componenttest"
	"ppch/component/occupancy"
	"ppch/prosody/prosodytest"
)

// on runs a component on a real Prosody until the test ends.
func on(t *testing.T, srv *prosodytest.Server, adjust ...func(*component.Config)) *component.Component {
	t.Helper()
	cfg := component.Config{
		Address:    srv.ComponentAddr(),
		Domain:     jid.MustParse(srv.Domains.Component),
		Secret:     srv.Secret(),
		MUCDomains: []jid.JID{jid.MustParse(srv.Domains.MUC), jid.MustParse(srv.Domains.Breakout)},
		Log:        slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, m := range adjust {
		m(&cfg)
	}
	if cfg.Directory == nil {
		cfg.Directory = occupancy.NewDirectory(cfg.MUCDomains...)
	}
	c, _ := start(t, cfg)
	return c
}

var eventually = componenttest.Eventually

func ready(t *testing.T, c *component.Component) {
	t.Helper()
	eventually(t, 20*time.Second, "the main MUC domain is available", func() bool { return c.Main().Problem == nil })
}

// readyOn runs a component on a real Prosody until the test ends, and waits until it can answer.
func readyOn(t *testing.T, srv *prosodytest.Server, adjust ...func(*component.Config)) *component.Component {
	t.Helper()
	c := on(t, srv, adjust...)
	ready(t, c)
	return c
}

// filled returns a room once it has n occupants.
func filled(t *testing.T, c *component.Component, room string, n int) (got occupancy.Room) {
	t.Helper()
	eventually(t, 5*time.Second, fmt.Sprint(n, " occupants in ", room), func() bool {
		var err error
		got, err = c.Room(t.Context(), jid.MustParse(room))
		return err == nil && len(got.Occupants) == n
	})
	return got
}

func timeout(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

var check = componenttest.Check

var same = componenttest.Same

var tenantRoom = regexp.MustCompile(`^\[(.+)\](.+)@muc\.`)

// asClientsWrite returns the address that Jitsi's clients use for a tenant's room.
func asClientsWrite(room string) string {
	return tenantRoom.ReplaceAllString(room, "$2@muc.$1.")
}

func TestRoom_OpenRoomOnProsody(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{DomainMapper: true})
	ctx := timeout(t, 60*time.Second)
	cast := prosodytest.NewCast(t, srv)
	c := readyOn(t, srv)
	names := occupancy.NewNameResolver(jid.MustParse(srv.Domains.MUC), jid.MustParse(srv.Domains.Breakout))

	for written, room := range map[string]string{
		"Planning":                  "planning@" + srv.Domains.MUC,
		"Привет, мир":               "%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82%20%d0%bc%d0%b8%d1%80@" + srv.Domains.MUC,
		"acme/Stand Up":             "[acme]stand%20up@" + srv.Domains.MUC,
		"a.b-c_d~e":                 "a.b-c_d~e@" + srv.Domains.MUC,
		"Täst/Täst":                 "[täst]t%c3%a4st@" + srv.Domains.MUC,
		"straße/daily":              "[strasse]daily@" + srv.Domains.MUC,
		"a>b":                       "a%3eb@" + srv.Domains.MUC,
		"100%25 sure":               "100%25%20sure@" + srv.Domains.MUC,
		"x@" + srv.Domains.Breakout: "x@" + srv.Domains.Breakout,
	} {
		enter := asClientsWrite(room)
		must(cast.Open(ctx, enter))(t)
		must(cast.User(ctx, enter, "Ada"))(t)
		must(cast.User(ctx, enter, "Bob"))(t)
		got, err := c.Room(ctx, must(names.Room(written))(t))
		if err != nil || !got.Exists || got.Participants != 3 || got.Exact || got.Source != occupancy.SourceDisco || got.JID.String() != room {
			t.Errorf("%s: got %+v, %v want focus and two people in %s, inexact, by disco", written, got, err, room)
		}
	}
	if mode := c.Main().Mode; mode != occupancy.ModeDisco {
		t.Errorf("mode got %s want disco", mode)
	}
	asked, err := c.Room(ctx, jid.MustParse(srv.Room("planning")))
	if summary := asked.Summary(); err != nil || !summary.Exists || summary.Participants != 3 {
		t.Errorf("got the summary %+v, %v want three occupants", summary, err)
	}
	if _, err := c.Directory().Rooms(occupancy.Query{}); reasonOf(err) != occupancy.ReasonModuleMissing {
		t.Errorf("got %v want module-missing", err)
	}
	for _, address := range []string{"שלום/daily", "a\u06ddb@" + srv.Domains.MUC} {
		if got, err := c.Room(ctx, must(names.Room(address))(t)); err != nil || got.Exists || !got.Exact {
			t.Errorf("%s: got %+v, %v want a room that can't exist", address, got, err)
		}
	}
	got, err := c.Room(ctx, must(names.Room("nowhere else"))(t))
	if err != nil || got.Exists || !got.Exact {
		t.Errorf("got %+v, %v want a room that does not exist", got, err)
	}
	got, err = c.Room(ctx, jid.MustParse("__jicofo-health-check-1@"+srv.Domains.MUC))
	if err != nil || got.Exists {
		t.Errorf("got %+v, %v want a health check's room never to exist", got, err)
	}
}

func TestRoom_ChangeIsSeenAfterASecond(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	ctx := timeout(t, 60*time.Second)
	cast := prosodytest.NewCast(t, srv)
	c := readyOn(t, srv)
	planning := jid.MustParse(srv.Room("planning"))
	count := func(want int) func() bool {
		return func() bool {
			got := must(c.Room(ctx, planning))(t)
			return got.Participants == want
		}
	}
	eventually(t, 5*time.Second, "no room", count(0))
	focus := must(cast.Open(ctx, planning.String()))(t)
	ada := must(cast.User(ctx, planning.String(), "Ada"))(t)
	eventually(t, 5*time.Second, "focus and Ada", count(2))
	check(t, ada.Leave(ctx))
	eventually(t, 5*time.Second, "focus alone", count(1))
	check(t, focus.Leave(ctx))
	eventually(t, 5*time.Second, "no room again", count(0))
}

func TestRoom_HiddenRoomOnProsody(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{HideRooms: true, DomainMapper: true})
	ctx := timeout(t, 60*time.Second)
	cast := prosodytest.NewCast(t, srv)
	c := readyOn(t, srv)
	if mode := c.Main().Mode; mode != occupancy.ModeUndecided {
		t.Errorf("mode got %s want undecided before any room exists", mode)
	}
	got, err := c.Room(ctx, jid.MustParse(srv.Room("nowhere")))
	if err != nil || got.Exists {
		t.Errorf("got %+v, %v want a room that does not exist", got, err)
	}
	for _, room := range []string{srv.Room("planning"), srv.Room("[acme]stand%20up")} {
		must(cast.Open(ctx, asClientsWrite(room)))(t)
		must(cast.User(ctx, asClientsWrite(room), "Ada"))(t)
		if got, err := c.Room(ctx, jid.MustParse(room)); reasonOf(err) != occupancy.ReasonModuleMissing {
			t.Errorf("%s: got %+v, %v want module-missing", room, got, err)
		}
	}
	if mode := c.Main().Mode; mode != occupancy.ModeExistence {
		t.Errorf("mode got %s want existence", mode)
	}
}

func TestProsody_NamesConnectionProblems(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	for name, tt := range map[string]struct {
		adjust func(*component.Config)
		want   occupancy.Reason
		says   string
	}{
		"a wrong secret":              {func(c *component.Config) { c.Secret = "wrong" }, occupancy.ReasonNotAuthorized, "PPCH_COMPONENT_SECRET"},
		"an unknown component":        {func(c *component.Config) { c.Domain = jid.MustParse("other.meet.jitsi") }, occupancy.ReasonHostUnknown, "other.meet.jitsi"},
		"a closed port":               {func(c *component.Config) { c.Address = "127.0.0.1:1" }, occupancy.ReasonRefused, "component_ports"},
		"a name that doesn't resolve": {func(c *component.Config) { c.Address = "prosody.invalid:5347" }, occupancy.ReasonDNS, "prosody.invalid"},
		"the port for clients":        {func(c *component.Config) { c.Address = srv.ClientAddr() }, occupancy.ReasonHostUnknown, "component port"},
		"a name that is taken": {func(c *component.Config) {
			must(srv.Component(timeout(t, 10*time.Second), srv.Domains.Component))(t)
		}, occupancy.ReasonConflict, "kick_old"},
	} {
		t.Run(name, func(t *testing.T) {
			c := on(t, srv, tt.adjust)
			eventually(t, 30*time.Second, "the first attempt has failed", func() bool {
				return c.Main().Problem != nil && c.Main().Problem.Reason != occupancy.ReasonConnecting
			})
			p := c.Main().Problem
			if p.Reason != tt.want || !strings.Contains(p.Remedy, tt.says) {
				t.Errorf("got %s (%v): %s want %s with %s", p.Reason, p.Err, p.Remedy, tt.want, tt.says)
			}
			if _, err := c.Room(t.Context(), jid.MustParse(srv.Room("planning"))); reasonOf(err) != tt.want {
				t.Errorf("a room got %v want %s", err, tt.want)
			}
		})
	}
}

func TestProsody_NamesWrongMUCDomain(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	for name, domain := range map[string]string{
		"a virtual host":           srv.Domains.Main,
		"a component that is away": srv.Domains.Cast,
		"a host that isn't there":  "conference.meet.jitsi",
	} {
		t.Run(name, func(t *testing.T) {
			c := on(t, srv, func(c *component.Config) { c.MUCDomains = []jid.JID{jid.MustParse(domain)} })
			eventually(t, 20*time.Second, "the domain was discovered", func() bool {
				main := c.Main()
				return main.Connected && main.Problem != nil && main.Problem.Reason != occupancy.ReasonConnecting
			})
			if _, err := c.Room(t.Context(), jid.MustParse("planning@"+domain)); reasonOf(err) != occupancy.ReasonNoMUC {
				t.Errorf("got %v want no-muc", err)
			}
		})
	}
}

func TestProsody_ConflictBacksOff(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{ConflictResolve: "kick_old"})
	c := readyOn(t, srv)
	other := must(srv.Component(timeout(t, 10*time.Second), srv.Domains.Component))(t)
	eventually(t, 10*time.Second, "the conflict is noticed", func() bool { return !c.Main().Connected })
	if p := c.Main().Problem; p.Reason != occupancy.ReasonConflict || p.RetryAfter < 30*time.Second {
		t.Errorf("got %+v want conflict and a long wait", p)
	}
	for range 30 {
		_, _ = c.Room(t.Context(), jid.MustParse(srv.Room("planning")))
		time.Sleep(100 * time.Millisecond)
	}
	select {
	case <-other.Ended():
		t.Error("the other instance was disconnected again")
	default:
	}
}

func TestProsody_Restart(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	ctx := timeout(t, 120*time.Second)
	cast := must(srv.Cast(ctx))(t)
	planning := jid.MustParse(srv.Room("planning"))
	must(cast.Open(ctx, planning.String()))(t)
	c := readyOn(t, srv)
	if got, err := c.Room(ctx, planning); err != nil || got.Participants != 1 {
		t.Fatalf("got %+v, %v want focus", got, err)
	}

	check(t, srv.Kill())
	_ = cast.Close()
	eventually(t, 5*time.Second, "rooms are unavailable", func() bool {
		got, err := c.Room(ctx, planning)
		if err == nil && !got.Exists {
			t.Fatal("got a missing room from a dead Prosody")
		}
		return err != nil
	})
	for range 20 {
		if got, err := c.Room(ctx, planning); err == nil {
			t.Fatalf("got %+v from a dead Prosody", got)
		}
		time.Sleep(100 * time.Millisecond)
	}
	check(t, srv.Restart(ctx))
	eventually(t, 5*time.Second, "the answer is right again", func() bool {
		got, err := c.Room(ctx, planning)
		if err == nil && got.Exists {
			t.Fatalf("got %+v want no room: none survives a restart", got)
		}
		return err == nil
	})
}

func TestProsody_SilentHandshake(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	// A frozen Prosody: the kernel accepts connections, and Prosody reads nothing.
	check(t, srv.Pause())
	c := on(t, srv)
	eventually(t, 30*time.Second, "the attempt is given up", func() bool { return c.Main().Problem.Reason != occupancy.ReasonConnecting })
	if p := c.Main().Problem; p.Reason != occupancy.ReasonTimeout {
		t.Errorf("got %+v want timeout", p)
	}
	check(t, srv.Resume())
	eventually(t, 30*time.Second, "the stream is up", func() bool {
		_, err := c.Room(t.Context(), jid.MustParse(srv.Room("planning")))
		return err == nil
	})
}

func TestProsody_HostileStanzasOfAGuest(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	ctx := timeout(t, 120*time.Second)
	c := readyOn(t, srv)
	up := c.Main().Since

	guest := must(srv.Guest(ctx))(t)
	defer guest.Close()
	for i, tt := range componenttest.Hostile {
		id := fmt.Sprintf("hostile-%d", i)
		if err := guest.Send(componenttest.Fill(tt.XML, srv.Domains.Component, id)); err != nil {
			t.Fatalf("%s: %v", tt.Name, err)
		}
		if strings.Contains(tt.XML, "<iq type='get'") || strings.Contains(tt.XML, "<iq type='set'") {
			got, err := guest.Expect(timeout(t, 40*time.Second), func(s prosodytest.Stanza) bool { return strings.HasSuffix(s.ID, id) })
			var refusal *prosodytest.StanzaError
			if err != nil {
				t.Fatalf("%s: %v; the guest's stream: %v", tt.Name, err, guest.Err())
			}
			if !errors.As(got.Err(), &refusal) || tt.Condition != "" && !strings.HasPrefix(refusal.Error(), tt.Condition) {
				t.Errorf("%s: got %s want %s", tt.Name, got.XML, tt.Condition)
			}
		}
		// One more question shows that the stream survived the stanza before it.
		if _, err := c.Room(ctx, jid.MustParse(fmt.Sprintf("room%d@%s", i, srv.Domains.MUC))); err != nil {
			t.Fatalf("%s: %v", tt.Name, err)
		}
		if !c.Main().Since.Equal(up) {
			t.Fatalf("%s: the stream was lost", tt.Name)
		}
	}
	if srv.LogContains("Error processing component stream") {
		t.Error("Prosody logs an error about our stanzas")
	}
}
