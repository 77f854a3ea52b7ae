package config_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"ppch/cmd/ppch/config"
)

// named is an environment that lists its variables, as the real one does.
type named struct {
	envconfig.Lookuper
	all variables
}

func (n named) Names() []string { return slices.Collect(maps.Keys(n.all)) }

func TestLoad_WarnsOfUnknownVariables(t *testing.T) {
	t.Parallel()
	const remove = "remove it; ppch serve --help lists all variables"
	for name, value := range map[string]string{
		"PPCH_PROT": "8890", "PPCH_API_KEYS": "x", "PPCH_ADMIN_JID": "a@b", "PPCH_COMPONENT_SECRETS": "x", "PPCH_FOO": "x", "PPCH_SOMETHING_ELSE_ENTIRELY": "x", "PPCH_": "x",
		// Known, or not PPCH's to judge.
		"PPCH_CONTAINER_NAME": "ppch", "PPCH_NETWORK_INTERNAL": "x", "HTTP_PROXY": "x", "PPCH_UNSET": "", "ppch_port": "x", "PPCHX": "x",
		"PPCH_SERVICE_HOST": "10.96.0.7", "PPCH_SERVICE_PORT": "8890", "PPCH_SERVICE_PORT_HTTP": "8890",
		"PPCH_PORT_8890_TCP": "tcp://10.96.0.7:8890", "PPCH_PORT_8890_TCP_PROTO": "tcp", "PPCH_PORT_8890_TCP_PORT": "8890", "PPCH_PORT_8890_TCP_ADDR": "10.96.0.7",
		"PPCH_API_SERVICE_HOST": "10.96.0.8", "PPCH_API_PORT": "tcp://10.96.0.8:80", "PPCH_API_PORT_80_TCP": "tcp://10.96.0.8:80",
	} {
		want := map[string]string{
			"PPCH_PROT": "did you mean PPCH_PORT?", "PPCH_API_KEYS": "did you mean PPCH_API_KEY?", "PPCH_ADMIN_JID": "did you mean PPCH_ADMIN_JIDS?",
			"PPCH_COMPONENT_SECRETS": "did you mean PPCH_COMPONENT_SECRET?", "PPCH_SOMETHING_ELSE_ENTIRELY": remove, "PPCH_": remove, "PPCH_FOO": remove,
		}[name]
		env := variables{"PPCH_API_KEY": "0123456789abcdef", "PPCH_COMPONENT_SECRET": "s3cret-of-a-test", name: value}
		got, err := config.Load(t.Context(), named{envconfig.MapLookuper(env), env})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var warnings []string
		if want != "" {
			warnings = []string{name + " is not a variable of PPCH and has no effect: " + want}
		}
		same(t, name, warnings, got.Warnings)
	}
}

func TestLoad_NamesMisspelledVariablesWithFaults(t *testing.T) {
	t.Parallel()
	env := variables{"PPCH_APIKEY": "0123456789abcdef", "PPCH_COMPONENTSECRET": "s3cret-of-a-test"}
	_, err := config.Load(t.Context(), named{envconfig.MapLookuper(env), env})
	for _, want := range []string{"did you mean PPCH_API_KEY?", "did you mean PPCH_COMPONENT_SECRET?", "PPCH_API_KEY: is not set"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v want %s", err, want)
		}
	}
}

func TestOS_ListsVariables(t *testing.T) {
	t.Setenv("PPCH_PROT", "8890")
	t.Setenv("PPCH_API_KEY", "0123456789abcdef")
	t.Setenv("PPCH_COMPONENT_SECRET", "s3cret-of-a-test")
	got, err := config.Load(t.Context(), config.OS())
	if err != nil || !slices.Contains(got.Warnings, "PPCH_PROT is not a variable of PPCH and has no effect: did you mean PPCH_PORT?") {
		t.Errorf("got %q, %v", got.Warnings, err)
	}
}

// No variable of docker-compose.yml is unknown.
func TestUnknown_KnowsTheComposeFile(t *testing.T) {
	t.Parallel()
	file := must(os.ReadFile("../../../docker-compose.yml"))(t)
	var names []string
	for _, m := range regexp.MustCompile(`\$\{(PPCH_[A-Z_]+)`).FindAllSubmatch(file, -1) {
		names = append(names, string(m[1]))
	}
	if got := config.Unknown(names, func(string) (string, bool) { return "x", true }); len(names) < 20 || got != nil {
		t.Errorf("got %q of %d names", got, len(names))
	}
}
