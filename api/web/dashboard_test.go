package web_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ppch/prosody/prosodytest"
)

// The dashboard stays right through any sequence of events. Node.js tests its modules, in a folder whose package.json
// declares them as modules.
func TestDashboard_FollowsEvents(t *testing.T) {
	t.Parallel()
	node := prosodytest.Installed(t, "node")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("dashboard")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"type": "module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(node, filepath.Join("testdata", "dashboard.mjs"), dir, filepath.Join("lang", "en.json")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
