package web_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// The page requests all modules that it needs for the list of rooms at once, instead of one generation of imports after the other.
func TestDashboard_PreloadsItsModules(t *testing.T) {
	t.Parallel()
	imported := regexp.MustCompile(`(?m)^import .* from "\./(.+)";$`)
	want := map[string]bool{"app.js": true}
	for left := []string{"app.js"}; len(left) > 0; left = left[1:] {
		source, err := os.ReadFile(filepath.Join("dashboard", left[0]))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range imported.FindAllStringSubmatch(string(source), -1) {
			if name := m[1]; !want[name] {
				want[name] = true
				left = append(left, name)
			}
		}
	}
	page, err := os.ReadFile(filepath.Join("dashboard", "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`<link rel="modulepreload" href="(.+?)">`).FindAllStringSubmatch(string(page), -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	if all := slices.Sorted(maps.Keys(want)); !slices.Equal(got, all) {
		t.Errorf("index.html preloads\n%v want\n%v", got, all)
	}
}
