package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ppch/prosody/prosodytest"
)

// analyze runs systemd-analyze on the unit, with another program instead of the installed one.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	exe := prosodytest.Installed(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "ppch.service")
	put(t, unit, strings.Replace(ofFile(t, "deploy/systemd/ppch.service"), "/usr/local/bin/ppch", must(os.Executable())(t), 1))
	out, err := exec.Command(exe, append(args, unit)...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestSystemd_VerifiesUnit(t *testing.T) {
	t.Parallel()
	if out := analyze(t, "verify", "--man=no"); strings.Contains(out, "ppch.service") {
		t.Errorf("got %s", out)
	}
}

func TestSystemd_SecurityRating(t *testing.T) {
	t.Parallel()
	out := analyze(t, "security", "--offline=true", "--no-pager")
	m := regexp.MustCompile(`exposure level for ppch\.service: ([0-9.]+) (\w+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("got no rating in %s", out)
	}
	// OK is below 4.9 and SAFE below 0.9; the rest is the network, which the service needs.
	if rating := must(strconv.ParseFloat(m[1], 64))(t); rating > 1.5 {
		t.Errorf("got %s want 1.5 at most:\n%s", m[0], out)
	}
}

func TestSystemd_SecretsStayOutOfEnvironment(t *testing.T) {
	t.Parallel()
	unit := ofFile(t, "deploy/systemd/ppch.service")
	for _, secret := range []string{"API_KEY", "COMPONENT_SECRET"} {
		name := strings.ToLower(strings.ReplaceAll(secret, "_", "-"))
		for _, line := range []string{"LoadCredential=" + name + ":/etc/ppch/" + name + "\n", "PPCH_" + secret + "_FILE=%d/" + name} {
			if !strings.Contains(unit, line) {
				t.Errorf("got no %q in the unit", line)
			}
		}
	}
}
