package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"ppch/cmd/ppch/terminal"
)

// The names of the checks, in their order.
const (
	Configuration = "configuration" // the environment variables
	Service       = "service"       // PPCH's own API
	Settings      = "settings"      // of the running service
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
)

// names lists the checks in their order.
var names = []string{Configuration, Service, Settings, DNS, Port, Component, Secret, Conflict, MUCDomains, Module, AllowList, Sync, Mode, Clock, Admins}

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

// Print writes a check as text: the result, and how to fix it below.
func Print(w io.Writer, c Check, style terminal.Style) error {
	mark := marks[c.Status]
	if style.Color {
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
		if style.Width > 40 {
			line = text.WrapSoft(line, style.Width-2*len(indent))
		}
		for i, part := range strings.Split(line, "\n") {
			b.WriteString(indent + [...]string{"→ ", indent}[min(i, 1)] + strings.TrimRight(part, " ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
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
