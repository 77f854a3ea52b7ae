package keys_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"mellium.im/xmpp/jid"

	"ppch/api/keys"
	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testKey is the Key of every Keyring in these tests.
const testKey = "correct-horse-battery-staple"

var (
	mainDomain     = jid.MustParse("muc.meet.jitsi")
	breakoutDomain = jid.MustParse("breakout.meet.jitsi")
	names          = occupancy.NewNameResolver(mainDomain, breakoutDomain)
)

// lineFor returns the line of a file for a key.
func lineFor(key, fields string) string {
	return fmt.Sprintf("sha256=%x %s\n", sha256.Sum256([]byte(key)), fields)
}

// keyring returns a Keyring; its configuration must be valid.
func keyring(t testing.TB, cfg keys.KeyringConfig) *keys.Keyring {
	t.Helper()
	k := must(keys.NewKeyring(cfg))(t)
	return k
}

// found reports whether a Keyring has a key.
func found(k *keys.Keyring, key string) bool { return k.Find(keys.SumOf(key)) != nil }

// watched is a file of keys that a Keyring follows, in virtual time.
type watched struct {
	*keys.Keyring
	t      *testing.T
	path   string
	log    *componenttest.LogBuffer
	hangup chan os.Signal
}

// watch runs f with a file of keys.
func watch(t *testing.T, text string, f func(w *watched)) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, path: filepath.Join(t.TempDir(), "keys"), log: &componenttest.LogBuffer{}, hangup: make(chan os.Signal)}
		w.write(text)
		w.Keyring = keyring(t, keys.KeyringConfig{Key: testKey, File: w.path, Names: names, Log: slog.New(slog.NewJSONHandler(w.log, nil))})
		t.Cleanup(componenttest.Run(t, func(ctx context.Context) error { return w.Run(ctx, w.hangup) }))
		f(w)
	})
}

func (w *watched) write(text string) {
	w.t.Helper()
	check(w.t, os.WriteFile(w.path, []byte(text), 0o600))
}

// wait lets time pass and returns the new log records.
func (w *watched) wait(d time.Duration) (logged string) {
	before := len(w.log.String())
	time.Sleep(d)
	synctest.Wait()
	return w.log.String()[before:]
}

// want checks the keys.
func (w *watched) want(there string, gone ...string) {
	w.t.Helper()
	for key := range strings.FieldsSeq(there) {
		if !found(w.Keyring, key) {
			w.t.Errorf("got no key %s", key)
		}
	}
	for _, key := range gone {
		if found(w.Keyring, key) {
			w.t.Errorf("got a key %s still", key)
		}
	}
}

const soon = 5 * time.Second

func TestKeyring_ReadsAChangedFile(t *testing.T) {
	a, b := lineFor("a", "name=a scope=count"), lineFor("b", "name=b scope=all")
	watch(t, a, func(w *watched) {
		w.want("a "+testKey, "b")
		w.write(a + b)
		if log := w.wait(soon); strings.Count(log, "\n") != 1 || !strings.Contains(log, `"msg":"keys read"`) || !strings.Contains(log, `"keys":3`) {
			t.Errorf("got the log %s want one record, of 3 keys", log)
		}
		w.want("a b " + testKey)
		w.write(b)
		w.wait(soon)
		w.want("b "+testKey, "a")
		w.write("# the last one is withdrawn\n")
		w.wait(soon)
		w.want(testKey, "a", "b")
		if log := w.wait(time.Hour); log != "" {
			t.Errorf("got %s of a file that stays as it is", log)
		}
	})
}

func TestKeyring_ReadsAFileReplacedInAnyWay(t *testing.T) {
	a, b := lineFor("a", "name=a scope=count"), lineFor("b", "name=b scope=count")
	put := func(path, text string) {
		check(t, os.WriteFile(path, []byte(text), 0o600))
	}
	for name, replace := range map[string]func(t *testing.T, path string) error{
		"an editor renames a new one over it": func(_ *testing.T, path string) error {
			put(path+"~", b)
			return os.Rename(path+"~", path)
		},
		"it is written in place, with its time kept": func(_ *testing.T, path string) error {
			info, err := os.Stat(path)
			put(path, b)
			return firstOf(err, os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"a folder is swapped beneath symbolic links, as in Kubernetes": func(t *testing.T, path string) error {
			dir := t.TempDir()
			put(filepath.Join(dir, "keys"), b)
			return firstOf(os.Remove(path), os.Symlink(filepath.Join(dir, "keys"), path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			watch(t, a, func(w *watched) {
				check(t, replace(t, w.path))
				w.wait(soon)
				w.want("b", "a")
			})
		})
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestKeyring_ReadsTheFileAtOnceOnReload(t *testing.T) {
	watch(t, lineFor("a", "name=a scope=count"), func(w *watched) {
		w.write(lineFor("b", "name=b scope=count"))
		w.hangup <- os.Interrupt // any signal
		synctest.Wait()
		w.want("b", "a")
		w.hangup <- os.Interrupt
		synctest.Wait()
		if got := strings.Count(w.log.String(), "keys read"); got != 2 {
			t.Errorf("got %d records want one for each signal", got)
		}
	})
}

func TestKeyring_BadFileKeepsTheOldKeys(t *testing.T) {
	good := lineFor("a", "name=a scope=count")
	watch(t, good, func(w *watched) {
		for name, spoil := range map[string]func() error{
			"line 2: ":                  func() error { w.write(good + "nonsense\n"); return nil },
			"no such file or directory": func() error { return os.Remove(w.path) },
			"is not a regular file":     func() error { return firstOf(os.Remove(w.path), os.Mkdir(w.path, 0o700)) },
			"more than 1048576 bytes":   func() error { w.write(strings.Repeat("#", 1<<20+1)); return nil },
		} {
			check(t, spoil())
			log := w.wait(time.Minute)
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, `"level":"ERROR","msg":"keys file invalid, keeping previous keys"`) || !strings.Contains(log, name) {
				t.Errorf("got the log %s want one error with %q", log, name)
			}
			w.want("a " + testKey)
			check(t, os.RemoveAll(w.path))
			w.write(good)
			if log := w.wait(time.Minute); !strings.Contains(log, "keys read") {
				t.Errorf("got the log %s want the corrected file to be read", log)
			}
		}
	})
}

// A full disk can truncate a file anywhere. This removes no key, and gives no key more rights.
func TestKeyring_CutOffFileKeepsTheOldKeys(t *testing.T) {
	a, b := lineFor("a", "name=a scope=count"), lineFor("b", "name=b scope=all room=planning expires=2099-12-31")
	watch(t, a+b, func(w *watched) {
		for cut := range len(a + b) {
			w.write((a + b)[:cut])
			log := w.wait(soon)
			if cut == len(a) { // looks like a removed line
				w.want("a "+testKey, "b")
			} else {
				if w.want("a b " + testKey); strings.Count(log, `"keys file invalid, keeping previous keys"`) != 1 {
					t.Errorf("cut off after %d bytes: got the log %s, want one error", cut, log)
				}
				if cut == 0 && !strings.Contains(log, "it is empty") || cut > len(a) && !strings.Contains(log, "the last line has no line break") {
					t.Errorf("cut off after %d bytes: got the log %s, want it to say what is wrong", cut, log)
				}
			}
			w.write(a + b)
			w.wait(soon)
			w.want("a b " + testKey)
		}
	})
	// A file that never ended with a line break, as in some secrets of Kubernetes, is accepted.
	watch(t, a+strings.TrimSpace(b), func(w *watched) {
		w.write(strings.TrimSpace(a))
		w.wait(soon)
		w.want("a "+testKey, "b")
	})
}

// An editor may truncate a file before it writes it, and a read may come in between.
func TestKeyring_FileBeingWrittenKeepsTheOldKeys(t *testing.T) {
	a := lineFor("a", "name=a scope=count")
	watch(t, a, func(w *watched) {
		for i := range 10 { // one of them is between two reads
			w.wait(time.Duration(i) * 100 * time.Millisecond)
			w.write("")
			w.wait(1900 * time.Millisecond)
			w.want("a")
			w.write(a)
			w.wait(soon)
			w.want("a")
		}
	})
}

func TestKeyring_ReloadKeepsUsedUpQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := lineFor("a", "name=a scope=all")
		path := filepath.Join(t.TempDir(), "keys")
		check(t, os.WriteFile(path, []byte(text), 0o600))
		k := keyring(t, keys.KeyringConfig{File: path, Names: names, Rate: 1})
		for i, want := range []bool{true, true, false} { // bursts of two
			if _, err := k.Find(keys.SumOf("a")).Use(time.Now()); (err == nil) != want {
				t.Errorf("use %d: got %v want it allowed: %t", i+1, err, want)
			}
		}
		hangup := make(chan os.Signal)
		defer componenttest.Run(t, func(ctx context.Context) error { return k.Run(ctx, hangup) })()
		check(t, os.WriteFile(path, []byte(text+lineFor("b", "name=b scope=all")), 0o600))
		hangup <- os.Interrupt
		synctest.Wait()
		if k.Count() != 2 {
			t.Errorf("got %d keys want 2", k.Count())
		}
		limited := (*keys.RateLimitError)(nil)
		if _, err := k.Find(keys.SumOf("a")).Use(time.Now()); !errors.As(err, &limited) || limited.Reset != time.Second {
			t.Errorf("got %v want a wait of a second, as before the reload", err)
		}
	})
}

func TestKeyring_WarnsOfAFileOpenToEverybody(t *testing.T) {
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o640: "", 0o644: "keys file is world-readable", 0o666: "keys file is world-writable",
	} {
		path, log := filepath.Join(t.TempDir(), "keys"), &componenttest.LogBuffer{}
		check(t, firstOf(os.WriteFile(path, []byte(lineFor("a", "name=a scope=all")), 0o600), os.Chmod(path, mode)))
		keyring(t, keys.KeyringConfig{File: path, Names: names, Log: slog.New(slog.NewJSONHandler(log, nil))})
		if got := log.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%o: got the log %q want %q in it", mode, got, want)
		}
	}
}

func TestKeyring_ForgetsAddressesThatGuessed(t *testing.T) {
	k := keyring(t, keys.KeyringConfig{Key: testKey})
	for i := range 2 * keys.MaxGuessers {
		from := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 256), byte(i)}), 32)
		if _, err := k.Identify("guess", from); !errors.Is(err, keys.ErrWrongKey) {
			t.Fatalf("%s: got %v want %v", from, err, keys.ErrWrongKey)
		}
	}
	if got := k.Guessers(); got != keys.MaxGuessers {
		t.Errorf("got %d addresses want %d", got, keys.MaxGuessers)
	}
}

// PPCH_API_KEY has every scope; "all" in a file excludes history and webhooks.
func TestScope_AllLeavesOutHistoryAndWebhooks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	lines := lineFor("key-for-the-present-0", "name=present scope=all") + lineFor("key-for-the-past-0000", "name=past scope=history,webhooks")
	check(t, os.WriteFile(file, []byte(lines), 0o600))
	ring := keyring(t, keys.KeyringConfig{Key: testKey, File: file, Names: names})
	for text, want := range map[string]bool{testKey: true, "key-for-the-present-0": false, "key-for-the-past-0000": true} {
		k := must(ring.Identify(text, netip.MustParsePrefix("192.0.2.1/32")))(t)
		if got := (keys.Grant{Key: k}).Has(keys.ScopeHistory | keys.ScopeWebhooks); got != want {
			t.Errorf("%s: got %t want %t", k.Name(), got, want)
		}
	}
}

// must returns v, and ends the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// check ends the test if there is an error.
var check = componenttest.Check
