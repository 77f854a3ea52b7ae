package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/component/occupancy"
)

// TestReadme_Reasons compares the table in README.md with the problems of the program.
func TestReadme_Reasons(t *testing.T) {
	readme := ofTheProject(t, programReadme)
	_, table, found := strings.Cut(readme, "| reason | what is wrong | how to fix it |\n| --- | --- | --- |\n")
	if !found {
		t.Fatal("there is no table of reasons")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var want []string
	for _, p := range occupancy.Problems() {
		theirs := "urn:ppch:occupancy:2"
		if strings.Contains(p.Title, "older than this PPCH") {
			theirs = "urn:ppch:occupancy:0"
		}
		p = p.For(occupancy.Settings{}).With(
			occupancy.Fact{Name: "prosody", Value: "prosody:5347"}, occupancy.Fact{Name: "host", Value: "prosody"},
			occupancy.Fact{Name: "component", Value: "ppch.meet.jitsi"}, occupancy.Fact{Name: "domain", Value: "muc.meet.jitsi"},
			occupancy.Fact{Name: "age", Value: "45s"}, occupancy.Fact{Name: "answer", Value: "…"},
			occupancy.Fact{Name: "theirs", Value: theirs}, occupancy.Fact{Name: "ours", Value: "urn:ppch:occupancy:1"},
			occupancy.Fact{Name: "nats", Value: "nats:4222"}, occupancy.Fact{Name: "permission", Value: "publish to ppch.main.ppch_meet_jitsi.batch"},
			occupancy.Fact{Name: "shard", Value: "main"}, occupancy.Fact{Name: "collector", Value: "ppch.meet.jitsi"}, occupancy.Fact{Name: "version", Value: "2"},
			occupancy.Fact{Name: "bucket", Value: "ppch_config"}, occupancy.Fact{Name: "entry", Value: "keys"},
		)
		row := fmt.Sprintf("| %s | %s | %s |", p.Reason, p.Title, p.Remedy)
		if strings.ContainsAny(strings.NewReplacer("{ 5347 }", "", `{ "*" }`, "", `{ "ppch.meet.jitsi" }`, "").Replace(row), "{}") {
			t.Errorf("%s names a fact that nothing has", row)
		}
		want = append(want, row)
	}
	// Only the table formats names as code.
	if diff := cmp.Diff(want, strings.Split(strings.ReplaceAll(table, "`", ""), "\n")); diff != "" {
		t.Errorf("- the program, + README:\n%s", diff)
	}
}
