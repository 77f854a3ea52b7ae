package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"ppch/cmd/ppch/config"
)

// documented is a variable in its documentation.
type documented struct {
	Name, Default string
	Required      bool
}

// settingsAsDocumented returns the variables in their order.
func settingsAsDocumented(t *testing.T) (all []documented) {
	t.Helper()
	for _, v := range config.Variables() {
		if v.Name == "" || strings.Contains(v.Name, ",") || v.Help == "" {
			t.Fatalf("got %+v want a name and a help", v)
		}
		all = append(all, documented{v.Name, v.Default, strings.HasSuffix(v.Help, "; required")})
	}
	return all
}

// ofTheProject returns the text of a file at the top of the repository.
func ofTheProject(t *testing.T, name string) string {
	t.Helper()
	return ofFile(t, filepath.Join("..", "..", name))
}

// ofFile returns the content of a file.
func ofFile(t *testing.T, path string) string {
	t.Helper()
	return string(must(os.ReadFile(path))(t))
}

func TestConfig_RequiredVariables(t *testing.T) {
	t.Parallel()
	_, err := config.Load(t.Context(), envconfig.MapLookuper(nil))
	if err == nil {
		t.Fatal("got no error of an empty environment")
	}
	missing := 0
	for _, d := range settingsAsDocumented(t) {
		if reported := strings.Contains(err.Error(), "\n  "+d.Name+": is not set"); reported != d.Required {
			t.Errorf("%s: got it in the error %t want %t", d.Name, reported, d.Required)
		}
		if d.Required {
			missing++
		}
	}
	if got := strings.Count(err.Error(), "\n"); got != missing {
		t.Errorf("got %d problems want %d: %v", got, missing, err)
	}
}

// assignment is a line of .env.example that sets a variable, perhaps commented out.
var assignment = regexp.MustCompile(`^(# )?([A-Z][A-Z0-9_]*)=(.*)$`)

func TestEnvExample_Complete(t *testing.T) {
	t.Parallel()
	lines := strings.Split(ofTheProject(t, ".env.example"), "\n")
	var got, want []documented
	for i, line := range lines {
		m := assignment.FindStringSubmatch(line)
		if m == nil {
			if line != "" && !strings.HasPrefix(line, "#") {
				t.Errorf("line %d got %q want a comment or a variable", i+1, line)
			}
			continue
		}
		got = append(got, documented{Name: m[2], Default: m[3]})
		if i == 0 || !strings.HasPrefix(lines[i-1], "# ") || assignment.MatchString(lines[i-1]) {
			t.Errorf("%s: got no comment above it", m[2])
		}
	}
	for _, d := range settingsAsDocumented(t) {
		want = append(want, documented{Name: d.Name, Default: d.Default})
	}
	got = got[:min(len(got), len(want))] // those of docker-compose.yml follow
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf(".env.example differs from settings (-settings +.env.example):\n%s", diff)
	}
}

func TestEnvExample_WorksWithSecrets(t *testing.T) {
	t.Parallel()
	env := variables{}
	for line := range strings.Lines(ofTheProject(t, ".env.example")) {
		if m := assignment.FindStringSubmatch(strings.TrimSpace(line)); m != nil && m[1] == "" {
			env[m[2]] = m[3]
		}
	}
	_, err := config.Load(t.Context(), envconfig.MapLookuper(env))
	if problems, ok := errors.AsType[config.Errors](err); !ok || len(problems) != 2 || !strings.HasPrefix(problems[0], "PPCH_API_KEY: is not set") || !strings.HasPrefix(problems[1], "PPCH_COMPONENT_SECRET: is not set") {
		t.Errorf("got %v want the key and the secret missing", err)
	}
	if host, ok := env["PPCH_HOST"]; ok {
		t.Errorf("PPCH_HOST got %q want it left to the image: on its own loopback a container is unreachable", host)
	}

	required := variables{"PPCH_API_KEY": "0123456789abcdef", "PPCH_COMPONENT_SECRET": "s3cret-of-a-test"}
	want := must(config.Load(t.Context(), envconfig.MapLookuper(required)))(t)
	maps.Copy(env, required)
	if got := must(config.Load(t.Context(), envconfig.MapLookuper(env)))(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v want the defaults %+v", got, want)
	}
}

// row is a row of README's table: variable, default, meaning.
var row = regexp.MustCompile("^\\| `([A-Z0-9_]+)` \\| ([^|]*) \\| ([^|]+) \\|$")

func TestReadme_Variables(t *testing.T) {
	t.Parallel()
	var got, want []documented
	// The variables of NATS have a table of their own.
	_, nats, _ := strings.Cut(section(t, programReadme, "### Over NATS"), "| --- | --- | --- |\n")
	nats, _, _ = strings.Cut(nats, "\n\n")
	table := regexp.MustCompile("(?m)^\\| `MUC_DOMAIN`").ReplaceAllString(section(t, topReadme, "## Configuration"), nats+"\n$0")
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		m := row.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("got the row %q want a variable, its default and its meaning", line)
			continue
		}
		d := documented{Name: m[1]}
		switch def := m[2]; {
		case def == "none, required":
			d.Required = true
		case def == "none", def == "empty":
		case len(def) > 2 && strings.Trim(def, "`") == def[1:len(def)-1]:
			d.Default = def[1 : len(def)-1]
		default:
			t.Errorf("%s: got the default %q want one in backticks, none, or empty", d.Name, def)
		}
		got = append(got, d)
	}
	want = settingsAsDocumented(t)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README.md differs from settings (-settings +README):\n%s", diff)
	}
}
