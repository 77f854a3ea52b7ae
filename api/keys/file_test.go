package keys_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/api/keys"
)

// loadKeys returns the error of a Keyring with that file of keys.
func loadKeys(t *testing.T, text string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	check(t, os.WriteFile(path, []byte(text), 0o600))
	_, err := keys.NewKeyring(keys.KeyringConfig{Key: testKey, File: path, Names: names})
	if err != nil && !strings.HasPrefix(err.Error(), "keys: file "+path+":\n  ") {
		t.Errorf("got %v want the file named", err)
	}
	return err
}

func TestFile_NamesEachBadLine(t *testing.T) {
	const (
		sum        = "sha256=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		good       = "name=a scope=count " + sum
		other      = "sha256=ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		noField    = " is not a field: use name=, sha256=, scope=, room=, streams=, expires="
		badName    = "line 1: name: use up to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or digit"
		badSum     = `line 1: sha256: use the 64 hexadecimal digits that "ppch key new" prints, not the key itself`
		badScope   = ": use count, participants, events, metrics, history, webhooks, share or all"
		badPattern = "line 1: room: a * is allowed only at the end of a room's name, as in stand-up* or acme/*"
		badRoom    = "line 1: room: a room's name can't contain ? or #: use * at its end to match any suffix"
		badDate    = " is neither a day such as 2027-12-31 nor a time such as 2027-12-31T18:00:00Z"
	)
	for _, c := range []struct{ name, in, want string }{
		{"a word that is no field", good + " dashboard", "line 1: word 4" + noField},
		{"an unknown field", good + " scopes=all", "line 1: word 4" + noField},
		{"a field in upper case", "Name=a", "line 1: word 1" + noField},
		{"a comment behind a key", good + " # for Ada", "line 1: word 4" + noField},
		{"the key itself, which isn't shown", "ppch_ABCDEFGHIJKLMNOPQRSTUVWXYZ=", "line 1: word 1" + noField},
		{"what ppch key new prints, all of it", "Line for the file in PPCH_API_KEYS_FILE:\n" + good, "line 1: word 1" + noField},
		{"YAML", "- name: a", "line 1: word 1" + noField},
		{"a blank behind the equals sign", "name= a", badName},
		{"a field twice", good + " scope=events", "line 1: scope: duplicate field: separate values with commas"},
		{"no name", "scope=count " + sum, "line 1: name= is missing"},
		{"no sum", "name=a scope=count", "line 1: sha256= is missing"},
		{"no scope", "name=a " + sum, "line 1: scope= is missing"},
		{"an empty name", "name= scope=count " + sum, badName},
		{"a name with markup", "name=<b> scope=count " + sum, badName},
		{"a name that is too long", "name=" + strings.Repeat("a", 65), badName},
		{"a name beyond ASCII", "name=é", badName},
		{"a sum that is a key", "name=a sha256=correct-horse", badSum},
		{"a sum that is too short", "name=a " + sum[:60], badSum},
		{"a sum that is too long", "name=a " + sum + "00", badSum},
		{"the sum of another function", "name=a sha256=" + strings.Repeat("0", 128), badSum},
		{"an unknown scope", "name=a scope=read " + sum, `line 1: scope: unknown scope "read"` + badScope},
		{"an empty scope", "name=a scope= " + sum, `line 1: scope: unknown scope ""` + badScope},
		{"a trailing comma", "name=a scope=count, " + sum, `line 1: scope: unknown scope ""` + badScope},
		{"no room", good + " room=", "line 1: room: a room name can't be empty"},
		{"an empty one of two rooms", good + " room=a,,b", "line 1: room: a room name can't be empty"},
		{"a star at the beginning", good + " room=*up", badPattern},
		{"two stars", good + " room=a**", badPattern},
		{"a star for the tenant", good + " room=*/planning", badPattern},
		{"a star for the domain", good + " room=planning@*", badPattern},
		{"a question mark", good + " room=a?", badRoom},
		{"a fragment before the star", good + " room=a#x*", badRoom},
		{"a room on another service", good + " room=a@example.com", "line 1: room: the domain after the first @ isn't watched; watched domains: muc.meet.jitsi, breakout.meet.jitsi"},
		{"a class of characters", good + " room=[a-c", "line 1: room: a bracket has no partner; a tenant's room is [tenant]room"},
		{"no streams at all", good + " streams=0", `line 1: streams: "0" is not a number from 1 to 1000000`},
		{"streams in words", good + " streams=few", `line 1: streams: "few" is not a number from 1 to 1000000`},
		{"more streams than there may be", good + " streams=1000001", `line 1: streams: "1000001" is not a number from 1 to 1000000`},
		{"a date that does not exist", good + " expires=2027-02-30", `line 1: expires: "2027-02-30"` + badDate},
		{"an end in words", good + " expires=never", `line 1: expires: "never"` + badDate},
		{"an end that would count as none", good + " expires=0000-12-31", `line 1: expires: "0000-12-31"` + badDate},
		{"a time that would count as none", good + " expires=0001-01-01T00:00:00Z", `line 1: expires: "0001-01-01T00:00:00Z"` + badDate},
		{"a time without a zone", good + " expires=2027-12-31T18:00:00", `line 1: expires: "2027-12-31T18:00:00"` + badDate},
		{"a name twice", good + "\n\nname=a scope=all " + other, "line 3: name: already used in line 1"},
		{"a key twice", good + "\nname=b scope=all " + sum, "line 2: sha256: duplicate of the key in line 1"},
		{"a key twice, in upper case", good + "\nname=b scope=all sha256=" + strings.ToUpper(sum[7:]), "line 2: sha256: duplicate of the key in line 1"},
		{"the key that has no file", strings.TrimSpace(lineFor(testKey, "name=a scope=count")), "line 1: sha256: duplicate of the key in PPCH_API_KEY"},
		{"its name", "name=PPCH_API_KEY scope=all " + sum, "line 1: name: already used in PPCH_API_KEY"},
		{"two bad lines", "name=a\n# one\nscope=all", "line 1: sha256= is missing\n  line 3: name= is missing"},
		{"something else altogether", strings.Repeat("<p>\n", 100), bad(20) + "\n  and 80 more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := loadKeys(t, c.in)
			if err == nil {
				t.Fatal("got no error")
			}
			if _, got, _ := strings.Cut(err.Error(), ":\n  "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if strings.Contains(err.Error(), "ABCDEF") || strings.Contains(err.Error(), "horse") {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
}

// bad returns the problems of the first n lines of a wrong file.
func bad(n int) string {
	var problems []string
	for i := range n {
		problems = append(problems, fmt.Sprintf("line %d: word 1 is not a field: use name=, sha256=, scope=, room=, streams=, expires=", i+1))
	}
	return strings.Join(problems, "\n  ")
}

func TestFile_AcceptsItsVariants(t *testing.T) {
	line := strings.TrimSpace(lineFor("k", "name=a.b-C_9 scope=count,events expires=2027-12-31T18:00:00.5+01:00 room=Planning,acme/*,[x]*,*@breakout.meet.jitsi"))
	for name, text := range map[string]string{
		"one line":                      line,
		"the end of a line of Windows":  line + "\r\n",
		"a byte order mark":             "\ufeff" + line + "\n",
		"comments and empty lines":      "\n# keys\n\n  # more\n\t\n" + line + "\n\n",
		"tabs and blanks":               "\t" + strings.ReplaceAll(line, " ", " \t ") + " ",
		"a sum in upper case":           strings.Replace(line, line[7:71], strings.ToUpper(line[7:71]), 1),
		"an end that is over":           line[:71] + " name=old scope=all expires=2020-01-01",
		"a scope that includes another": line[:71] + " name=both scope=count,participants,all",
	} {
		t.Run(name, func(t *testing.T) {
			if err := loadKeys(t, text); err != nil {
				t.Error(err)
			}
		})
	}
	if err := loadKeys(t, "# none yet\n"); err != nil {
		t.Errorf("with another key a file may be empty: %v", err)
	}
}

func TestKeyring_NeedsAKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	for name, cfg := range map[string]keys.KeyringConfig{"nothing at all": {}, "a file without keys": {File: path, Names: names}} {
		check(t, os.WriteFile(path, []byte("# none yet\n"), 0o600))
		if _, err := keys.NewKeyring(cfg); err == nil || err.Error() != "keys: no API key is configured" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := keys.NewKeyring(keys.KeyringConfig{Key: testKey, File: path + "x", Names: names}); err == nil || err.Error() != "keys: file: stat "+path+"x: no such file or directory" {
		t.Errorf("no file: got %v", err)
	}
}

// A file of keys is either rejected, with each wrong line named,
// or can be written like "ppch key new" does without a change of meaning.
func FuzzKeys(f *testing.F) {
	sum := strings.TrimSpace(lineFor("seed", ""))
	for _, seed := range []string{
		"", "# keys", sum + " name=a scope=count", sum + " name=a scope=all room=acme/*,x expires=2027-12-31\r\n",
		"\ufeff" + sum + " name=a scope=events", sum + " name=a scope=count room=caf%C3%A9*,%2a,*@breakout.meet.jitsi",
		sum + " name=a scope=count room=\u212b*", "name=a\nname=a", "name=a\u00a0scope=all", "\x00=\xff", sum + " name=a scope=all streams=20 expires=9999-12-31",
		sum + " name=a scope=count room=[acme]*,a%4*,..*", strings.Repeat("=\n", 100),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := keys.Rewrite(text, names)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n  ") {
				var n int
				if _, scanErr := fmt.Sscanf(line, "line %d: ", &n); scanErr != nil && !strings.HasPrefix(line, "and ") || n > strings.Count(text, "\n")+1 {
					t.Errorf("got the problem %q want one of a line that there is", line)
				}
			}
			return
		}
		again, err := keys.Rewrite(strings.Join(lines, "\n"), names)
		if diff := cmp.Diff(lines, again); err != nil || diff != "" {
			t.Errorf("%q, written and read again, differs: %v %s", text, err, diff)
		}
	})
}
