package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"ppch/cmd/ppch/terminal"
)

// The names of the checks, in their order.
const (
	Configuration = "configuration" // the environment variables
	Service       = "service"       // PPCH's own API
	Settings      = "settings"      // of the running service
	Store         = "store"         // the file with meetings and webhooks, if there is one
	DNS           = "dns"           // Prosody's name
	Port          = "port"          // Prosody's component port
	Component     = "component"     // the component in Prosody's configuration
	Secret        = "secret"        // of the component
	Conflict      = "conflict"      // another connection with the component's name
	MUCDomains    = "muc-domains"   // the MUC services in Prosody
	Module        = "module"        // the Lua module on the MUC domains
	AllowList     = "allow-list"    // of the module; it must list the component
	Sync          = "sync"          // whether all rooms are loaded
	Mode          = "mode"          // source of the data: module or disco
	Clock         = "clock"         // Prosody's, compared with the service's
	Admins        = "admins"        // of PPCH_ADMIN_JIDS
	NotCounted    = "not-counted"   // the rules of PPCH_NOT_COUNTED
	NATS          = "nats"          // the connection to NATS, if it is used
	KeysInNATS    = "keys-in-nats"  // API keys and share links that are kept in NATS
	Shards        = "shards"        // the Prosodys of PPCH_SHARDS_FILE, if there are several or one over NATS
	Visitors      = "visitors"      // on visitor nodes, if any are watched, compared with Jicofo's number
)

// names lists the checks in their order.
var names = []string{Configuration, Service, Settings, Store, DNS, Port, Component, Secret, Conflict, MUCDomains, Module, AllowList, Sync, Mode, Clock, Admins, NotCounted}

// Status is the result of a check.
type Status string

// The results of a check.
const (
	OK        Status = "ok"
	Warning   Status = "warning" // works, but could be better
	Wrong     Status = "error"
	Unchecked Status = "unchecked" // because another check failed
)

// marks represent a Status in text.
var marks = map[Status]string{OK: "✓", Warning: "!", Wrong: "✗", Unchecked: "–"}

var colors = map[Status]text.Color{OK: text.FgGreen, Warning: text.FgYellow, Wrong: text.FgRed, Unchecked: text.Faint}

// Check is one result. A check has several where MUC domains differ.
type Check struct {
	Name   string
	Status Status

	// Found describes the result. It never contains secrets; it may contain text from Prosody or the service.
	Found string

	// Remedy is how to fix it, one alternative a line; empty if there is nothing to fix.
	Remedy string
}

// Printer writes checks as text. It is not safe for concurrent use.
type Printer struct {
	w         io.Writer
	style     terminal.Style
	unchecked []string // names
	needs     []string // the checks that they need
}

// NewPrinter returns a Printer. Its user must call Close after the last check.
func NewPrinter(w io.Writer, style terminal.Style) *Printer { return &Printer{w: w, style: style} }

// Print writes the result of a check, and how to fix it below. It keeps those that were not checked for Close.
func (p *Printer) Print(c Check) error {
	if c.Status == Unchecked {
		_, needed, _ := strings.Cut(c.Found, needs)
		if !slices.Contains(p.unchecked, c.Name) {
			p.unchecked = append(p.unchecked, c.Name)
		}
		if !slices.Contains(p.needs, needed) {
			p.needs = append(p.needs, needed)
		}
		return nil
	}
	return p.line(c)
}

// Close writes one line for all checks that were not made.
func (p *Printer) Close() error {
	if len(p.unchecked) == 0 {
		return nil
	}
	found := strings.Join(p.unchecked, ", ")
	if !slices.Contains(p.needs, "") {
		found += ": fix " + strings.Join(p.needs, " and ") + " first"
	}
	return p.line(Check{Name: "not checked", Status: Unchecked, Found: found})
}

func (p *Printer) line(c Check) error {
	mark := marks[c.Status]
	if p.style.Color {
		mark = colors[c.Status].Sprint(mark)
	}
	const indent = "  "
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-13s  %s\n", mark, c.Name, terminal.Clean(c.Found))
	for line := range strings.SplitSeq(c.Remedy, "\n") {
		if line == "" {
			continue
		}
		line = terminal.Clean(line)
		if p.style.Width > 40 {
			line = text.WrapSoft(line, p.style.Width-2*len(indent))
		}
		for i, part := range strings.Split(line, "\n") {
			b.WriteString(indent + [...]string{"→ ", indent}[min(i, 1)] + strings.TrimRight(part, " ") + "\n")
		}
	}
	_, err := io.WriteString(p.w, b.String())
	return err
}

// document is the JSON form of a Check.
type document struct {
	Name   string  `json:"name"`
	Status Status  `json:"status"`
	Found  string  `json:"found"`
	Remedy *string `json:"remedy"`
}

// PrintJSON writes all checks as one object.
func PrintJSON(w io.Writer, checks []Check) error {
	report := struct {
		OK     bool       `json:"ok"`
		Checks []document `json:"checks"`
	}{Broken(checks) == 0, []document{}}
	for _, c := range checks {
		v := document{Name: c.Name, Status: c.Status, Found: c.Found}
		if c.Remedy != "" {
			v.Remedy = &c.Remedy
		}
		report.Checks = append(report.Checks, v)
	}
	raw, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	_, err = io.WriteString(w, terminal.LineOfJSON(raw))
	return err
}

// Broken returns the number of failed checks.
func Broken(checks []Check) (n int) {
	for _, c := range checks {
		if c.Status == Wrong {
			n++
		}
	}
	return n
}
