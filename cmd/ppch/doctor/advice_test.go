package doctor_test

import (
	"context"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/cmd/ppch/doctor"
	"ppch/prosody/prosodytest"
)

// Words that only one kind of installation understands.
var (
	forContainers = []string{"docker", "${CONFIG}", ".env", "container", "XMPP_"}
	forPackages   = []string{"Debian", "systemctl", "journalctl", "/etc/prosody", "/var/log", "conf.avail", "plugin_paths", "sudo"}
)

func TestDoctor_AdviceFitsTheInstallation(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		world  prosodytest.Options
		change func(*doctor.Config)
		broken string // the check that must fail
	}{
		"a closed port":        {change: func(c *doctor.Config) { c.Address, c.HTTP = "127.0.0.1:1", "" }, broken: doctor.Port},
		"an unknown name":      {change: func(c *doctor.Config) { c.Address = "prosody.invalid:5347" }, broken: doctor.DNS},
		"an unknown component": {change: func(c *doctor.Config) { c.Domain = jid.MustParse("other.meet.jitsi") }, broken: doctor.Component},
		"a wrong secret":       {change: func(c *doctor.Config) { c.Secret = "wrong" }, broken: doctor.Secret},
		"a wrong MUC domain":   {change: func(c *doctor.Config) { c.MUCDomains = []jid.JID{jid.MustParse("conference.meet.jitsi")} }, broken: doctor.MUCDomains},
		"no module":            {world: prosodytest.Options{HideRooms: true}, broken: doctor.Module},
		"not on the list":      {world: prosodytest.Options{Module: true, GlobalConfig: `room_participants_components = { "other.meet.jitsi" }`}, broken: doctor.AllowList},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := prosodytest.New(t, tt.world)
			for _, installation := range []doctor.Installation{doctor.Containers, doctor.Packages, doctor.UnknownInstallation} {
				cfg := configFor(t, srv)
				cfg.Installation = installation
				if tt.change != nil {
					tt.change(&cfg)
				}
				var all strings.Builder
				var broken doctor.Check
				check(t, doctor.Examine(context.Background(), cfg, func(c doctor.Check) {
					all.WriteString(c.Remedy + "\n")
					if c.Name == tt.broken && broken.Remedy == "" {
						broken = c
					}
				}))
				if broken.Remedy == "" {
					t.Errorf("%d: got no remedy for %s", installation, tt.broken)
				}
				wrong := map[doctor.Installation][]string{doctor.Containers: forPackages, doctor.Packages: forContainers}[installation]
				for _, word := range wrong {
					if strings.Contains(all.String(), word) {
						t.Errorf("%d: got %q in\n%s", installation, word, all.String())
					}
				}
			}
		})
	}
}

// The first thing to look at is whether Prosody runs, unless its web server answers.
func TestDoctor_DeadPort(t *testing.T) {
	t.Parallel()
	for installation, want := range map[doctor.Installation]string{
		doctor.Containers:          "check first that Prosody runs: docker compose ps prosody, and docker compose logs prosody, in Jitsi's folder\n",
		doctor.Packages:            "check first that Prosody runs: systemctl status prosody\n",
		doctor.UnknownInstallation: "check first that Prosody runs: docker compose ps prosody, and docker compose logs prosody, in Jitsi's folder; Debian: systemctl status prosody\n",
	} {
		cfg := doctor.Config{
			API: mustURL(t, "http://"+closed(t)), Address: closed(t), HTTP: closed(t), Installation: installation,
			Domain: jid.MustParse("ppch.meet.jitsi"), MUCDomains: []jid.JID{jid.MustParse("muc.meet.jitsi")},
		}
		if got := examine(t, cfg)[doctor.Port]; got.Status != doctor.Wrong || !strings.HasPrefix(got.Remedy, want) || !strings.Contains(got.Found, "Prosody is not running") {
			t.Errorf("got %+v want first %s", got, want)
		}
	}
	srv := prosodytest.New(t, prosodytest.Options{NoComponentPort: true, Modules: []string{"http"}})
	if got := examine(t, configFor(t, srv))[doctor.Port]; strings.Contains(got.Remedy, "check first") || !strings.Contains(got.Found, "though Prosody runs") {
		t.Errorf("got %+v, though Prosody runs", got)
	}
}
