package jitsi_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/google/go-cmp/cmp"

	"ppch/cmd/ppch/jitsi"
)

// oddities are unusual files.
var oddities = []string{
	"", "\n", "A=1", "A=1\n", "A=1\r\nB=2\r\n", "A='1'\nA=2\n", "# A=1\n\n  A = 1 # one\n", "export A=1\n", "A:1\n", "A\n", "A",
	"A=\"one\ntwo\" # both\nB=2\n", "A=\"1\" B=2\n", "A='it\\'s'\n", "A=\"$B${C:-x}\"\n", "A=#x\n", "A= #x\n", "A=x #y\n", "\uFEFFA=1\n",
	"A=\"open\nB=2", "A B=1\n", "é=1\n", "A=\n=1\n", "!\nA=1", "A=a,b\nA=c\n", "export\nA=1\n", "A=\\\n", "A=\"\\\\\"\n", "A\u00a0=\u00851\n",
}

func FuzzEnvFile(f *testing.F) {
	for _, text := range oddities {
		f.Add(text, "A", "a value")
		f.Add(text, "NEW", "it's \"$5\"\\ \n#")
	}
	f.Fuzz(func(t *testing.T, text, key, value string) {
		if got := string(jitsi.ParseEnv([]byte(text)).Bytes()); got != text {
			t.Fatalf("parsed and written again got %q want %q", got, text)
		}
		before, err := dotenv.Parse(strings.NewReader(text))
		if err != nil || !jitsi.IsKey(key) || !utf8.ValidString(text) || !utf8.ValidString(value) || strings.ContainsAny(text, "$") || strings.ContainsRune(value, 0) {
			return
		}
		if _, nameless := before[""]; nameless {
			return // a last line with neither = nor line feed: adding a line feed changes its meaning
		}
		e := jitsi.ParseEnv([]byte(text))
		e.Set(key, value)
		after, err := e.Values(nil)
		if err != nil {
			t.Fatalf("%q with %s=%q became %q: %v", text, key, value, e.Bytes(), err)
		}
		want := maps.Clone(before)
		want[key] = value
		if diff := cmp.Diff(want, after); diff != "" {
			t.Fatalf("%q with %s=%q became %q (-want +got):\n%s", text, key, value, e.Bytes(), diff)
		}
		if kept := textsBut(jitsi.ParseEnv([]byte(text)), key); !subsequence(kept, e.Texts()) {
			t.Fatalf("%q with %s=%q became %q: other bytes changed", text, key, value, e.Bytes())
		}
	})
}

// textsBut returns the parts of a file except the statement that counts for key.
func textsBut(e *jitsi.EnvFile, key string) []string {
	texts := e.Texts()
	if i := e.Last(key); i >= 0 {
		texts = slices.Delete(texts, i, i+1)
	}
	return texts
}

// subsequence reports whether whole contains part in order.
func subsequence(part, whole []string) bool {
	for _, text := range whole {
		if len(part) > 0 && part[0] == text {
			part = part[1:]
		}
	}
	return len(part) == 0
}

func TestEnvFile_AddToList(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"a value", "M=a,b\n", "M=a,b,new\n"},
		{"no value", "M=\n", "M=new\n"},
		{"no key", "N=1\n", "N=1\nM=new\n"},
		{"no file", "", "M=new\n"},
		{"a commented key", "#M=a\n", "#M=a\nM=new\n"},
		{"no line feed at the end", "M=a", "M=a,new"},
		{"no line feed at the end, and no key", "N=1", "N=1\nM=new\n"},
		{"CRLF", "N=1\r\nM=a\r\n", "N=1\r\nM=a,new\r\n"},
		{"CRLF, and no key", "N=1\r\n", "N=1\r\nM=new\r\n"},
		{"double quotes", "M=\"a,b\" # mine\n", "M=\"a,b,new\" # mine\n"},
		{"single quotes", "M='a'\n", "M='a,new'\n"},
		{"empty quotes", "M=\"\"\n", "M=\"new\"\n"},
		{"a comment after it", "M=a # mine\n", "M=a,new # mine\n"},
		{"a comma at the end", "M=a,\n", "M=a,new\n"},
		{"another variable", "M=$OTHER\n", "M=$OTHER,new\n"},
		{"two keys, the last counts", "M=a\nM=b\n", "M=a\nM=b,new\n"},
		{"export and blanks", "  export M = a\n", "  export M = a,new\n"},
		{"a key without a value", "M\nN=1\n", "M=new\nN=1\n"},
		{"YAML style", "M: a\n", "M: a,new\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := jitsi.ParseEnv([]byte(tt.in))
			e.AddToList("M", "new")
			if got := string(e.Bytes()); got != tt.want {
				t.Errorf("got %q want %q", got, tt.want)
			}
		})
	}
}

func TestEnvFile_RemoveFromList(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"M=a,new,b\n": "M=a,b\n", "M=new\n": "M=\n", "M=\"a,new\" # x\n": "M=\"a\" # x\n", "M=newer\n": "M=newer\n", "N=1\n": "N=1\n", "M='new'": "M=''",
	} {
		e := jitsi.ParseEnv([]byte(in))
		e.RemoveFromList("M", "new")
		if got := string(e.Bytes()); got != want {
			t.Errorf("%q got %q want %q", in, got, want)
		}
	}
}
