package api_test

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ppch/api"
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
		cfg.Keys = keyring(api.KeyringConfig{File: f.Name(), Names: names})
	}
}

// usedUp adjusts the key that tests send to be used up.
func usedUp(cfg *api.Config) {
	cfg.Keys = keyring(api.KeyringConfig{Key: testKey})
	cfg.Keys.UseUp()
}

// both makes two adjustments.
func both(a, b func(*api.Config)) func(*api.Config) {
	return func(cfg *api.Config) { a(cfg); b(cfg) }
}

// watched is a file of keys that a Keyring heeds, in virtual time.
type watched struct {
	*api.Keyring
	t      *testing.T
	path   string
	log    *logBuffer
	hangup chan os.Signal
}

// watch runs f with a file of keys.
func watch(t *testing.T, text string, f func(w *watched)) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, path: filepath.Join(t.TempDir(), "keys"), log: &logBuffer{}, hangup: make(chan os.Signal)}
		w.write(text)
		w.Keyring = keyring(api.KeyringConfig{Key: testKey, File: w.path, Names: names, Log: slog.New(slog.NewJSONHandler(w.log, nil))})
		done := make(chan error)
		go func() { done <- w.Run(t.Context(), w.hangup) }()
		t.Cleanup(func() { // the context has ended by now
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		f(w)
	})
}

func (w *watched) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// wait lets time pass and then says what the log got.
func (w *watched) wait(d time.Duration) (logged string) {
	before := len(w.log.String())
	time.Sleep(d)
	synctest.Wait()
	return w.log.String()[before:]
}

// want checks which of the keys there are.
func (w *watched) want(there string, gone ...string) {
	w.t.Helper()
	for _, key := range strings.Fields(there) {
		if !w.Find(key) {
			w.t.Errorf("got no key %s", key)
		}
	}
	for _, key := range gone {
		if w.Find(key) {
			w.t.Errorf("got a key %s still", key)
		}
	}
}

const soon = 5 * time.Second

func TestAChangedFileIsHeeded(t *testing.T) {
	a, b := lineFor("a", "name=a scope=count"), lineFor("b", "name=b scope=all")
	watch(t, a, func(w *watched) {
		w.want("a "+testKey, "b")
		w.write(a + b)
		if log := w.wait(soon); strings.Count(log, "\n") != 1 || !strings.Contains(log, `"msg":"keys read"`) || !strings.Contains(log, `"keys":3`) {
			t.Errorf("got the log %s want one word of 3 keys", log)
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

func TestAFileIsHeededHoweverItIsReplaced(t *testing.T) {
	a, b := lineFor("a", "name=a scope=count"), lineFor("b", "name=b scope=count")
	put := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
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
				if err := replace(t, w.path); err != nil {
					t.Fatal(err)
				}
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

func TestSIGHUPDoesNotWait(t *testing.T) {
	watch(t, lineFor("a", "name=a scope=count"), func(w *watched) {
		w.write(lineFor("b", "name=b scope=count"))
		w.hangup <- os.Interrupt // whatever it is
		synctest.Wait()
		w.want("b", "a")
		w.hangup <- os.Interrupt
		synctest.Wait()
		if got := strings.Count(w.log.String(), "keys read"); got != 2 {
			t.Errorf("got %d words of it want one for each signal, lest the operator wonder", got)
		}
	})
}

func TestABadFileKeepsTheOldKeys(t *testing.T) {
	good := lineFor("a", "name=a scope=count")
	watch(t, good, func(w *watched) {
		for name, spoil := range map[string]func() error{
			"line 2: ":                  func() error { w.write(good + "nonsense\n"); return nil },
			"no such file or directory": func() error { return os.Remove(w.path) },
			"is no regular file":        func() error { return firstOf(os.Remove(w.path), os.Mkdir(w.path, 0o700)) },
			"more than 1048576 bytes":   func() error { w.write(strings.Repeat("#", 1<<20+1)); return nil },
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			log := w.wait(time.Minute)
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, `"level":"ERROR","msg":"keys not read: those from before stay"`) || !strings.Contains(log, name) {
				t.Errorf("got the log %s want one error with %q", log, name)
			}
			w.want("a " + testKey)
			if err := os.RemoveAll(w.path); err != nil {
				t.Fatal(err)
			}
			w.write(good)
			if log := w.wait(time.Minute); !strings.Contains(log, "keys read") {
				t.Errorf("got the log %s want the mended file to be read", log)
			}
		}
	})
}

// A full disk cuts a file off wherever it likes. No key is withdrawn by that, and none is good for more than its line said.
func TestKeysFile_CutOffKeepsTheOldKeys(t *testing.T) {
	a, b := lineFor("a", "name=a scope=count"), lineFor("b", "name=b scope=all room=planning expires=2099-12-31")
	watch(t, a+b, func(w *watched) {
		for cut := range len(a + b) {
			w.write((a + b)[:cut])
			log := w.wait(soon)
			if cut == len(a) { // which nobody can tell from a line that was taken out
				w.want("a "+testKey, "b")
			} else {
				if w.want("a b " + testKey); strings.Count(log, `"keys not read: those from before stay"`) != 1 {
					t.Errorf("cut off after %d bytes: got the log %s, want one error", cut, log)
				}
				if cut == 0 && !strings.Contains(log, "it is empty") || cut > len(a) && !strings.Contains(log, "its last line has no end") {
					t.Errorf("cut off after %d bytes: got the log %s, want it to say what is wrong", cut, log)
				}
			}
			w.write(a + b)
			w.wait(soon)
			w.want("a b " + testKey)
		}
	})
	// Where no line break was at the end before, as in some secrets of Kubernetes, nothing is amiss.
	watch(t, a+strings.TrimSpace(b), func(w *watched) {
		w.write(strings.TrimSpace(a))
		w.wait(soon)
		w.want("a "+testKey, "b")
	})
}

// An editor may empty a file before it fills it, and a reader may come in between.
func TestAFileIsNotReadWhileItIsWritten(t *testing.T) {
	a := lineFor("a", "name=a scope=count")
	watch(t, a, func(w *watched) {
		for i := range 10 { // one of them falls between two looks
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

func TestWhoeverIsHeldOffStaysSo(t *testing.T) {
	text := lineFor(testKey, "name=a scope=all")
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := keyring(api.KeyringConfig{File: path, Names: names, Rate: 1})
	keys.UseUp()
	s := start(t, func(cfg *api.Config) { cfg.Keys = keys })
	hangup := make(chan os.Signal)
	done := make(chan error)
	go func() { done <- keys.Run(t.Context(), hangup) }()
	t.Cleanup(func() { <-done })
	if err := os.WriteFile(path, []byte(text+lineFor("b", "name=b scope=all")), 0o600); err != nil {
		t.Fatal(err)
	}
	hangup <- os.Interrupt
	hangup <- os.Interrupt // the first one has been heeded by now
	if got := s.get("/api/rooms/r/participants"); got.status != 429 {
		t.Errorf("got %d want 429, as before the file was read anew", got.status)
	}
}

func TestAFileThatEverybodyReachesIsWarnedOf(t *testing.T) {
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o640: "", 0o644: "everybody on this machine can read the keys file", 0o666: "everybody on this machine can write the keys file",
	} {
		path, log := filepath.Join(t.TempDir(), "keys"), &logBuffer{}
		if err := firstOf(os.WriteFile(path, []byte(lineFor("a", "name=a scope=all")), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		keyring(api.KeyringConfig{File: path, Names: names, Log: slog.New(slog.NewJSONHandler(log, nil))})
		if got := log.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%o: got the log %q want %q in it", mode, got, want)
		}
	}
}
