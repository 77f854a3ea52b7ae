package api

import "net/netip"

// origin returns what counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which each host has to itself.
func origin(remote string) netip.Prefix {
	addr := addressIn(remote)
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // an address that isn't valid has a prefix that isn't either
	return p
}

// addressIn returns the address in host:port, which isn't valid if there is none.
func addressIn(remote string) netip.Addr {
	addr, _ := netip.ParseAddrPort(remote)
	return addr.Addr().Unmap().WithZone("")
}
