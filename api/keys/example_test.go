package keys_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
	"ppch/component/occupancy"
)

// Create a key, add it to a file, and use it.
func Example() {
	names := occupancy.NewNameResolver(jid.MustParse("muc.meet.jitsi"))
	text, line, err := keys.New(keys.Request{Name: "lobby-screen", Scopes: []string{"count"}, Rooms: []string{"acme/*"}}, names)
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "ppch.keys")
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	keyring, err := keys.NewKeyring(keys.KeyringConfig{File: file, Names: names, Rate: 10})
	if err != nil {
		fmt.Println(err)
		return
	}

	key, err := keyring.Identify(text, netip.MustParsePrefix("192.0.2.1/32"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := key.Use(time.Now()); err != nil {
		fmt.Println(err)
		return
	}
	grant := keys.Grant{Key: key}
	fmt.Println(key.Name(), "may read names:", grant.HasNames())
	for _, room := range []string{"[acme]planning@muc.meet.jitsi", "planning@muc.meet.jitsi"} {
		fmt.Println(room, grant.AllowsAddress(room))
	}
	fmt.Println(grant.Need(keys.ScopeEvents))
	// Output:
	// lobby-screen may read names: false
	// [acme]planning@muc.meet.jitsi true
	// planning@muc.meet.jitsi false
	// keys: the API key lacks the scope "events"
}
