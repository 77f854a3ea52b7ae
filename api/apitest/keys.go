package apitest

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ppch/api/keys"
	"ppch/component/occupancy"
)

// KeyLine returns the line of a keys file for a key, with fields such as "name=client scope=all".
func KeyLine(key, fields string) string {
	return fmt.Sprintf("sha256=%x %s\n", sha256.Sum256([]byte(key)), fields)
}

// Keys returns a Keyring of one key with these fields.
func Keys(t testing.TB, names *occupancy.NameResolver, key, fields string) *keys.Keyring {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(KeyLine(key, "name=client "+fields)), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := keys.NewKeyring(keys.KeyringConfig{File: file, Names: names})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}
