package config

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

func (p *parser) host(variable, value string) string {
	if _, err := netip.ParseAddr(value); err != nil && strings.ContainsAny(value, ":/[] ") {
		p.problem(variable, "%q is neither an IP address nor a host name: use 127.0.0.1, or 0.0.0.0 for all interfaces; set the port with PPCH_PORT", value)
	}
	return value
}

func (p *parser) port(variable, value string, lowest uint64) string {
	n, err := strconv.ParseUint(value, 10, 16)
	switch {
	case linkedPort.MatchString(value):
		p.problem(variable, "%q is what Kubernetes sets for a Service named ppch: set enableServiceLinks: false in the pod, or set %s to a number", value, variable)
	case err != nil || n < lowest:
		p.problem(variable, "%q is not a port: use a number from %d to 65535", value, lowest)
	}
	return strconv.FormatUint(n, 10)
}

// networks parses addresses and networks. An address becomes a network of one.
func (p *parser) networks(variable, value string) (networks []netip.Prefix) {
	for _, v := range list(value) {
		network, err := netip.ParsePrefix(v)
		if addr, addrErr := netip.ParseAddr(v); addrErr == nil && addr.Zone() == "" {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil || network.Addr().Is4In6() {
			p.problem(variable, "%q is neither an IP address nor a network: write 10.0.0.5, 10.0.0.0/24 or fd00::/64", v)
			continue
		}
		networks = append(networks, network.Masked())
	}
	return networks
}

// componentPort is Prosody's default for component_ports.
const componentPort = "5347"

func (p *parser) prosody(variable, value string) string {
	const fix = "use xmpp://HOST:PORT with Prosody's component port, such as xmpp://prosody:5347"
	if strings.Contains(value, "@") {
		p.problem(variable, "contains a user name, and perhaps a password, hidden here: %s", fix)
		return ""
	}
	u, err := url.Parse(value)
	// url.Parse accepts a colon within the host, as in prosody:5347:5280.
	if err != nil || u.Hostname() == "" || strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "[") {
		p.problem(variable, "%q is not an address: %s", value, fix)
		return ""
	}
	port := componentPort
	switch u.Scheme {
	case "xmpp":
		if u.Port() != "" {
			port = p.port(variable, u.Port(), 1)
		}
	case "http", "https":
		p.warnings = append(p.warnings, variable+
			" is an HTTP address, as in version 1: using its host with the component port, xmpp://"+net.JoinHostPort(u.Hostname(), port))
	default:
		p.problem(variable, "%q has an unknown scheme: %s", value, fix)
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// loopback accepts only loopback IP addresses: a name could resolve to any address.
func (p *parser) loopback(variable, value string) string {
	if value == "" {
		return ""
	}
	addr, err := netip.ParseAddrPort(value)
	if err != nil || !addr.Addr().Unmap().IsLoopback() {
		p.problem(variable, "%q is not a loopback IP address with a port: use one such as 127.0.0.1:6060", value)
	}
	return value
}
