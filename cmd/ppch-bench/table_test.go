package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write README's table again, from the stored results")

// stored is what the repository has of the last run.
func stored(t *testing.T) (r results) {
	t.Helper()
	t.Chdir(filepath.Join("..", ".."))
	raw, err := os.ReadFile(resultsFile)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestREADMEHasTheTableThatWasMeasuredLast(t *testing.T) {
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
		t.Errorf("make bench did not write this table; after a change of the tool go test ./cmd/ppch-bench -update does (-tool +README):\n%s", diff)
	}
}

func TestWhatWasMeasuredLastSaysWhenAndOnWhat(t *testing.T) {
	r := stored(t)
	day, err := time.Parse(time.DateOnly, r.Date)
	if err != nil || day.After(time.Now().AddDate(0, 0, 1)) || r.Cores < 1 || r.Processor == "" || !strings.Contains(r.Versions, "Prosody ") {
		t.Errorf("got %s, %d cores of %q, %s: %v", r.Date, r.Cores, r.Processor, r.Versions, err)
	}
	if len(r.Tables) < len(chapters) {
		t.Errorf("got %d tables of %d chapters", len(r.Tables), len(chapters))
	}
	compared := 0
	for _, table := range r.Tables {
		for _, row := range table.Rows {
			if len(row.PPCH) == 0 && row.Missing == "" {
				t.Errorf("%s has neither figures nor a reason why", row.What)
			}
			if row.Other != nil && len(row.Other) != len(row.PPCH) {
				t.Errorf("%s: %d beside %d", row.What, len(row.PPCH), len(row.Other))
			}
			if len(row.Other) >= planFor(false).pairs {
				compared++
			}
		}
	}
	if compared < 10 {
		t.Errorf("%d rows compare %d pairs or more, which is no whole run", compared, planFor(false).pairs)
	}
}
