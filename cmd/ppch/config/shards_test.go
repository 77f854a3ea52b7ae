package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"ppch/cmd/ppch/config"
	"ppch/component/occupancy"
)

// shardsFile writes a file of shards, in which SECRET stands for the path of a file with a secret.
func shardsFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	secret, file := filepath.Join(dir, "secret"), filepath.Join(dir, "shards")
	for path, content := range map[string]string{secret: "s3cr3t-of-the-shard\n", file: strings.ReplaceAll(text, "SECRET", secret)} {
		check(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return file
}

// loadShards returns the configuration with a file of shards and without a component secret.
func loadShards(t *testing.T, text string, more ...string) (config.Config, error) {
	t.Helper()
	env := envconfig.MapLookuper(map[string]string{"PPCH_API_KEY": "a-key-of-16-chars", "PPCH_SHARDS_FILE": shardsFile(t, text)})
	vars := map[string]string{}
	for i := 0; i+1 < len(more); i += 2 {
		vars[more[i]] = more[i+1]
	}
	return config.Load(t.Context(), envconfig.MultiLookuper(envconfig.MapLookuper(vars), env))
}

const twoShards = `
# Two Prosodys and a visitor node.
name=b   url=xmpp://b:5347 component=ppch.meet.jitsi secret_file=SECRET muc=muc.meet.jitsi,breakout.meet.jitsi
name=a   url=xmpp://a      component=ppch.meet.jitsi secret_file=SECRET muc=muc.meet.jitsi via=xmpp kind=main
name=v1  url=xmpp://v1:5347 component=ppch.v1.meet.jitsi secret_file=SECRET muc=muc.v1.meet.jitsi kind=visitors
name=far muc=muc.meet.jitsi via=nats
name=old url=xmpp://old:5347 component=ppch.meet.jitsi muc=muc.old.example retired=2026-11-01T00:00:00Z
`

func TestShards_File(t *testing.T) {
	c := must(loadShards(t, twoShards, "PPCH_NATS_URL", "nats://nats:4222", "PPCH_CLUSTER_SECRET", "0123456789abcdef"))(t)
	var got []string
	for _, s := range c.Shards {
		got = append(got, fmt.Sprintf("%s %s %s %s %s %v %s %t", s.Name, s.Kind, s.Via, s.Prosody, s.Domain, s.MUCDomains, s.Secret.Reveal(), s.Retired.IsZero()))
	}
	want := []string{
		"b main xmpp b:5347 ppch.meet.jitsi [muc.meet.jitsi breakout.meet.jitsi] s3cr3t-of-the-shard true",
		"a main xmpp a:5347 ppch.meet.jitsi [muc.meet.jitsi] s3cr3t-of-the-shard true",
		"v1 visitors xmpp v1:5347 ppch.v1.meet.jitsi [muc.v1.meet.jitsi] s3cr3t-of-the-shard true",
		"far main nats   [muc.meet.jitsi]  true",
		"old main xmpp old:5347 ppch.meet.jitsi [muc.old.example]  false",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if fmt.Sprint(c.MUCDomains) != "[muc.meet.jitsi breakout.meet.jitsi muc.v1.meet.jitsi]" || c.Prosody != "b:5347" || c.Secret.Reveal() != "s3cr3t-of-the-shard" {
		t.Errorf("got %v, %s want the domains of all shards in service, and the first Prosody", c.MUCDomains, c.Prosody)
	}
	if room, err := c.Names().Room("planning@muc.v1.meet.jitsi"); err != nil || room.String() != "planning@muc.v1.meet.jitsi" {
		t.Errorf("got %v, %v want the room of the visitor node", room, err)
	}
}

func TestShards_WithoutFileOneIsNamedMain(t *testing.T) {
	c, err := config.Load(t.Context(), envconfig.MapLookuper(map[string]string{"PPCH_API_KEY": "a-key-of-16-chars", "PPCH_COMPONENT_SECRET": "a-secret-of-16-ch"}))
	if err != nil || len(c.Shards) != 1 || c.Shards[0].Name != occupancy.DefaultShard || c.Shards[0].Prosody != "prosody:5347" || !c.Shards[0].Main() {
		t.Errorf("got %+v, %v want one shard named main", c.Shards, err)
	}
}

// No component has a secret if all shards come over NATS, so another must seal tickets.
func TestShards_OnlyNATS(t *testing.T) {
	const lines = "name=a muc=muc.meet.jitsi via=nats\nname=b muc=muc.meet.jitsi via=nats\n"
	if c, err := loadShards(t, lines, "PPCH_NATS_URL", "nats://nats:4222", "PPCH_CLUSTER_SECRET", "0123456789abcdef0123456789abcdef"); err != nil || c.Prosody != "" {
		t.Errorf("got %q, %v want no Prosody", c.Prosody, err)
	}
	c, err := loadShards(t, lines, "PPCH_NATS_URL", "nats://nats:4222", "PPCH_CLUSTER_SECRET", "0123456789abcdef0123456789abcdef", "PPCH_DATA_DIR", "/data")
	if want := "PPCH_DATA_DIR has no use here"; err != nil || !slices.ContainsFunc(c.Warnings, func(w string) bool { return strings.HasPrefix(w, want) }) {
		t.Errorf("got the warnings %q, %v want %s", c.Warnings, err, want)
	}
	_, err = loadShards(t, lines, "PPCH_NATS_URL", "nats://nats:4222")
	if want := "PPCH_CLUSTER_SECRET: is not set: set the one that the other PPCH on this NATS have"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v want %s", err, want)
	}
}

func TestShards_ReportsAllProblems(t *testing.T) {
	_, err := loadShards(t, `name=a url=xmpp://a:5347 component=ppch.meet.jitsi secret_file=SECRET muc=muc.meet.jitsi
name=a url=xmpp://b:5347 component=ppch.meet.jitsi secret_file=SECRET muc=muc.meet.jitsi
name=b url=xmpp://a:5347 component=ppch.meet.jitsi secret_file=SECRET muc=muc.meet.jitsi
name=c url=tcp://c component=ppch.meet.jitsi muc=muc.meet.jitsi
name=d component=ppch.meet.jitsi muc=muc.meet.jitsi
name=e.f muc=muc.meet.jitsi via=nats
name=g muc=muc.meet.jitsi kind=visitors via=nats
name=h muc=muc.h via=nats kind=backup
name=i muc=muc.i via=http
name=j muc=muc.j via=nats retired=yesterday
name=k muc=muc.k,muc.k via=nats
name=l muc=a@b via=nats
name=m via=nats
name=n muc=muc.n via=nats muc=muc.o
name=o url=xmpp://o:5347 component=muc.o secret_file=SECRET muc=muc.o
name=r muc=muc.r via=nats deliverer=ppch.meet.jitsi
broken
name=p url=xmpp://p:5347 component=ppch.meet.jitsi muc=muc.meet.jitsi
name=q url=xmpp://q:5347 component=ppch.meet.jitsi secret_file=/nonexistent muc=muc.meet.jitsi
`)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		"line 2: name: already used in line 1",
		"line 3: url: a:5347 as ppch.meet.jitsi is the shard a already",
		`line 4: url: "tcp://c" has an unknown scheme: use xmpp://HOST:PORT`,
		"line 5: url= is missing",
		"line 6: name: use up to 64 letters, digits, hyphens and underscores, beginning with a letter or digit",
		"line 7: muc: muc.meet.jitsi is a MUC domain of the shard a, which is of kind main",
		`line 8: kind: "backup" is not a kind: use main, or visitors for a visitor node`,
		`line 9: via: "http" is no way to a shard: use xmpp or nats`,
		`line 10: retired: "yesterday" is not a time such as 2027-12-31T18:00:00Z`,
		"line 11: muc: names muc.k twice",
		`line 12: muc: "a@b" is not a domain`,
		"line 13: muc= is missing",
		"line 14: muc: duplicate field: separate MUC domains with commas",
		"line 15: muc: muc.o is the component",
		"line 16: deliverer: is for services with via=xmpp",
		"line 17: word 1 is not a field: use name=, url=, component=, secret_file=, muc=, kind=, via=, deliverer=, retired=",
		"shard p: secret_file= is missing, and PPCH_COMPONENT_SECRET is not set",
		"shard q: secret_file: can't be read: open /nonexistent",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	for text, want := range map[string]string{
		"": "names no shard that is in service",
		"name=a muc=muc.a via=nats retired=2026-01-01T00:00:00Z": "names no shard that is in service",
	} {
		if _, err := loadShards(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v want %s", text, err, want)
		}
	}
}

func TestShards_Retire(t *testing.T) {
	file := shardsFile(t, "\ufeffname=b muc=muc.meet.jitsi via=nats\r\n# name=a is a comment\n\n  name=a muc=muc.meet.jitsi via=nats  \n")
	s := config.Settings{ShardsFile: file}
	at := time.Date(2026, 11, 30, 2, 0, 0, 0, time.UTC)
	check(t, s.RetireShard("a", at))
	text, err := os.ReadFile(file)
	if want := "\ufeffname=b muc=muc.meet.jitsi via=nats\r\n# name=a is a comment\n\n  name=a muc=muc.meet.jitsi via=nats retired=2026-11-30T02:00:00Z\n"; err != nil || string(text) != want {
		t.Errorf("got %q, %v want %q", text, err, want)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v want the mode as before", info.Mode(), err)
	}
	for name, want := range map[string]string{
		"a": "shard a is retired since 2026-11-30T02:00:00Z", "c": `no shard is named "c": use b or a`, "b": "b is the only shard in service: add another first, or stop ppch",
	} {
		if err := s.RetireShard(name, at); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v want %s", name, err, want)
		}
	}
}

// FuzzShards: no text of a file ends the program, and what is read obeys the rules.
func FuzzShards(f *testing.F) {
	f.Add(twoShards)
	f.Add("name=a muc=muc.a via=nats retired=2026-01-01T00:00:00Z\nname=b muc=muc.b via=nats")
	f.Add("name=a url=xmpp://[::1]:1 component=c secret_file=x muc=a,b kind=visitors")
	f.Fuzz(func(t *testing.T, text string) {
		shards, err := config.ParseShards(text)
		if err != nil {
			return
		}
		names := map[string]bool{}
		for _, s := range shards {
			if names[s.Name] || s.Name == "" || len(s.MUCDomains) == 0 || s.Via == config.ViaXMPP && (s.Prosody == "" || s.Domain.String() == "") {
				t.Errorf("%q: got %+v", text, s)
			}
			names[s.Name] = true
		}
		d := occupancy.NewDirectory()
		for _, s := range shards {
			if _, err := d.AddShard(occupancy.ShardConfig{Name: s.Name, Kind: s.Kind, Domains: s.MUCDomains}); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		for _, s := range shards {
			retired, err := config.RetireLine(text, s.Name, time.Unix(1e9, 0))
			if err != nil {
				continue
			}
			again, err := config.ParseShards(retired)
			if err != nil || len(again) != len(shards) {
				t.Errorf("%q: got %q after retiring %s: %v", text, retired, s.Name, err)
			}
		}
	})
}

func TestShards_Deliverer(t *testing.T) {
	loaded, err := loadShards(t, "name=a url=xmpp://a component=ppch2.meet.jitsi secret_file=SECRET muc=muc.meet.jitsi deliverer=ppch.meet.jitsi\n")
	if err != nil || loaded.Shards[0].Deliverer.String() != "ppch.meet.jitsi" {
		t.Fatalf("got %+v, %v", loaded.Shards, err)
	}
	other := loaded.Shards[0]
	other.Deliverer = other.Domain
	if loaded.Shards[0].Equal(other) {
		t.Error("another deliverer counts as no change")
	}
	env := envconfig.MapLookuper(map[string]string{"PPCH_API_KEY": "0123456789abcdef", "PPCH_COMPONENT_SECRET": "s3cret-of-a-test", "PPCH_WEBHOOK_DELIVERER": "ppch.meet.jitsi"})
	cfg, err := config.Load(t.Context(), env)
	if err != nil || cfg.Shards[0].Deliverer.String() != "ppch.meet.jitsi" || len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "set PPCH_NATS_URL") {
		t.Errorf("got %+v with warnings %q, %v", cfg.Shards, cfg.Warnings, err)
	}
}

// Remedies name the setting that has an effect: a field of a line, or a variable.
func TestShards_SettingsOfTheOperator(t *testing.T) {
	const own, shared = "name=b url=xmpp://b component=ppch.b muc=muc.b secret_file=SECRET\n", "name=b url=xmpp://b component=ppch.b muc=muc.b\n"
	variables := occupancy.Settings{}.OrDefault()
	secret := shardsFile(t, "a secret of many characters")
	for name, c := range map[string]struct {
		file string
		env  []string
		want occupancy.Settings
	}{
		"a line with its own secret": {own, nil, occupancy.Settings{
			URL: "url= of shard b in PPCH_SHARDS_FILE", Component: "component= of shard b in PPCH_SHARDS_FILE",
			Secret: "the file of secret_file= of shard b in PPCH_SHARDS_FILE", MUC: "muc= of shard b in PPCH_SHARDS_FILE",
		}},
		"a line with the secret of all":     {shared, []string{"PPCH_COMPONENT_SECRET", "0123456789abcdef"}, occupancy.Settings{Secret: "PPCH_COMPONENT_SECRET"}},
		"a line with the secret's file":     {shared, []string{"PPCH_COMPONENT_SECRET_FILE", secret}, occupancy.Settings{Secret: "the file of PPCH_COMPONENT_SECRET_FILE"}},
		"no file of shards":                 {"", []string{"PPCH_COMPONENT_SECRET", "0123456789abcdef"}, variables},
		"no file of shards, but a secret's": {"", []string{"PPCH_COMPONENT_SECRET_FILE", secret}, occupancy.Settings{Secret: "the file of PPCH_COMPONENT_SECRET_FILE"}},
	} {
		env := c.env
		if c.file == "" {
			env = append(env, "PPCH_SHARDS_FILE", "")
		}
		cfg, err := loadShards(t, c.file, env...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, want := cfg.Shards[0].Settings, c.want
		if want.URL == "" {
			got.URL, got.Component, got.MUC = "", "", ""
		}
		if got != want {
			t.Errorf("%s: got %+v want %+v", name, got, want)
		}
	}
}
