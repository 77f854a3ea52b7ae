package api_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ppch/prosody/prosodytest"
)

// What the dashboard makes of events is right whatever happens. Its modules are tested by Node.js, which takes them for
// modules in a folder that says so.
func TestTheDashboardMakesOfEventsWhatTheyTell(t *testing.T) {
	t.Parallel()
	node := prosodytest.Installed(t, "node")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("dashboard")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"type": "module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(node, filepath.Join("testdata", "dashboard.mjs"), dir).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
