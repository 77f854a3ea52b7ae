package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Where the repository keeps what was measured last: the figures, and the table that people read.
const (
	resultsFile = "cmd/ppch-bench/results.json"
	readmeFile  = "cmd/ppch-bench/README.md"
)

// Between these lines README has the generated table.
const (
	tableBegins = "<!-- The table between these two lines is written by make bench. -->\n"
	tableEnds   = "<!-- Until here. -->\n"
)

// results are what one run measured, and on what.
type results struct {
	Date      string  `json:"date"` // YYYY-MM-DD
	Cores     int     `json:"cores"`
	Processor string  `json:"processor"`
	Versions  string  `json:"versions"`
	Tables    []table `json:"tables"`
}

type table struct {
	Title string `json:"title"`
	Rows  []row  `json:"rows"`
}

// row is something measured of PPCH, and mostly the same of something else, by turns.
type row struct {
	What string `json:"what"`
	Unit string `json:"unit,omitempty"`
	PPCH sample `json:"ppch,omitempty"`

	// Beside names what else was measured; its sample is as long as PPCH's, pair by pair. Empty where there was nothing else.
	Beside string `json:"beside,omitempty"`
	Other  sample `json:"other,omitempty"`

	// Took and OtherTook are how long answers took, in ms, where PPCH and Other are how many there were.
	Took      *took `json:"took,omitempty"`
	OtherTook *took `json:"other_took,omitempty"`

	Goal *goal `json:"goal,omitempty"`

	// Limit is how far the bare handler is ahead of Other; no handler on net/http can do better.
	Limit sample `json:"limit,omitempty"`

	// Missing says why the row could not be measured.
	Missing string `json:"missing,omitempty"`
}

// took is how long answers took, in ms.
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

// remark says whether the goal is met, and whether the figures can be relied on.
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
	// What can't be told from nothing has no spread that means something.
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
		return [5]string{what, "not measured", r.Beside, "", r.Missing}
	case r.Other == nil:
		return [5]string{what, r.PPCH.String() + r.Took.String(), "", "", r.remark()}
	}
	ratio := r.ratios().String()
	if strings.Contains(ratio, "?") || r.Goal != nil && r.Goal.Of == "excess" {
		ratio = "" // over nothing
	}
	return [5]string{what, r.PPCH.String() + r.Took.String(), r.Beside + ": " + r.Other.String() + r.OtherTook.String(), ratio, r.remark()}
}

// missing is the row with the reason why it could not be measured, in one line that a cell can hold.
func (r row) missing(why error) row {
	r.Missing = strings.Join(strings.Fields(strings.ReplaceAll(why.Error(), "|", "/")), " ")
	return r
}

// line is a row as Markdown.
func (r row) line() string { c := r.cells(); return "| " + strings.Join(c[:], " | ") + " |" }

// head is how a table begins.
func (t table) head() string {
	return "| " + t.Title + " | PPCH | compared with | ratio | goal |\n| --- | --- | --- | --- | --- |"
}

// markdown is what README has between its markers.
func (r results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nMeasured on %s, on %d cores of %s: %s.\n", r.Date, r.Cores, r.Processor, r.Versions)
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n%s\n", t.head())
		for _, row := range t.Rows {
			fmt.Fprintln(&b, row.line())
		}
	}
	b.WriteString("\n")
	return b.String()
}

// missed counts the goals that were not reached, and all that there were.
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

// into returns a README that has this table.
func (r results) into(readme string) (string, error) {
	before, rest, ok := strings.Cut(readme, tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !ok || !ends {
		return "", errors.New(readmeFile + " lacks the lines between which the table belongs")
	}
	return before + tableBegins + r.markdown() + tableEnds + after, nil
}

// write replaces what the repository, which is the working folder, has of the run before.
func (r results) write() error {
	readme, err := os.ReadFile(readmeFile)
	if err != nil {
		return fmt.Errorf("the table is written in the project's folder: %w", err)
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
