package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"ppch/cmd/ppch/terminal"
)

// The names of the links, in their order.
const (
	Configuration = "configuration" // the environment variables
	Service       = "service"       // PPCH's own API
	Settings      = "settings"      // what the service runs with
	DNS           = "dns"           // Prosody's name
	Port          = "port"          // Prosody's component port
	Component     = "component"     // the component in Prosody's configuration
	Secret        = "secret"        // and its secret
	Conflict      = "conflict"      // nobody else may have its name
	MUCDomains    = "muc-domains"   // where rooms are
	Module        = "module"        // the Lua module there
	AllowList     = "allow-list"    // which has to list the component
	Sync          = "sync"          // and to tell all rooms
	Mode          = "mode"          // what can be known of rooms thereby
	Clock         = "clock"         // Prosody's
	Admins        = "admins"        // those by XMPP
)

// links are all names in their order.
var links = []string{Configuration, Service, Settings, DNS, Port, Component, Secret, Conflict, MUCDomains, Module, AllowList, Sync, Mode, Clock, Admins}

// Status is how a link is.
type Status string

// The states of a link.
const (
	OK        Status = "ok"
	Warning   Status = "warning" // it works, but not as well as it could
	Wrong     Status = "error"
	Unchecked Status = "unchecked" // because another link is broken
)

// marks are how people see a Status.
var marks = map[Status]string{OK: "✓", Warning: "!", Wrong: "✗", Unchecked: "–"}

var colors = map[Status]text.Color{OK: text.FgGreen, Warning: text.FgYellow, Wrong: text.FgRed, Unchecked: text.Faint}

// Check is what was found of one link. A link has several where MUC domains differ.
type Check struct {
	// Name is that of the link.
	Name string

	Status Status

	// Found is what was found, for people. It has no secrets, and may have text that others wrote.
	Found string

	// Mend is what to do, in lines of which each is another way or place; empty where nothing is to be done.
	Mend string
}

// Print writes a check for people: a line, and below it how to mend.
func Print(w io.Writer, c Check, style terminal.Style) error {
	mark := marks[c.Status]
	if style.Color {
		mark = colors[c.Status].Sprint(mark)
	}
	const indent = "  "
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-13s  %s\n", mark, c.Name, terminal.Clean(c.Found))
	for line := range strings.SplitSeq(c.Mend, "\n") {
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

// view is a Check as programs see it.
type view struct {
	Name   string  `json:"name"`
	Status Status  `json:"status"`
	Found  string  `json:"found"`
	Mend   *string `json:"mend"`
}

// PrintJSON writes all checks as one object.
func PrintJSON(w io.Writer, checks []Check) error {
	report := struct {
		OK     bool   `json:"ok"`
		Checks []view `json:"checks"`
	}{Broken(checks) == 0, []view{}}
	for _, c := range checks {
		v := view{Name: c.Name, Status: c.Status, Found: c.Found}
		if c.Mend != "" {
			v.Mend = &c.Mend
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

// Broken returns how many of the checks found something wrong.
func Broken(checks []Check) (n int) {
	for _, c := range checks {
		if c.Status == Wrong {
			n++
		}
	}
	return n
}
