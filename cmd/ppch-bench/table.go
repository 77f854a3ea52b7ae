package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Files with the results of the last full run: the figures, and the table for people.
const (
	resultsFile = "cmd/ppch-bench/results.json"
	readmeFile  = "cmd/ppch-bench/README.md"
)

// README has the generated table between these lines.
const (
	tableBegins = "<!-- make bench writes the table between these two lines. -->\n"
	tableEnds   = "<!-- End of the table. -->\n"
)

// results holds the figures of one run and the machine it ran on.
type results struct {
	Date      string  `json:"date"` // YYYY-MM-DD
	Cores     int     `json:"cores"`
	Processor string  `json:"processor"`
	Versions  string  `json:"versions"`
	Tables    []table `json:"tables"`
}

type table struct {
	Title string `json:"title"`

	// Date is YYYY-MM-DD, of a table that was measured on its own after the run.
	Date string `json:"date,omitempty"`

	Rows []row `json:"rows"`
}

// row is one measurement of PPCH, usually alternating with the same measurement of a peer.
type row struct {
	What string `json:"what"`
	Unit string `json:"unit,omitempty"`
	PPCH sample `json:"ppch,omitempty"`

	// Peer names the other side, whose sample Other has one figure for each of PPCH's. It is empty if PPCH was measured alone.
	Peer  string `json:"peer,omitempty"`
	Other sample `json:"other,omitempty"`

	// Took and OtherTook are response times, in ms, where PPCH and Other are answers per second.
	Took      *took `json:"took,omitempty"`
	OtherTook *took `json:"other_took,omitempty"`

	Goal *goal `json:"goal,omitempty"`

	// Limit is the ratio of the bare handler to Other; no handler on net/http can do better.
	Limit sample `json:"limit,omitempty"`

	// Missing is the reason why the row could not be measured.
	Missing string `json:"missing,omitempty"`
}

// took holds response times in ms.
type took struct {
	Median sample `json:"median"`
	P99    sample `json:"p99"`
}

func (t *took) String() string {
	if t == nil {
		return ""
	}
	return "; median " + figure(t.Median.median()) + " ms, p99 " + figure(t.P99.median()) + " ms"
}

func (r row) ratios() sample {
	if r.Other == nil {
		return nil
	}
	return ratios(r.PPCH, r.Other)
}

// remark says whether the goal is met and whether the figures are noisy.
func (r row) remark() string {
	var said []string
	if r.Goal != nil {
		verdict := "**missed**"
		if r.Goal.judge(r) {
			verdict = "met"
		}
		said = append(said, r.Goal.String()+": "+verdict)
	}
	if r.Limit != nil {
		said = append(said, "the limit is "+r.Limit.String())
	}
	judged := r.PPCH
	if r.Other != nil && (r.Goal == nil || r.Goal.Of == "ratio") {
		judged = r.ratios()
	}
	// An excess around 0 has no meaningful relative spread.
	if nothing := r.Goal != nil && r.Goal.Of == "excess"; !nothing && judged.spread() > noisy {
		said = append(said, fmt.Sprintf("noisy: spread %.0f %%", 100*judged.spread()))
	}
	return strings.Join(said, "; ")
}

// cells are the columns: what, PPCH, compared with, ratio, goal.
func (r row) cells() [5]string {
	what := r.What
	if r.Unit != "" {
		what += ", " + r.Unit
	}
	switch {
	case r.Missing != "":
		return [5]string{what, "not measured", r.Peer, "", r.Missing}
	case r.Other == nil:
		return [5]string{what, r.PPCH.String() + r.Took.String(), "", "", r.remark()}
	}
	ratio := r.ratios().String()
	if strings.Contains(ratio, "?") || r.Goal != nil && r.Goal.Of == "excess" {
		ratio = "" // over nothing
	}
	return [5]string{what, r.PPCH.String() + r.Took.String(), r.Peer + ": " + r.Other.String() + r.OtherTook.String(), ratio, r.remark()}
}

// missing returns the row with the reason why it could not be measured, on one line without "|", for a table cell.
func (r row) missing(why error) row {
	r.Missing = strings.Join(strings.Fields(strings.ReplaceAll(why.Error(), "|", "/")), " ")
	return r
}

// line returns the row as Markdown.
func (r row) line() string { c := r.cells(); return "| " + strings.Join(c[:], " | ") + " |" }

// head returns the table's heading as Markdown.
func (t table) head() string {
	return "| " + t.Title + " | PPCH | compared with | ratio | goal |\n| --- | --- | --- | --- | --- |"
}

// markdown returns the text between README's markers.
func (r results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nMeasured on %s, on %d cores of %s: %s.\n", r.Date, r.Cores, r.Processor, r.Versions)
	for _, t := range r.Tables {
		if t.Date != "" {
			fmt.Fprintf(&b, "\nMeasured on its own on %s:\n", t.Date)
		}
		fmt.Fprintf(&b, "\n%s\n", t.head())
		for _, row := range t.Rows {
			fmt.Fprintln(&b, row.line())
		}
	}
	b.WriteString("\n")
	return b.String()
}

// missed counts the missed goals and all goals.
func (r results) missed() (missed, all int) {
	for _, t := range r.Tables {
		for _, row := range t.Rows {
			if row.Goal == nil || row.Missing != "" {
				continue
			}
			if all++; !row.Goal.judge(row) {
				missed++
			}
		}
	}
	return missed, all
}

// into returns readme with this table.
func (r results) into(readme string) (string, error) {
	before, rest, ok := strings.Cut(readme, tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !ok || !ends {
		return "", errors.New(readmeFile + " lacks the two comment lines that enclose the table")
	}
	return before + tableBegins + r.markdown() + tableEnds + after, nil
}

// over returns the results of an earlier run with the tables of r, which was measured on the same machine, in place of its own.
func (r results) over(earlier results) results {
	for _, t := range r.Tables {
		t.Date = r.Date
		if i := slices.IndexFunc(earlier.Tables, func(e table) bool { return e.Title == t.Title }); i >= 0 {
			earlier.Tables[i] = t
		} else {
			earlier.Tables = append(earlier.Tables, t)
		}
	}
	return earlier
}

// readResults reads the results of the last run in the repository, which must be the working folder.
func readResults() (r results, err error) {
	raw, err := os.ReadFile(resultsFile)
	if err != nil {
		return r, fmt.Errorf("run this in the project's folder: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("%s: %w", resultsFile, err)
	}
	return r, nil
}

// write replaces the results of the previous run in the repository, which must be the working folder.
func (r results) write() error {
	readme, err := os.ReadFile(readmeFile)
	if err != nil {
		return fmt.Errorf("run this in the project's folder: %w", err)
	}
	text, err := r.into(string(readme))
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(resultsFile, append(raw, '\n'), 0o644); err != nil { // #nosec G306 -- a file of the repository
		return err
	}
	return os.WriteFile(readmeFile, []byte(text), 0o644) // #nosec G306 G703 -- so is this
}
