package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// The documents with executed examples.
const (
	topReadme     = "README.md"
	apiReadme     = "api/README.md"
	webhookReadme = "api/webhook/README.md"
	programReadme = "cmd/ppch/README.md"
)

// example returns the code block of that language in a document that begins with a line.
func example(t *testing.T, document, language, begin string) string {
	t.Helper()
	_, block, ok := strings.Cut(ofTheProject(t, document), "\n```"+language+"\n"+begin+"\n")
	block, _, end := strings.Cut(block, "\n```\n")
	if !ok || !end {
		t.Fatalf("%s has no block of %s that begins with %q", document, language, begin)
	}
	return begin + "\n" + block + "\n"
}

// adapted returns an example with replaced values; each must occur in it.
func adapted(t *testing.T, example string, replace map[string]string) string {
	t.Helper()
	for what, by := range replace {
		if !strings.Contains(example, what) {
			t.Fatalf("the example has no %q:\n%s", what, example)
		}
		example = strings.ReplaceAll(example, what, by)
	}
	return example
}

// written writes a temporary file and returns its path.
func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	check(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// freeAddress returns a loopback address without a listener.
func freeAddress(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(must(prosodytest.FreePort())(t)))
}

// inBackground runs a server until the test ends and shows its output if the test fails.
func inBackground(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	log := &logBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 5 * time.Second // for a child that keeps the output open
	gone := must(prosodytest.Tie(cmd))(t)
	t.Cleanup(func() {
		// Only the server can end its children.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-gone
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", filepath.Base(cmd.Path), log)
		}
	})
}

// section returns the text below a heading of a document, up to the next heading of its rank or above.
func section(t *testing.T, document, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(ofTheProject(t, document), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %s", document, heading)
	}
	rank, _, _ := strings.Cut(heading, " ")
	next := regexp.MustCompile(`\n#{2,` + strconv.Itoa(len(rank)) + `} `)
	return next.Split(text, 2)[0]
}
