package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"mellium.im/xmpp/stream"

	"ppch/component/occupancy"
)

// linkOf is the link that a reason for a stream that is down belongs to.
var linkOf = map[occupancy.Reason]string{
	occupancy.ReasonDNS:           DNS,
	occupancy.ReasonRefused:       Port,
	occupancy.ReasonUnreachable:   Port,
	occupancy.ReasonTimeout:       Port,
	occupancy.ReasonRejected:      Port,
	occupancy.ReasonHostUnknown:   Component,
	occupancy.ReasonNotAuthorized: Secret,
	occupancy.ReasonConflict:      Conflict,
}

// Where the same thing is done differently.
const (
	restartProsody = "then restart Prosody (docker compose up -d --force-recreate prosody; Debian: systemctl restart prosody)"
	confFile       = "conf.d/ppch.cfg.lua (of docker-jitsi-meet in ${CONFIG}/prosody/config, of Debian in /etc/prosody)"
	installDoes    = "all of it is done by ppch jitsi install --dir PATH, docker-jitsi-meet's folder or /etc/prosody; " + restartProsody
)

// way tells the links between here and an established stream. It returns the one that is broken, or "".
func (e *examination) way(ctx context.Context, seen facts) (broken string) {
	if !seen.Connected {
		if broken = linkOf[seen.Reason]; broken == "" {
			broken = Conflict // for a stream that doesn't last
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
		name, well string
		fault      func() (found string, mend []string)
	}{
		{DNS, nameFound(host, literal), func() (string, []string) { return e.nameFault(host, seen) }},
		{Port, seen.Prosody + " answers as a component port", func() (string, []string) { return e.portFault(ctx, seen) }},
		{Component, "Prosody has the component " + seen.Component, func() (string, []string) { return componentFault(seen) }},
		{Secret, e.secretTaken(), func() (string, []string) { return secretFault(seen) }},
	} {
		if l.name == broken {
			found, mend := l.fault()
			e.is(l.name, Wrong, found, mend...)
			return broken
		}
		if !e.told[l.name] {
			e.is(l.name, OK, l.well)
		}
	}
	return ""
}

// name tells what Prosody's name stands for here. Where it stands for nothing the connection will say why.
func (e *examination) name(ctx context.Context) {
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil {
		return
	}
	if ips := addresses(ctx, host); len(ips) > 0 {
		e.is(DNS, OK, nameFound(host, ips[0].Unmap().String()))
	}
}

// secretTaken says whose secret it is that works: a service doesn't tell its own, not even whether it is the one set here.
func (e *examination) secretTaken() string {
	switch {
	case e.byItself:
		return "Prosody takes the secret"
	case e.Elsewhere:
		return "Prosody takes the service's secret"
	}
	return "Prosody takes the service's secret; whether the one that is set here is the same isn't looked at"
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

func (e *examination) nameFault(host string, seen facts) (string, []string) {
	where := "here"
	if !e.byItself {
		where = "where the service runs"
	}
	found := fmt.Sprintf("the name %s is not known %s", host, where)
	var dns *net.DNSError
	if errors.As(seen.err, &dns) && !dns.IsNotFound {
		return fmt.Sprintf("no name server answers for %s: %s", host, dns.Err), []string{"mend /etc/resolv.conf, or give PROSODY_URL an address"}
	}
	return found, []string{
		"in a container: join Jitsi's network; PPCH_NETWORK_EXTERNAL in .env names it (docker network ls | grep jitsi), or PPCH_NETWORK_IS_EXTERNAL=false in Jitsi's own folder. Prosody's name there is prosody",
		"outside of containers their names are unknown: PROSODY_URL=xmpp://127.0.0.1:5347, and for docker-jitsi-meet ports: [\"127.0.0.1:5347:5347\"] of its service prosody",
	}
}

func (e *examination) portFault(ctx context.Context, seen facts) (string, []string) {
	switch seen.Reason {
	case occupancy.ReasonUnreachable:
		return fmt.Sprintf("there is no way to %s: its network can't be reached", seen.Prosody),
			[]string{"mend the address in PROSODY_URL, or the route to it; in a container join Jitsi's network: PPCH_NETWORK_EXTERNAL in .env names it"}
	case occupancy.ReasonTimeout:
		var op *net.OpError
		if errors.As(seen.err, &op) && op.Op == "dial" {
			return fmt.Sprintf("%s gives no sign of life: a firewall swallows what is sent, or nobody has the address", seen.Prosody),
				[]string{"mend the address in PROSODY_URL, or the firewall between"}
		}
		return fmt.Sprintf("%s doesn't answer as a component port in time", seen.Prosody), []string{
			"mend the port in PROSODY_URL: it is that of component_ports, usually 5347, and not 5280, which is for HTTP",
			"or Prosody hangs: look at its load and its log",
		}
	case occupancy.ReasonRejected:
		return fmt.Sprintf("what answers at %s is no component port", seen.Prosody),
			[]string{"mend the port in PROSODY_URL: it is that of component_ports, usually 5347, and not 5280 or 5222"}
	}
	if loopback := e.onLoopback(ctx, seen.Prosody); loopback != "" {
		return fmt.Sprintf("nothing listens at %s, but something does at %s: Prosody listens for components on loopback alone", seen.Prosody, loopback), []string{
			`component_interfaces = { "*" } above the Component in ` + confFile + ", " + restartProsody,
			"or, on the same machine, PROSODY_URL=xmpp://" + loopback,
		}
	}
	found := fmt.Sprintf("nothing listens at %s: the component port is closed, or open for loopback alone, or Prosody isn't there", seen.Prosody)
	if e.webServerAnswers(ctx) {
		found = fmt.Sprintf("nothing listens at %s, though Prosody is there (%s answers): its component port is closed, or open for loopback alone", seen.Prosody, e.HTTP)
	}
	return found, []string{
		`component_ports = { 5347 } and component_interfaces = { "*" } above the Component in ` + confFile +
			", since docker-jitsi-meet switches the port off, and Prosody's default is loopback alone",
		installDoes,
		"or mend PROSODY_URL, if Prosody listens for components elsewhere",
	}
}

func componentFault(seen facts) (string, []string) {
	return fmt.Sprintf("Prosody has no external component %s", seen.Component), []string{
		fmt.Sprintf(`Component "%s" with its component_secret in %s. A VirtualHost or another Component of that name is none`, seen.Component, confFile),
		installDoes,
		"or mend PPCH_COMPONENT_DOMAIN, if the component has another name",
		"or mend the port in PROSODY_URL, if it is that for clients (5222), which answers the same",
	}
}

func secretFault(seen facts) (string, []string) {
	same := "make them the same: PPCH_COMPONENT_SECRET, and component_secret below the Component in " + confFile + ", " + restartProsody
	var refusal stream.Error
	if errors.As(seen.err, &refusal) && len(refusal.Text) == 0 {
		// mod_component gives a reason only where there are secrets to compare.
		return fmt.Sprintf("Prosody has no component_secret for %s, or it is empty", seen.Component), []string{same}
	}
	return fmt.Sprintf("Prosody refuses the secret of %s: it has another one", seen.Component), []string{
		same,
		"a secret that was changed in .env counts for the service only after docker compose up -d --force-recreate ppch",
	}
}

// alone tells whether nobody else has the component's name, as far as that has shown by now.
func (e *examination) alone(seen facts) bool {
	switch {
	case seen.Connected:
		e.is(Conflict, OK, "the stream is up, and nobody has taken "+seen.Component)
		return true
	case linkOf[seen.Reason] != Conflict && seen.Reason != "":
		e.is(Conflict, Wrong, "the stream to Prosody doesn't last: "+string(seen.Reason), "look at Prosody's log: docker compose logs prosody; Debian: /var/log/prosody/prosody.log")
		return false
	}
	mend := []string{
		"stop the other program, or give each its own Component and PPCH_COMPONENT_DOMAIN",
		`if it is an old connection of this service that Prosody hasn't given up: component_conflict_resolve = "kick_old" below the Component in ` + confFile,
	}
	if e.byItself {
		mend = append(mend, "if it is the service, which runs where this doctor can't see it: docker compose exec ppch /ppch doctor")
	}
	e.is(Conflict, Wrong, fmt.Sprintf("another connection has the name %s", seen.Component), mend...)
	return false
}
