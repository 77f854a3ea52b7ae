package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// skewedClock returns an overlay for "go build" in which the wall clock of a program is ahead by PPCH_TEST_SKEW seconds.
// Go's programs read the clock without the C library, so that no other way exists to set it for one process.
func skewedClock(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root := must(exec.Command("go", "env", "GOROOT").Output())(t)
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source := must(os.ReadFile(original))(t)
	const call = "sec, nsec, mono := runtimeNow()"
	if bytes.Count(source, []byte(call)) != 1 {
		t.Fatalf("%s: %d times %q want 1: adjust this test to this version of Go", original, bytes.Count(source, []byte(call)), call)
	}
	source = bytes.Replace(source, []byte(call), []byte(call+"\n\tsec += skew"), 1)
	source = append(source, `
var skew = func() (n int64) {
	text, _ := syscall.Getenv("PPCH_TEST_SKEW")
	sign := int64(1)
	for _, digit := range text {
		if digit == '-' {
			sign = -1
		} else {
			n = 10*n + int64(digit-'0')
		}
	}
	return sign * n
}()
`...)
	source = bytes.Replace(source, []byte("import ("), []byte("import (\n\t\"syscall\""), 1)
	changed := filepath.Join(dir, "time.go")
	if err := os.WriteFile(changed, source, 0o600); err != nil {
		t.Fatal(err)
	}
	overlay := must(json.Marshal(map[string]any{"Replace": map[string]string{original: changed}}))(t)
	return written(t, "overlay.json", string(overlay))
}
