package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ppch/api/view"
	"ppch/component/occupancy"
	"ppch/component/protocol"
	"ppch/prosody"
)

// result is that of a check on one MUC domain. Its remedy has a line for each alternative.
type result struct {
	status Status
	found  string
	remedy string
}

// finding is the part of a result that several domains can share.
type finding struct {
	status Status
	found  string
}

func skipped(name string) result { return result{status: Unchecked, found: skippedFor(name)} }

// rooms runs the checks of each MUC domain.
func (e *run) rooms(ctx context.Context, seen facts) {
	e.each(seen, MUCDomains, func(d view.DomainDiagnostics) result { return e.checkMUC(seen, d) })
	e.each(seen, Module, func(d view.DomainDiagnostics) result { return e.checkModule(ctx, seen, d) })
	e.each(seen, AllowList, func(d view.DomainDiagnostics) result { return e.checkAllowList(seen, d) })
	e.each(seen, Sync, e.checkSync)
	e.each(seen, Mode, checkMode)
}

// each checks every domain and reports equal findings together.
func (e *run) each(seen facts, name string, check func(view.DomainDiagnostics) result) {
	var findings []finding
	domains, remedies := map[finding][]string{}, map[finding][]string{}
	for _, d := range seen.Domains {
		v := skipped(Shards)
		if !seen.isDown(d.Shard) {
			v = check(d)
		}
		f := finding{v.status, v.found}
		if domains[f] == nil {
			findings = append(findings, f)
		}
		domains[f] = append(domains[f], seen.nameOf(d))
		for line := range strings.SplitSeq(v.remedy, "\n") {
			if !slices.Contains(remedies[f], line) {
				remedies[f] = append(remedies[f], line)
			}
		}
	}
	for _, f := range findings {
		found := strings.Join(domains[f], ", ")
		if f.found != "" {
			found += ": " + f.found
		}
		slices.SortStableFunc(remedies[f], func(a, b string) int { return strings.Count(a, e.installDoes()) - strings.Count(b, e.installDoes()) })
		e.report(name, f.status, found, remedies[f]...)
	}
}

// usable reports whether a domain is a MUC service that answers.
func usable(d view.DomainDiagnostics) bool {
	switch value(d.Reason) {
	case occupancy.ReasonNoMUC, occupancy.ReasonConnecting, occupancy.ReasonTimeout, occupancy.ReasonRejected:
		return false
	}
	return true
}

func (e *run) checkMUC(seen facts, d view.DomainDiagnostics) result {
	switch {
	case usable(d):
		return result{status: OK}
	case value(d.Reason) != occupancy.ReasonNoMUC:
		return result{Wrong, "Prosody does not answer for it", "check Prosody's load and its log: " + e.prosodyLog()}
	}
	names := e.namesFor(seen, d.Shard)
	likely := likelyFor(seen, d)
	if len(likely) == 0 {
		return result{
			Wrong, "Prosody has no such MUC service and lists no other",
			"set " + names.MUC + " to " + e.pick("docker-jitsi-meet's XMPP_MUC_DOMAIN, by default muc.meet.jitsi, or muc.v0.meet.jitsi on a Prosody for visitors", "conference. and your domain") +
				". lobby. and breakout. exist only if they are enabled",
		}
	}
	return result{
		Wrong, "Prosody has no such MUC service, but " + strings.Join(likely, ", "),
		"probably " + set(names.MUC, replaced(seen, d, likely[0])) + "; the first is the domain of Jitsi's meetings" + e.inContainers(", XMPP_MUC_DOMAIN"),
	}
}

// replaced returns the MUC domains of a shard with one replaced.
func replaced(seen facts, wrong view.DomainDiagnostics, right string) string {
	var names []string
	for _, d := range seen.Domains {
		name := d.Domain
		if name == wrong.Domain {
			name = right
		}
		if d.Shard == wrong.Shard && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// likelyFor returns the MUC services of the same Prosody that a wrong name may have meant, the likeliest first.
func likelyFor(seen facts, wrong view.DomainDiagnostics) (names []string) {
	label, _, _ := strings.Cut(wrong.Domain, ".")
	rank := func(name string) int {
		first, _, _ := strings.Cut(name, ".")
		switch {
		case first == label: // of another domain
			return 0
		case slices.Contains([]string{"internal-muc", "internal", "breakout", "lobby"}, first):
			return 2
		}
		return 1
	}
	for _, s := range seen.Services {
		if watched := slices.ContainsFunc(seen.Domains, func(d view.DomainDiagnostics) bool { return d.Domain == s.Domain && d.Shard == s.Shard }); !watched && s.Shard == wrong.Shard {
			names = append(names, s.Domain)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}

// variableOf returns the variable of docker-jitsi-meet's .env that lists the modules of a MUC domain.
func variableOf(domain string) string {
	switch label, _, _ := strings.Cut(domain, "."); label {
	case "breakout":
		return "XMPP_BREAKOUT_MUC_MODULES"
	case "lobby":
		return "XMPP_LOBBY_MUC_MODULES"
	case "internal-muc":
		return "XMPP_INTERNAL_MUC_MODULES"
	}
	return "XMPP_MUC_MODULES"
}

func (e *run) checkModule(ctx context.Context, seen facts, d view.DomainDiagnostics) result {
	switch {
	case !usable(d):
		return skipped(MUCDomains)
	case d.Module != nil && d.Module.Version != prosody.ModuleVersion:
		return result{Warning, fmt.Sprintf("its version is %s, that of this PPCH is %s", d.Module.Version, prosody.ModuleVersion), e.copyModule()}
	case d.Module != nil:
		return result{status: OK, found: fmt.Sprintf("version %s, protocol %s", d.Module.Version, protocol.Namespace)}
	case value(d.Reason) == occupancy.ReasonNotAllowed, value(d.Reason) == occupancy.ReasonSyncing:
		return result{status: OK, found: "loaded, protocol " + protocol.Namespace}
	}
	if other := seen.protocols(d); len(other) > 0 && !slices.Contains(other, protocol.Namespace) {
		return result{Wrong, fmt.Sprintf("the Lua module there has another version: it uses %s, this PPCH uses %s", strings.Join(other, ", "), protocol.Namespace),
			"update PPCH if the module is newer, else " + e.copyModule()}
	}
	v := result{Wrong, "the Lua module is not loaded there", e.loadOn(d.Domain) + "\n" + e.missingFile()}
	if elsewhere := seen.withModule(d); len(elsewhere) > 0 {
		v.found += ", but on " + strings.Join(elsewhere, ", ")
		v.remedy = e.loadOn(d.Domain)
	} else if version, serves, loaded := e.moduleByHTTP(ctx, d.Domain); loaded && version == "" {
		v.found, v.remedy = "the Lua module is that of PPCH 1, which does not work with this version", e.copyModule()
	} else if loaded {
		v.found += fmt.Sprintf(", though Prosody has it: it serves %s", serves)
		v.remedy = e.loadOn(d.Domain)
	}
	switch value(d.Mode) {
	case occupancy.ModeDisco:
		v.status = Warning
	case occupancy.ModeExistence:
		v.found += "; rooms are hidden, so their occupants can't be counted"
	default:
		v.found += "; PPCH does not know yet whether it can count rooms without it"
	}
	return v
}

func (e *run) checkAllowList(seen facts, d view.DomainDiagnostics) result {
	component := seen.componentOf(d)
	switch {
	case d.Module != nil:
		return result{status: OK, found: "lists " + component}
	case value(d.Reason) == occupancy.ReasonNotAllowed:
		return result{Wrong, "the Lua module there does not list " + component,
			fmt.Sprintf(`room_participants_components = { "%s" } above every Component in %s, %s`, component, e.confFile(), e.restartProsody()) + "\n" +
				"or give the component the name that is allowed by default: ppch. and the MUC domain without its first label"}
	case value(d.Reason) == occupancy.ReasonSyncing:
		return skipped(Sync)
	}
	return skipped(Module)
}

func (e *run) checkSync(d view.DomainDiagnostics) result {
	switch {
	case value(d.Reason) == occupancy.ReasonSyncing:
		return result{Wrong, "its rooms are still loading",
			"try again in a moment; if it persists, check the logs of the service and of Prosody"}
	case value(d.Reason) == occupancy.ReasonStorage:
		return result{Wrong, "Prosody can't read all its rooms in storage, so a missing room may exist",
			"fix what Prosody's log reports about room_participants_api and of its storage; the module tries again every minute"}
	case d.Module != nil && d.AsOf != nil:
		found := "all rooms are loaded"
		if d.Resyncs > 0 {
			found += fmt.Sprintf(", resynced %d times", d.Resyncs)
		}
		if cache := d.Module.RoomCache; cache != nil && d.Module.Rooms > *cache {
			return result{Warning, fmt.Sprintf("%s; there are %d, and Prosody keeps %d in memory (muc_room_cache_size), so joins swap rooms and slow it down", found, d.Module.Rooms, *cache),
				fmt.Sprintf(`set muc_room_cache_size = 10000 below Component "%s" in Prosody's configuration or, if it is not set there, above every Component in %s, %s`, d.Domain, e.confFile(), e.restartProsody())}
		}
		return result{status: OK, found: found}
	case value(d.Reason) == occupancy.ReasonNotAllowed:
		return skipped(AllowList)
	}
	return skipped(Module)
}

func checkMode(d view.DomainDiagnostics) result {
	switch {
	case value(d.Reason) == occupancy.ReasonNotAllowed:
		return skipped(AllowList)
	case value(d.Reason) == occupancy.ReasonSyncing, value(d.Reason) == occupancy.ReasonStorage:
		return skipped(Sync)
	case value(d.Reason) == occupancy.ReasonModuleVersion:
		return skipped(Module)
	case !usable(d):
		return skipped(MUCDomains)
	case value(d.Mode) == occupancy.ModeModule:
		return result{status: OK, found: "module: complete data, live"}
	case value(d.Mode) == occupancy.ModeDisco:
		return result{Warning, "disco: raw counts, with focus and recorders, and no names", "load the Lua module there"}
	}
	return result{status: Unchecked, found: fmt.Sprintf("%s for now"+needs+"%s", value(d.Mode), Module)}
}
