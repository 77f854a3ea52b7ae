package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// interpolated is a variable as docker-compose.yml uses it.
var interpolated = regexp.MustCompile(`\$\{([A-Z_]+):-((?:[^${}]|\$\{[^}]*\})*)\}`)

// composeOnly returns the variables that only docker-compose.yml reads, with their defaults.
func composeOnly(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, m := range interpolated.FindAllStringSubmatch(ofTheProject(t, "docker-compose.yml"), -1) {
		all[m[1]] = m[2]
	}
	for _, d := range settingsAsDocumented(t) {
		delete(all, d.Name)
	}
	return all
}

func TestCompose_PassesEveryVariable(t *testing.T) {
	t.Parallel()
	file := ofTheProject(t, "docker-compose.yml")
	for _, d := range settingsAsDocumented(t) {
		handed := strings.Contains(file, "\n      "+d.Name+": ${"+d.Name+":-}\n")
		switch d.Name {
		case "PPCH_HOST", "PPCH_PORT": // fixed within the container
			if handed {
				t.Errorf("%s is passed on: the published port would be wrong", d.Name)
			}
		default:
			if !handed {
				t.Errorf("%s is not passed on", d.Name)
			}
		}
	}
	if want := `ports: ["127.0.0.1:${PPCH_PORT:-8890}:8890"]`; !strings.Contains(file, want) {
		t.Errorf("got no %s: only this machine may reach the service", want)
	}
}

func TestCompose_VariablesAreDocumented(t *testing.T) {
	t.Parallel()
	want := composeOnly(t)
	// The variables of version 1's .env, except PPCH_NETWORK_INTERNAL, which is no longer used.
	for _, name := range []string{
		"PPCH_CONTAINER_NAME", "PPCH_RESTART_POLICY", "PPCH_NETWORK_EXTERNAL",
		"PPCH_HEALTHCHECK_INTERVAL", "PPCH_HEALTHCHECK_TIMEOUT", "PPCH_HEALTHCHECK_RETRIES", "PPCH_HEALTHCHECK_START_PERIOD",
	} {
		if _, ok := want[name]; !ok {
			t.Errorf("%s of version 1 isn't read", name)
		}
	}
	_, own, _ := strings.Cut(ofTheProject(t, ".env.example"), "# Only docker-compose.yml reads the following")
	got := map[string]string{}
	for line := range strings.Lines(own) {
		if m := assignment.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			got[m[2]] = m[3]
		}
	}
	// The default is for Jitsi's own folder, and the example for another one.
	want["PPCH_NETWORK_EXTERNAL"] = "docker-jitsi-meet_meet.jitsi"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf(".env.example differs from docker-compose.yml (-compose +.env.example):\n%s", diff)
	}
	text := section(t, programReadme, "## Containers")
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s doesn't document %s", programReadme, name)
		}
	}
	if !strings.Contains(section(t, programReadme, "## Upgrading from 1.x"), "`PPCH_NETWORK_INTERNAL`") {
		t.Errorf("%s doesn't say that PPCH_NETWORK_INTERNAL is no longer used", programReadme)
	}
}
