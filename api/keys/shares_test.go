package keys_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ppch/api/keys"
)

// Each key can take its own places, all keys together never hold more than the total, and in the end none.
func TestShares_NeverExceedThePlaces(t *testing.T) {
	var lines strings.Builder
	for i := range 8 {
		lines.WriteString(lineFor(fmt.Sprint(i+1), fmt.Sprintf("name=%d scope=all", i+1)))
	}
	path := filepath.Join(t.TempDir(), "keys")
	check(t, os.WriteFile(path, []byte(lines.String()), 0o600))
	ring := keyring(t, keys.KeyringConfig{File: path, Names: names})
	key := func(name string) *keys.Key { return ring.Find(keys.SumOf(name)) }
	rapid.Check(t, func(t *rapid.T) {
		places := rapid.IntRange(1, 40).Draw(t, "places")
		count := rapid.IntRange(1, 8).Draw(t, "keys")
		shares, held, total := keys.NewShares(places), map[string]int{}, 0
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "the number of keys changes") {
				count = rapid.IntRange(1, 8).Draw(t, "keys")
			}
			name := fmt.Sprint(rapid.IntRange(1, count).Draw(t, "key"))
			if held[name] > 0 && rapid.Bool().Draw(t, "leaves") {
				shares.Leave(key(name))
				held[name]--
				total--
				continue
			}
			entered := shares.Enter(key(name), count, 0) == nil
			if entered {
				held[name]++
				total++
			}
			if total > places {
				t.Fatalf("%d of %d places are held", total, places)
			}
			own := places / (2 * count)
			if !entered && held[name] < own && total < places {
				t.Fatalf("key %s holds %d of its own %d, and gets no more", name, held[name], own)
			}
		}
		for name, n := range held {
			for range n {
				shares.Leave(key(name))
			}
		}
		for range places {
			if shares.Enter(key("1"), 1, 0) != nil {
				t.Fatal("one key alone can't have all places")
			}
		}
	})
}
