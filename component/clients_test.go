package component_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// slixmpp returns a Python that has slixmpp.
// Another Python may come before the system's in PATH, without its libraries.
func slixmpp(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import slixmpp").Run() == nil {
			return python
		}
	}
	prosodytest.Missing(t, "this machine has no python3-slixmpp")
	return ""
}

func TestAdmin_Slixmpp(t *testing.T) {
	t.Parallel()
	python := slixmpp(t)
	s := newScene(t, withModule)
	s.populate(t)
	for i := range 20 {
		must(s.cast.Open(s.ctx, fmt.Sprintf("breakout%02d@%s", i, s.srv.Domains.Breakout)))(t)
	}
	eventually(t, 10*time.Second, "the breakout rooms are there", func() bool {
		_, xml := page(t, s, s.srv.Domains.Breakout, "<max>0</max>")
		return strings.Contains(xml, "<count>20</count>")
	})
	_, port, err := net.SplitHostPort(s.srv.ClientAddr())
	check(t, err)
	cmd := exec.CommandContext(s.ctx, python, "testdata/admin.py", port, bossJID, "secret", s.srv.Domains.Component)
	cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out := must(cmd.StdoutPipe())(t)
	check(t, cmd.Start())
	var got []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "READY" {
			must(s.cast.User(s.ctx, s.srv.Room("planning"), "Linus"))(t)
			continue
		}
		got = append(got, settled(lines.Text()))
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, strings.Join(got, "\n"), &complaints)
	}
	want := must(os.ReadFile("testdata/admin.txt"))(t)
	same(t, "what slixmpp sees", strings.Split(strings.TrimSpace(string(want)), "\n"), got)
}

var (
	changingTimes = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\b\d+(\.\d+)?m?s\b`)
	changingIDs   = regexp.MustCompile(`epoch [\w-]+|version [\d.]+|batch \d+|\b[0-9a-f]{8}\b|127\.0\.0\.1:\d+|[\w-]+@meet\.jitsi/[\w-]+|(recorder@hidden\.meet\.jitsi/)[\w-]+`)
)

// settled returns a line without the parts that differ from run to run.
func settled(line string) string {
	return changingTimes.ReplaceAllString(changingIDs.ReplaceAllString(line, "…"), "…")
}
