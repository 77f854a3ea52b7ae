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

// typed is a command of README.md with what it is said to print.
type typed struct{ command, output string }

// consoles returns what README.md has people type at a shell, in order.
// A console without a shell's prompt is of another program.
func consoles(t *testing.T) (all []typed) {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(readme), "\n```console\n")[1:] {
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

// random is what differs each time a key is made.
var random = regexp.MustCompile(`ppch_[A-Z2-7]{26}|sha256=[0-9a-f]{64}`)

// shape returns what must be the same of an output whoever is in the rooms at the time:
// of JSON its fields and values except numbers and what lists have in them, of other text everything that isn't random.
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
		// People come and go, so that a list may be longer or shorter, but none gets empty or the other way round.
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

// What README.md shows to be typed is typed, beside a running demo whose service has the key of README.md's own in its file.
func TestWhatTheREADMEShowsIsWhatIsSeen(t *testing.T) {
	t.Parallel()
	prosodytest.New(t, prosodytest.Options{})
	prosodytest.Installed(t, "curl")
	prosodytest.Installed(t, "jq")
	all := consoles(t)
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
	for _, c := range all {
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

	exports, seen := "", 0
	for _, c := range all {
		if strings.HasPrefix(c.command, "export ") {
			exports += c.command + "\n"
			continue
		}
		if strings.HasPrefix(c.command, "ppch room") || strings.HasPrefix(c.command, "ppch watch") {
			continue // tables of people and times, of which the tests of package terminal are
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", exports+strings.ReplaceAll(c.command, "http://127.0.0.1:8890", url))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("$ %s\n%v", c.command, err)
			continue
		}
		if diff := cmp.Diff(shape(c.output), shape(strings.TrimSpace(string(out)))); diff != "" {
			t.Errorf("$ %s\n%s\n-README +seen:\n%s", c.command, out, diff)
		}
		seen++
	}
	if seen < 5 {
		t.Errorf("got %d commands, so the README isn't read as it is written", seen)
	}
}
