package api_test

import (
	"os"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/api/keys"
	"ppch/component/occupancy"
)

// names resolves room names as every test's service does.
var names = occupancy.NewNameResolver(mainDomain, breakoutDomain)

// withKeys sets the fields of testKey in a keys file. Lines for other keys may follow.
func withKeys(fields string) func(*api.Config) {
	return func(cfg *api.Config) {
		f, err := os.CreateTemp("", "keys")
		if err != nil {
			panic(err)
		}
		defer os.Remove(f.Name()) // it is read at once
		_, _ = f.WriteString(apitest.KeyLine(testKey, "name=client "+fields))
		_ = f.Close()
		cfg.Keys = keyring(keys.KeyringConfig{File: f.Name(), Names: names})
	}
}

// withoutQuota uses up the quota of testKey for an hour.
func withoutQuota(cfg *api.Config) {
	cfg.Keys = keyring(keys.KeyringConfig{Key: testKey, Rate: 1})
	for range 2 {
		_, _ = cfg.Keys.Find(keys.SumOf(testKey)).Use(time.Now().Add(time.Hour))
	}
}

// withBoth combines two options.
func withBoth(a, b func(*api.Config)) func(*api.Config) {
	return func(cfg *api.Config) { a(cfg); b(cfg) }
}

// secondDomain is the MUC domain of another Jitsi.
var secondDomain = jid.MustParse("conference.b.example")
