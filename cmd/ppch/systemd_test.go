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

// units are the units with the secrets that each needs.
var units = map[string][]string{
	"ppch.service":           {"API_KEY", "COMPONENT_SECRET"},
	"ppch-collector.service": {"API_KEY", "COMPONENT_SECRET", "CLUSTER_SECRET", "NATS_PASSWORD"},
	"ppch-node.service":      {"API_KEY", "CLUSTER_SECRET", "NATS_PASSWORD"},
}

// analyze runs systemd-analyze on a unit, with another program instead of the installed one.
func analyze(t *testing.T, name string, args ...string) string {
	t.Helper()
	exe := prosodytest.Installed(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), name)
	put(t, unit, strings.Replace(ofFile(t, "deploy/systemd/"+name), "/usr/local/bin/ppch", must(os.Executable())(t), 1))
	out, err := exec.Command(exe, append(args, unit)...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestSystemd_VerifiesUnit(t *testing.T) {
	t.Parallel()
	for name := range units {
		if out := analyze(t, name, "verify", "--man=no"); strings.Contains(out, name) {
			t.Errorf("got %s", out)
		}
	}
}

func TestSystemd_SecurityRating(t *testing.T) {
	t.Parallel()
	for name := range units {
		out := analyze(t, name, "security", "--offline=true", "--no-pager")
		m := regexp.MustCompile(`exposure level for ` + regexp.QuoteMeta(name) + `: ([0-9.]+) (\w+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("got no rating in %s", out)
		}
		// OK is below 4.9 and SAFE below 0.9; the rest is the network, which the service needs.
		if rating := must(strconv.ParseFloat(m[1], 64))(t); rating > 1.5 {
			t.Errorf("got %s want 1.5 at most:\n%s", m[0], out)
		}
	}
}

func TestSystemd_SecretsStayOutOfEnvironment(t *testing.T) {
	t.Parallel()
	for unit, secrets := range units {
		text := ofFile(t, "deploy/systemd/"+unit)
		if got := strings.Count(text, "\nLoadCredential="); got != len(secrets) {
			t.Errorf("%s: got %d credentials want %d", unit, got, len(secrets))
		}
		for _, secret := range secrets {
			name := strings.ToLower(strings.ReplaceAll(secret, "_", "-"))
			for _, line := range []string{"\nLoadCredential=" + name + ":/etc/ppch/", "PPCH_" + secret + "_FILE=%d/" + name} {
				if !strings.Contains(text, line) {
					t.Errorf("%s: got no %q", unit, line)
				}
			}
		}
	}
}
