package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"mellium.im/xmpp/stream"

	"ppch/component/occupancy"
)

// checkOf is the check that fails for a reason for which the stream is down.
var checkOf = map[occupancy.Reason]string{
	occupancy.ReasonDNS:           DNS,
	occupancy.ReasonRefused:       Port,
	occupancy.ReasonUnreachable:   Port,
	occupancy.ReasonTimeout:       Port,
	occupancy.ReasonRejected:      Port,
	occupancy.ReasonHostUnknown:   Component,
	occupancy.ReasonNotAuthorized: Secret,
	occupancy.ReasonConflict:      Conflict,
}

// connection checks everything up to an established stream. It returns the check that failed, or "".
func (e *run) connection(ctx context.Context, seen facts) (broken string) {
	if !seen.Connected {
		if broken = checkOf[value(seen.Reason)]; broken == "" {
			broken = Conflict // the stream comes up and drops
		}
	}
	host, _, err := net.SplitHostPort(seen.Prosody)
	if err != nil {
		host = seen.Prosody
	}
	literal := ""
	if _, err := netip.ParseAddr(host); err == nil {
		literal = host
	}
	for _, l := range []struct {
		name, ok string
		problem  func() (found string, remedies []string)
	}{
		{DNS, nameFound(host, literal), func() (string, []string) { return e.nameProblem(host, seen) }},
		{Port, seen.Prosody + " answers as a component port", func() (string, []string) { return e.portProblem(ctx, seen) }},
		{Component, "Prosody has the component " + seen.Component, func() (string, []string) { return e.componentProblem(seen) }},
		{Secret, e.secretAccepted(), func() (string, []string) { return e.secretProblem(seen) }},
	} {
		if l.name == broken {
			found, remedies := l.problem()
			e.report(l.name, Wrong, found, remedies...)
			return broken
		}
		if !e.reported[l.name] {
			e.report(l.name, OK, l.ok)
		}
	}
	return ""
}

// name resolves Prosody's name. If that fails, the connection reports why.
func (e *run) name(ctx context.Context) {
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil {
		return
	}
	if ips := addresses(ctx, host); len(ips) > 0 {
		e.report(DNS, OK, nameFound(host, ips[0].Unmap().String()))
	}
}

// secretAccepted says whose secret works. A service reveals nothing about its own, not even whether it equals the one set here.
func (e *run) secretAccepted() string {
	switch {
	case e.probing:
		return "Prosody accepts the secret"
	case e.Remote:
		return "Prosody accepts the service's secret"
	}
	return "Prosody accepts the service's secret; it is not compared with the one set here"
}

func nameFound(host, address string) string {
	switch {
	case host == address:
		return host + " is an address"
	case address == "":
		return host + " resolves"
	}
	return host + " is " + address
}

func (e *run) nameProblem(host string, seen facts) (string, []string) {
	names := e.namesFor(seen, seen.shard)
	where := "here"
	if !e.probing {
		where = "where the service runs"
	}
	found := fmt.Sprintf("the name %s does not resolve %s", host, where)
	var dns *net.DNSError
	if errors.As(seen.err, &dns) && !dns.IsNotFound {
		return fmt.Sprintf("no name server answers for %s: %s", host, dns.Err), []string{"fix /etc/resolv.conf, or use an IP address in " + names.URL}
	}
	inContainer := "in a container: join Jitsi's network; PPCH_NETWORK_EXTERNAL in .env names it (docker network ls | grep jitsi), or PPCH_NETWORK_IS_EXTERNAL=false in Jitsi's own folder. Prosody's name there is prosody"
	switch e.Installation {
	case Containers:
		return found, []string{"check that Prosody runs: docker compose ps prosody, in Jitsi's folder", strings.TrimPrefix(inContainer, "in a container: ")}
	case Packages:
		return found, []string{"use the address of this machine: " + set(names.URL, "xmpp://127.0.0.1:5347")}
	}
	return found, []string{
		inContainer,
		"outside of containers, use a published port: " + set(names.URL, "xmpp://127.0.0.1:5347") + ", and for docker-jitsi-meet ports: [\"127.0.0.1:5347:5347\"] of its service prosody",
	}
}

func (e *run) portProblem(ctx context.Context, seen facts) (string, []string) {
	names := e.namesFor(seen, seen.shard)
	switch value(seen.Reason) {
	case occupancy.ReasonUnreachable:
		remedy := "fix the address in " + names.URL + ", or the route to it"
		if e.Installation != Packages {
			remedy += "; in a container, join Jitsi's network: PPCH_NETWORK_EXTERNAL in .env names it"
		}
		return fmt.Sprintf("the network of %s is unreachable", seen.Prosody), []string{remedy}
	case occupancy.ReasonTimeout:
		if seen.LastAnswer != nil {
			return fmt.Sprintf("Prosody at %s stopped answering: its last answer is of %s", seen.Prosody, *seen.LastAnswer), []string{
				"check Prosody's load and its log, and the network in between",
				"or fix " + names.URL + ", if Prosody's component port has moved",
			}
		}
		var op *net.OpError
		if errors.As(seen.err, &op) && op.Op == "dial" {
			return fmt.Sprintf("%s does not respond: a firewall drops packets, or no machine has this address", seen.Prosody),
				[]string{"fix the address in " + names.URL + ", or the firewall"}
		}
		return fmt.Sprintf("%s does not answer as a component port in time", seen.Prosody), []string{
			"fix the port in " + names.URL + ": use that of component_ports, usually 5347; 5280 is for HTTP",
			"or Prosody hangs: check its load and its log",
		}
	case occupancy.ReasonRejected:
		return fmt.Sprintf("%s is not a component port", seen.Prosody),
			[]string{"fix the port in " + names.URL + ": use that of component_ports, usually 5347, not 5280 or 5222"}
	}
	if loopback := e.onLoopback(ctx, seen.Prosody); loopback != "" {
		return fmt.Sprintf("nothing listens at %s, but something does at %s: Prosody listens for components on loopback only", seen.Prosody, loopback), []string{
			`component_interfaces = { "*" } above the Component in ` + e.confFile() + ", " + e.restartProsody(),
			"or, on the same machine, " + set(names.URL, "xmpp://"+loopback),
		}
	}
	open := []string{
		`component_ports = { 5347 } and component_interfaces = { "*" } above the Component in ` + e.confFile() + ": " + e.whyClosed(),
		e.installDoes(),
		"or fix " + names.URL + ", if Prosody listens for components elsewhere",
	}
	if e.webServerAnswers(ctx) {
		return fmt.Sprintf("nothing listens at %s, though Prosody runs (%s answers): its component port is closed, or open on loopback only", seen.Prosody, e.HTTP), open
	}
	return fmt.Sprintf("nothing listens at %s: Prosody is not running, or its component port is closed or open on loopback only", seen.Prosody),
		append([]string{"check first that Prosody runs: " + e.pick("docker compose ps prosody, and docker compose logs prosody, in Jitsi's folder", "systemctl status prosody")}, open...)
}

// whyClosed says why a port is closed by default.
func (e *run) whyClosed() string {
	switch e.Installation {
	case Containers:
		return "docker-jitsi-meet disables the port"
	case Packages:
		return "Prosody's default is loopback only"
	}
	return "docker-jitsi-meet disables the port, and Prosody's default is loopback only"
}

func (e *run) componentProblem(seen facts) (string, []string) {
	names := e.namesFor(seen, seen.shard)
	return fmt.Sprintf("Prosody has no external component %s", seen.Component), []string{
		fmt.Sprintf(`add Component "%s" with its component_secret to %s. A VirtualHost or another kind of Component with that name does not count`, seen.Component, e.confFile()),
		e.installDoes(),
		"or fix " + names.Component + ", if the component has another name",
		"or fix the port in " + names.URL + ", if it is that for clients (5222), which gives the same error",
	}
}

func (e *run) secretProblem(seen facts) (string, []string) {
	names := e.namesFor(seen, seen.shard)
	same := "make them the same: " + names.Secret + ", and component_secret below the Component in " + e.confFile() + ", " + e.restartProsody()
	var refusal stream.Error
	if errors.As(seen.err, &refusal) && len(refusal.Text) == 0 {
		// mod_component gives a reason only if there are secrets to compare.
		return fmt.Sprintf("Prosody has no component_secret for %s, or it is empty", seen.Component), []string{same}
	}
	remedies := []string{same}
	if names.Secret != occupancy.LineSettings(seen.shard).Secret { // the service reads that by itself
		remedies = append(remedies, "after a change of "+names.Secret+": "+e.pick("docker compose up -d --force-recreate ppch", "systemctl restart ppch"))
	}
	return fmt.Sprintf("Prosody rejects the secret of %s: it has another one", seen.Component), remedies
}

// conflict checks whether another connection has taken the component's name so far. It reports whether the stream is up.
func (e *run) conflict(seen facts) bool {
	switch {
	case seen.Connected:
		e.report(Conflict, OK, "the stream is up as "+seen.Component)
		return true
	case checkOf[value(seen.Reason)] != Conflict && value(seen.Reason) != "":
		e.report(Conflict, Wrong, "the stream to Prosody does not last: "+string(value(seen.Reason)), "check Prosody's log: "+e.prosodyLog())
		return false
	}
	names := e.namesFor(seen, seen.shard)
	remedies := []string{
		"stop the other program, or give each its own Component, in Prosody's configuration and in " + names.Component,
		`if it is an old connection of this service that Prosody still holds: set component_conflict_resolve = "kick_old" below the Component in ` + e.confFile(),
	}
	if e.probing && e.Installation != Packages {
		remedies = append(remedies, "if it is the service, which this doctor can't reach: docker compose exec ppch /ppch doctor")
	}
	e.report(Conflict, Wrong, fmt.Sprintf("another connection uses the name %s", seen.Component), remedies...)
	return false
}
