package api_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ppch/prosody/prosodytest"
)

// LibreOffice opens the attendance, whose names are hostile, as text and numbers, and calculates nothing.
func TestAttendance_LibreOfficeFindsNoFormula(t *testing.T) {
	t.Parallel()
	office := prosodytest.Installed(t, "soffice")
	s := start(t, withMeetings)
	dir := t.TempDir()
	args := []string{"-env:UserInstallation=file://" + filepath.Join(dir, "profile"), "--headless", "--convert-to", "fods", "--outdir", dir}
	for _, format := range []string{"plain", "zoom", "teams"} {
		path := filepath.Join(dir, format+".csv")
		body := s.get("/api/meetings/" + meetingID + "/attendance?bom=true&format=" + format).body
		check(t, os.WriteFile(path, body, 0o600))
		args = append(args, path)
	}
	// To show that a formula would be found.
	check(t, os.WriteFile(filepath.Join(dir, "formula.csv"), []byte("name\r\n=1+1\r\n"), 0o600))
	args = append(args, filepath.Join(dir, "formula.csv"))
	if out, err := exec.Command(office, args...).CombinedOutput(); err != nil {
		t.Fatalf("soffice: %v\n%s", err, out)
	}
	sheet := func(name string) string {
		text := must(os.ReadFile(filepath.Join(dir, name+".fods")))(t)
		return string(text)
	}
	for _, format := range []string{"plain", "zoom", "teams"} {
		text := sheet(format)
		if strings.Contains(text, "table:formula") {
			t.Errorf("%s: got a formula", format)
		}
		for _, want := range []string{"Ada", "cmd|", "standup"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: got no %q", format, want)
			}
		}
	}
	if !strings.Contains(sheet("formula"), "table:formula") {
		t.Error("got no formula for one that isn't defused: this test proves nothing")
	}
}
