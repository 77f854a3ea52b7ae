package deploytest

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/prometheus/promql/parser"
)

// board reads Grafana's board strictly.
func board(t *testing.T) dashboard.Dashboard {
	t.Helper()
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile("../grafana/ppch.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard.Dashboard
	// It also returns a list of no errors as an error.
	if err := d.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		t.Fatalf("the board isn't what Grafana's own types describe: %v", err)
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBoard_DecodesStrictly(t *testing.T) {
	d := board(t)
	if d.Uid == nil || *d.Uid != "ppch" {
		t.Error("the board needs a stable uid")
	}
	ids := map[uint32]bool{}
	for _, p := range d.Panels {
		if p.Panel == nil {
			continue
		}
		if p.Panel.Id == nil || ids[*p.Panel.Id] {
			t.Errorf("panel %q has no id of its own", *p.Panel.Title)
			continue
		}
		ids[*p.Panel.Id] = true
		if p.Panel.Description == nil || *p.Panel.Description == "" {
			t.Errorf("panel %q has no description", *p.Panel.Title)
		}
	}
}

// Every expression is valid PromQL, and names no room and no person.
func TestBoard_Expressions(t *testing.T) {
	text, err := os.ReadFile("../grafana/ppch.json")
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	n := 0
	walk(all, func(key string, value string) {
		if key != "expr" {
			return
		}
		n++
		// As Grafana fills them in.
		expr := strings.NewReplacer("$__rate_interval", "2m").Replace(value)
		e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
		if err != nil {
			t.Errorf("%s: %v", value, err)
			return
		}
		for _, selectors := range parser.ExtractSelectors(e) {
			for _, m := range selectors {
				if !regexp.MustCompile(`^(__name__|job|instance|shard|domain|kind|code|le)$`).MatchString(m.Name) {
					t.Errorf("%s selects by %s", value, m.Name)
				}
			}
		}
	})
	if n < 20 {
		t.Errorf("got %d expressions", n)
	}
}

// walk calls visit for each text in a JSON value.
func walk(value any, visit func(key, value string)) {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			walk(e, visit)
		}
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok {
				visit(k, s)
			}
			walk(e, visit)
		}
	}
}
