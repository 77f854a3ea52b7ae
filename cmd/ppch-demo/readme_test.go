package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/prosody/prosodytest"
)

// typed is a command in a document with its output.
type typed struct{ command, output string }

// consoles returns the shell commands in a document, in order. A console without a prompt belongs to another program.
func consoles(t *testing.T, document string) (all []typed) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", document))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "\n```console\n")[1:] {
		block, _, _ = strings.Cut(block, "\n```\n")
		if !strings.HasPrefix(block, "$ ") {
			continue
		}
		for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
			command, output, _ := strings.Cut(part, "\n")
			all = append(all, typed{command, strings.TrimSpace(output)})
		}
	}
	return all
}

// random matches what differs in each new key.
var random = regexp.MustCompile(`pp(ch|s)_[A-Z2-7]{26}|sha256=[0-9a-f]{64}|name=share-[a-z0-9]{6}`)

// shape returns the part of an output that does not depend on the people in the rooms: the fields and values of JSON, except
// numbers and list items, and of other text everything that isn't random.
func shape(output string) any {
	var values []any
	for d := json.NewDecoder(strings.NewReader(output)); ; {
		var v any
		err := d.Decode(&v)
		if err == io.EOF {
			return values
		}
		if err != nil {
			return random.ReplaceAllString(output, "RANDOM")
		}
		values = append(values, shapeOf(v))
	}
}

func shapeOf(v any) any {
	switch v := v.(type) {
	case float64:
		return "a number"
	case []any:
		// People come and go, so a list grows and shrinks, but never becomes empty.
		kinds := map[string]bool{}
		for _, e := range v {
			if s, ok := e.(string); ok && s != "" {
				e = "text"
			}
			kinds[fmt.Sprint(shapeOf(e))] = true
		}
		return kinds
	case map[string]any:
		for field, e := range v {
			v[field] = shapeOf(e)
		}
	}
	return v
}

// Each command in the documents prints what is shown there, while the demo runs with the documented keys file.
func TestReadme_CommandsPrintWhatIsShown(t *testing.T) {
	t.Parallel()
	prosodytest.New(t, prosodytest.Options{})
	prosodytest.Installed(t, "curl")
	prosodytest.Installed(t, "jq")
	documents := []string{"README.md", "api/README.md", "cmd/ppch/README.md"}
	all := map[string][]typed{}
	for _, document := range documents {
		all[document] = consoles(t, document)
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "ppch/cmd/ppch", "ppch/cmd/ppch-demo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keys := ""
	for _, c := range all["api/README.md"] {
		if strings.HasPrefix(c.command, "ppch key new") {
			keys = c.output[strings.LastIndex(c.output, "\n")+1:] + "\n"
		}
	}
	file := write("keys", keys, 0o600)
	program := write("with-keys", "#!/bin/sh\nPPCH_API_KEYS_FILE='"+file+"' exec '"+dir+"/ppch' \"$@\"\n", 0o700)

	demo := exec.Command(filepath.Join(dir, "ppch-demo"), "--port", "0", "--ppch", program)
	stdout, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	stop := func() error {
		_ = demo.Process.Signal(syscall.SIGTERM)
		for lines.Scan() {
		}
		return demo.Wait()
	}
	url := ""
	for url == "" || !strings.Contains(lines.Text(), "People come and go now") {
		if !lines.Scan() {
			t.Fatalf("the demo ended: %v", stop())
		}
		if _, after, ok := strings.Cut(lines.Text(), "PPCH is up at "); ok {
			url, _, _ = strings.Cut(after, " ")
		}
	}
	defer func() {
		if err := stop(); err != nil {
			t.Errorf("the demo ended with %v", err)
		}
	}()

	for _, document := range documents {
		exports, seen := "", 0 // a reader may start with any document
		for _, c := range all[document] {
			if strings.HasPrefix(c.command, "export ") {
				exports += c.command + "\n"
				continue
			}
			seen++
			if strings.HasPrefix(c.command, "ppch room") || strings.HasPrefix(c.command, "ppch watch") {
				continue // people and times vary; package terminal tests its tables
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", exports+strings.ReplaceAll(c.command, "http://127.0.0.1:8890", url))
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%s: $ %s\n%v", document, c.command, err)
				continue
			}
			if diff := cmp.Diff(shape(c.output), shape(strings.TrimSpace(string(out)))); diff != "" {
				t.Errorf("%s: $ %s\n%s\n-document +seen:\n%s", document, c.command, out, diff)
			}
		}
		if exports == "" || seen < 2 {
			t.Errorf("%s: got %d commands after %q, so it isn't read as it is written", document, seen, exports)
		}
	}
}
