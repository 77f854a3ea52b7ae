package admin

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/commands"

	"ppch/component/adhoc"
	"ppch/component/occupancy"
)

// showStatistics returns the totals of all domains.
func (h *Handler) showStatistics(adhoc.Request) (adhoc.Reply, error) {
	table := &adhoc.Table{Title: "Statistics", Columns: []adhoc.Column{
		{Var: "domain", Label: "MUC domain"}, {Var: "rooms", Label: "Rooms"}, {Var: "people", Label: "People"},
		{Var: "occupants", Label: "All occupants"}, {Var: "kinds", Label: "By kind"}, {Var: "largest", Label: "People in the largest room"},
	}}
	var reply adhoc.Reply
	var lines []string
	for _, d := range h.domains() {
		stats, err := h.stats(d.JID)
		if err != nil {
			reply.Notes = append(reply.Notes, warnings([]string{d.JID.String() + ": " + errorText(err)})...)
			continue
		}
		largest := stats.Largest.Participants
		table.Rows = append(table.Rows, []string{
			d.JID.String(), strconv.Itoa(stats.Rooms), strconv.Itoa(stats.Counts.People()),
			strconv.Itoa(stats.Counts.All()), kinds(stats.Counts.Map()), strconv.Itoa(largest),
		})
		lines = append(lines, d.JID.String()+": "+h.summary(d)+", "+people(largest)+" in the largest room")
	}
	table.Fields = asText(lines)
	reply.Table = table
	return reply, nil
}

// showDomains returns the state of the connection and of each domain.
func (h *Handler) showDomains(adhoc.Request) (adhoc.Reply, error) {
	w := h.Prosody.Diagnostics()
	table := &adhoc.Table{Title: "MUC domains", Columns: []adhoc.Column{
		{Var: "domain", Label: "MUC domain"}, {Var: "state", Label: "State"}, {Var: "mode", Label: "Mode"},
		{Var: "as_of", Label: "Last update"}, {Var: "age", Label: "Age"}, {Var: "resyncs", Label: "Resyncs"},
		{Var: "remedy", Label: "Remedy"},
	}}
	var lines []string
	for _, d := range w.Domains {
		state, remedy := domainStatus(d.Domain)
		table.Rows = append(table.Rows, []string{
			h.domainOnShard(d.Domain), state, string(d.Mode), stamp(d.AsOf), ago(d.AsOf), strconv.FormatUint(d.Resyncs, 10), remedy,
		})
		lines = append(lines, h.domainLine(d.Domain))
	}
	table.Fields = asText(lines)
	return adhoc.Reply{
		Notes: []commands.Note{{Value: "connected to " + w.Prosody + " for " + ago(w.Domains[0].Since)}},
		Table: table,
	}, nil
}

// domainStatus returns the status of a domain, and how to fix it unless it is ok.
func domainStatus(d occupancy.Domain) (state, remedy string) {
	switch {
	case d.Problem != nil:
		return string(d.Problem.Reason), d.Problem.Remedy
	case d.Mode == occupancy.ModeModule:
		return "ok", ""
	}
	return "without the module", occupancy.ProblemNotListed.About(d.JID).Err(nil).Remedy
}

// showDiagnostics returns all diagnostics.
func (h *Handler) showDiagnostics(adhoc.Request) (adhoc.Reply, error) {
	table := &adhoc.Table{Title: "Diagnostics", Columns: []adhoc.Column{
		{Var: "what", Label: "What"}, {Var: "state", Label: "State"}, {Var: "detail", Label: "Detail"},
	}}
	var lines []string
	row := func(what, state string, detail ...string) {
		detail = slices.DeleteFunc(detail, func(s string) bool { return s == "" })
		table.Rows = append(table.Rows, []string{what, state, strings.Join(detail, "; ")})
		lines = append(lines, what+": "+strings.Join(append([]string{state}, detail...), "; "))
	}
	w := h.Prosody.Diagnostics()
	connectionRows(w, row)
	for _, d := range w.Domains {
		state, remedy := domainStatus(d.Domain)
		row("MUC domain "+h.domainOnShard(d.Domain), state, "mode "+string(d.Mode), remedy)
		if s := d.Sync; s != nil {
			row("module on "+h.domainOnShard(d.Domain), "subscribed", "version "+s.Version, "epoch "+s.Epoch, "batch "+strconv.FormatUint(s.Seq, 10),
				"last "+ago(s.LastBatch)+" ago", "lag "+s.Lag.Round(time.Millisecond).String(), "heartbeat "+s.Heartbeat.String(),
				count(d.Resyncs, "resync", "resyncs"))
		}
	}
	natsRows(w.NATS, row)
	for _, a := range w.Admins {
		if a.Local {
			row("admin "+a.JID.String(), "ok")
		} else {
			row("admin "+a.JID.String(), "ignored", "Prosody has not confirmed that "+a.JID.Domainpart()+" is one of its virtual hosts")
		}
	}
	row("PPCH "+h.Version, "up", "for "+ago(h.began), count(h.watchers.len(), "watcher", "watchers"),
		count(w.Refused, "stanza", "stanzas")+" of admins refused, queue full")
	table.Fields = asText(lines)
	return adhoc.Reply{Table: table}, nil
}
