package main

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

func (p *parser) host(variable, value string) string {
	if _, err := netip.ParseAddr(value); err != nil && strings.ContainsAny(value, ":/[] ") {
		p.problem(variable, "%q is neither an IP address nor a host name: use 127.0.0.1, or 0.0.0.0 for all; the port is PPCH_PORT", value)
	}
	return value
}

func (p *parser) port(variable, value string, lowest uint64) string {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil || n < lowest {
		p.problem(variable, "%q is not a port: use a number from %d to 65535", value, lowest)
	}
	return strconv.FormatUint(n, 10)
}

// networks reads addresses and networks. An address is a network of one.
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

// componentPort is what Prosody's component_ports is unless changed.
const componentPort = "5347"

func (p *parser) prosody(variable, value string) string {
	const mend = "use xmpp://HOST:PORT with Prosody's component port, such as xmpp://prosody:5347"
	if strings.Contains(value, "@") {
		p.problem(variable, "holds a user name, and maybe a password that is not shown here: %s", mend)
		return ""
	}
	u, err := url.Parse(value)
	// What package url takes for the host may still hold a colon: prosody:5347:5280.
	if err != nil || u.Hostname() == "" || strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "[") {
		p.problem(variable, "%q is not an address: %s", value, mend)
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
			" is an HTTP address, as earlier versions had it: using its host with the component port, xmpp://"+net.JoinHostPort(u.Hostname(), port))
	default:
		p.problem(variable, "%q has an unknown scheme: %s", value, mend)
	}
	return net.JoinHostPort(u.Hostname(), port)
}
