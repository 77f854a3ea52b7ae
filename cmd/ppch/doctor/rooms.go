package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ppch/component/occupancy"
	"ppch/component/protocol"
	"ppch/prosody"
)

// verdict is what is found of a link on one MUC domain. Its mend is in lines.
type verdict struct {
	status Status
	found  string
	mend   string
}

// finding is what several domains may have in common.
type finding struct {
	status Status
	found  string
}

func waits(link string) verdict { return verdict{status: Unchecked, found: waitsFor(link)} }

// rooms tells the links that each MUC domain has of its own.
func (e *examination) rooms(ctx context.Context, seen facts) {
	e.each(seen, MUCDomains, func(d domainFacts) verdict { return mucOf(seen, d) })
	e.each(seen, Module, func(d domainFacts) verdict { return e.moduleOf(ctx, seen, d) })
	e.each(seen, AllowList, func(d domainFacts) verdict { return allowListOf(seen, d) })
	e.each(seen, Sync, syncOf)
	e.each(seen, Mode, modeOf)
}

// each judges every domain, and tells together those that are alike.
func (e *examination) each(seen facts, name string, judge func(domainFacts) verdict) {
	var findings []finding
	domains, mends := map[finding][]string{}, map[finding][]string{}
	for _, d := range seen.Domains {
		v := judge(d)
		f := finding{v.status, v.found}
		if domains[f] == nil {
			findings = append(findings, f)
		}
		domains[f] = append(domains[f], d.Domain)
		for line := range strings.SplitSeq(v.mend, "\n") {
			if !slices.Contains(mends[f], line) {
				mends[f] = append(mends[f], line)
			}
		}
	}
	for _, f := range findings {
		found := strings.Join(domains[f], ", ")
		if f.found != "" {
			found += ": " + f.found
		}
		slices.SortStableFunc(mends[f], func(a, b string) int { return strings.Count(a, installDoes) - strings.Count(b, installDoes) })
		e.is(name, f.status, found, mends[f]...)
	}
}

// usable reports whether a domain is a MUC service that answers.
func (d domainFacts) usable() bool {
	switch d.Reason {
	case occupancy.ReasonNoMUC, occupancy.ReasonConnecting, occupancy.ReasonTimeout, occupancy.ReasonRejected:
		return false
	}
	return true
}

func mucOf(seen facts, d domainFacts) verdict {
	switch {
	case d.usable():
		return verdict{status: OK}
	case d.Reason != occupancy.ReasonNoMUC:
		return verdict{Wrong, "Prosody doesn't answer questions about it", "look at Prosody's load and its log: docker compose logs prosody; Debian: /var/log/prosody/prosody.log"}
	}
	likely := likelyFor(seen, d.Domain)
	if len(likely) == 0 {
		return verdict{
			Wrong, "Prosody has no such MUC service, nor does it show another one",
			"MUC_DOMAIN is docker-jitsi-meet's XMPP_MUC_DOMAIN, muc.meet.jitsi unless changed; with Debian's packages it is conference. and your domain, on a Prosody for visitors muc.v0.meet.jitsi. lobby. and breakout. are there only where these are switched on",
		}
	}
	return verdict{
		Wrong, "Prosody has no such MUC service, but " + strings.Join(likely, ", "),
		"likely MUC_DOMAIN=" + replaced(seen, d.Domain, likely[0]) + "; the first is docker-jitsi-meet's XMPP_MUC_DOMAIN",
	}
}

// replaced returns MUC_DOMAIN with one name in the place of another.
func replaced(seen facts, wrong, right string) string {
	var names []string
	for _, d := range seen.Domains {
		name := d.Domain
		if name == wrong {
			name = right
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// likelyFor returns the MUC services that may have been meant by a name that is none, the likeliest first.
func likelyFor(seen facts, wrong string) (names []string) {
	label, _, _ := strings.Cut(wrong, ".")
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
		if watched := slices.ContainsFunc(seen.Domains, func(d domainFacts) bool { return d.Domain == s.Domain }); !watched {
			names = append(names, s.Domain)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}

// variableOf is the one of docker-jitsi-meet's .env that names the modules of a MUC domain.
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

// loadOn says how to load the module on a domain.
func loadOn(domain string) string {
	return fmt.Sprintf(`docker-jitsi-meet: %s=%s in Jitsi's .env; Debian: "%s" in modules_enabled below Component "%s" in /etc/prosody/conf.avail`,
		variableOf(domain), prosody.ModuleName, prosody.ModuleName, domain) + "\n" + installDoes
}

// copyIt says where the module's file belongs.
var copyIt = fmt.Sprintf("copy prosody/mod_%s.lua of this version over it (docker-jitsi-meet: ${CONFIG}/prosody/prosody-plugins-custom/; Debian: the first of plugin_paths)", prosody.ModuleName) + "\n" + installDoes

// missingFile is for a module that is named and yet not there, which only Prosody's log shows.
var missingFile = fmt.Sprintf("if it is named there already, its file mod_%s.lua is missing, and Prosody's log says: Unable to load module '%s'. "+
	"Copy prosody/mod_%s.lua to ${CONFIG}/prosody/prosody-plugins-custom/, with Debian's packages to the first of plugin_paths; %s",
	prosody.ModuleName, prosody.ModuleName, prosody.ModuleName, restartProsody)

func (e *examination) moduleOf(ctx context.Context, seen facts, d domainFacts) verdict {
	switch {
	case !d.usable():
		return waits(MUCDomains)
	case d.Module != nil && d.Module.Version != prosody.ModuleVersion:
		return verdict{Warning, fmt.Sprintf("its version is %s, and this PPCH brings %s", d.Module.Version, prosody.ModuleVersion), copyIt}
	case d.Module != nil:
		return verdict{status: OK, found: fmt.Sprintf("version %s, protocol %s", d.Module.Version, protocol.Namespace)}
	case d.Reason == occupancy.ReasonNotAllowed, d.Reason == occupancy.ReasonSyncing:
		return verdict{status: OK, found: "it is loaded, protocol " + protocol.Namespace}
	}
	if other := seen.protocols(d.Domain); len(other) > 0 && !slices.Contains(other, protocol.Namespace) {
		return verdict{Wrong, fmt.Sprintf("the Lua module there is of another version: it speaks %s, and this PPCH %s", strings.Join(other, ", "), protocol.Namespace),
			"update PPCH if the module's version is the newer, else " + copyIt}
	}
	v := verdict{Wrong, "the Lua module isn't loaded there", loadOn(d.Domain) + "\n" + missingFile}
	if elsewhere := seen.withModule(d.Domain); len(elsewhere) > 0 {
		v.found += ", but on " + strings.Join(elsewhere, ", ")
		v.mend = loadOn(d.Domain)
	} else if version, serves, loaded := e.moduleByHTTP(ctx, d.Domain); loaded && version == "" {
		v.found, v.mend = "the Lua module is that of PPCH 1, which can't speak to this version", copyIt
	} else if loaded {
		v.found += fmt.Sprintf(", though Prosody has it: it serves %s", serves)
		v.mend = loadOn(d.Domain)
	}
	switch d.Mode {
	case occupancy.ModeDisco:
		v.status = Warning
	case occupancy.ModeExistence:
		v.found += "; and rooms are hidden, so nobody in them can be counted"
	default:
		v.found += "; and no room has shown yet that it can be counted without"
	}
	return v
}

func allowListOf(seen facts, d domainFacts) verdict {
	switch {
	case d.Module != nil:
		return verdict{status: OK, found: "lists " + seen.Component}
	case d.Reason == occupancy.ReasonNotAllowed:
		return verdict{Wrong, "the Lua module there doesn't list " + seen.Component,
			fmt.Sprintf(`room_participants_components = { "%s" } above every Component in %s, %s`, seen.Component, confFile, restartProsody) + "\n" +
				"or give the component the name that is listed unless that is set: ppch. and the MUC domain without its first label"}
	case d.Reason == occupancy.ReasonSyncing:
		return waits(Sync)
	}
	return waits(Module)
}

func syncOf(d domainFacts) verdict {
	switch {
	case d.Reason == occupancy.ReasonSyncing:
		return verdict{Wrong, "its rooms are still being learnt",
			"try again in a moment; if it lasts look at the log of the service and at Prosody's"}
	case d.Reason == occupancy.ReasonStorage:
		return verdict{Wrong, "Prosody can't read all its rooms in storage, so a room that isn't shown may exist",
			"fix what Prosody's log says of room_participants_api and of its storage; the module tries again every minute"}
	case d.Module != nil && d.AsOf != nil:
		found := "all rooms are known"
		if d.Resyncs > 0 {
			found += fmt.Sprintf(", learnt anew %d times", d.Resyncs)
		}
		if cache := d.Module.RoomCache; cache != nil && d.Module.Rooms > *cache {
			return verdict{Warning, fmt.Sprintf("%s; there are %d, and Prosody keeps %d in memory (muc_room_cache_size), so that joins swap rooms out and in, which slows it", found, d.Module.Rooms, *cache),
				fmt.Sprintf(`muc_room_cache_size = 10000 below Component "%s" in Prosody's configuration, or, where nothing is set there, above every Component in %s, %s`, d.Domain, confFile, restartProsody)}
		}
		return verdict{status: OK, found: found}
	case d.Reason == occupancy.ReasonNotAllowed:
		return waits(AllowList)
	}
	return waits(Module)
}

func modeOf(d domainFacts) verdict {
	switch {
	case d.Reason == occupancy.ReasonNotAllowed:
		return waits(AllowList)
	case d.Reason == occupancy.ReasonSyncing, d.Reason == occupancy.ReasonStorage:
		return waits(Sync)
	case d.Reason == occupancy.ReasonModuleVersion:
		return waits(Module)
	case !d.usable():
		return waits(MUCDomains)
	case d.Mode == occupancy.ModeModule:
		return verdict{status: OK, found: "module, so everything is known as it happens"}
	case d.Mode == occupancy.ModeDisco:
		return verdict{Warning, "disco, so numbers are raw: focus and recorders are among them, and there are no names", "load the Lua module there"}
	}
	return verdict{status: Unchecked, found: fmt.Sprintf("%s for now: waits for %s", d.Mode, Module)}
}
