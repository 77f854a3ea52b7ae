package api_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/keys"
	"ppch/component/occupancy"
)

// names reads rooms as every service of a test does.
var names = occupancy.NewNames(mainDomain, breakoutDomain)

// lineFor returns the line of a file for a key.
func lineFor(key, fields string) string {
	return fmt.Sprintf("sha256=%x %s\n", sha256.Sum256([]byte(key)), fields)
}

// keyed adjusts what the key that tests send is good for.
func keyed(fields string) func(*api.Config) {
	return func(cfg *api.Config) {
		f, err := os.CreateTemp("", "keys")
		if err != nil {
			panic(err)
		}
		defer os.Remove(f.Name()) // it is read at once
		_, _ = f.WriteString(lineFor(testKey, "name=client "+fields))
		_ = f.Close()
		cfg.Keys = keyring(keys.KeyringConfig{File: f.Name(), Names: names})
	}
}

// usedUp adjusts the key that tests send to have no requests left for an hour.
func usedUp(cfg *api.Config) {
	cfg.Keys = keyring(keys.KeyringConfig{Key: testKey, Rate: 1})
	for range 2 {
		_, _ = cfg.Keys.Find(keys.SumOf(testKey)).Use(time.Now().Add(time.Hour))
	}
}

// both makes two adjustments.
func both(a, b func(*api.Config)) func(*api.Config) {
	return func(cfg *api.Config) { a(cfg); b(cfg) }
}

// secondDomain is the MUC domain of another Jitsi.
var secondDomain = jid.MustParse("conference.b.example")

// opens makes rooms all that there are on a domain.
func opens(d *occupancy.Directory, domain jid.JID, rooms ...string) {
	var deltas []occupancy.Delta
	for _, room := range rooms {
		deltas = append(deltas, occupancy.Delta{Room: room + "@" + domain.String(), New: true})
	}
	d.Begin(domain, occupancy.SystemAccounts{})
	if err := d.Apply(domain, occupancy.Batch{Synced: true, Rooms: len(deltas), Deltas: deltas}, now); err != nil {
		panic(err)
	}
}
