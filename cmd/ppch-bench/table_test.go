package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write README's table from the stored results")

// stored returns the repository's results of the last run and changes to its top folder.
func stored(t *testing.T) (r results) {
	t.Helper()
	t.Chdir(filepath.Join("..", ".."))
	r, err := readResults()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestREADME_HasTheLastResults(t *testing.T) {
	r := stored(t)
	if *update {
		if err := r.write(); err != nil {
			t.Fatal(err)
		}
	}
	readme, err := os.ReadFile(readmeFile)
	if err != nil {
		t.Fatal(err)
	}
	want, err := r.into(string(readme))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(readme)); diff != "" {
		t.Errorf("README does not match results.json; fix it with go test ./cmd/ppch-bench -update (-results +README):\n%s", diff)
	}
}

func TestResults_NameDateAndMachine(t *testing.T) {
	r := stored(t)
	day, err := time.Parse(time.DateOnly, r.Date)
	if err != nil || day.After(time.Now().AddDate(0, 0, 1)) || r.Cores < 1 || r.Processor == "" || !strings.Contains(r.Versions, "Prosody ") {
		t.Errorf("got %s, %d cores of %q, %s: %v", r.Date, r.Cores, r.Processor, r.Versions, err)
	}
	if len(r.Tables) < len(benchmarks) {
		t.Errorf("got %d tables of %d benchmarks", len(r.Tables), len(benchmarks))
	}
	compared := 0
	for _, table := range r.Tables {
		for _, row := range table.Rows {
			if len(row.PPCH) == 0 && row.Missing == "" {
				t.Errorf("%s has neither figures nor a reason", row.What)
			}
			if row.Other != nil && len(row.Other) != len(row.PPCH) {
				t.Errorf("%s: %d figures, but %d of the peer", row.What, len(row.PPCH), len(row.Other))
			}
			if len(row.Other) >= planFor(false).pairs {
				compared++
			}
		}
	}
	if compared < 10 {
		t.Errorf("only %d rows compare %d pairs or more; run make bench completely", compared, planFor(false).pairs)
	}
}

func TestResults_OverEarlierOnes(t *testing.T) {
	earlier := results{Date: "2026-01-01", Versions: "Go", Tables: []table{{Title: "reads"}, {Title: "costs"}}}
	got := results{Date: "2026-02-02", Versions: "Go, Prosody", Tables: []table{{Title: "costs"}, {Title: "webhooks"}}}.over(earlier)
	want := results{Date: "2026-01-01", Versions: "Go", Tables: []table{{Title: "reads"}, {Title: "costs", Date: "2026-02-02"}, {Title: "webhooks", Date: "2026-02-02"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
