package doctor

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"ppch/cmd/ppch/terminal"
	"ppch/prosody"
)

// addresses resolves a name; it returns nothing if that fails.
func addresses(ctx context.Context, host string) []netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	return ips
}

// listens reports whether address accepts connections. It sends nothing.
func listens(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, hintTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// onLoopback returns the loopback address on which the port of address is open, if address belongs to this machine; else "".
func (e *run) onLoopback(ctx context.Context, address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || e.Remote {
		return ""
	}
	ips := addresses(ctx, host)
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = []netip.Addr{ip}
	}
	for _, ip := range ips {
		if !isOurs(ip) {
			continue
		}
		for _, loopback := range []string{"127.0.0.1", "::1"} {
			if at := net.JoinHostPort(loopback, port); ip.Unmap().String() != loopback && listens(ctx, at) {
				return at
			}
		}
	}
	return ""
}

// isOurs reports whether ip is an address of this machine.
func isOurs(ip netip.Addr) bool {
	if ip.Unmap().IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if own, err := netip.ParsePrefix(a.String()); err == nil && own.Addr().Unmap() == ip.Unmap() {
			return true
		}
	}
	return false
}

func (e *run) webServerAnswers(ctx context.Context) bool {
	return !e.Remote && e.HTTP != "" && listens(ctx, e.HTTP)
}

// moduleByHTTP asks Prosody's web server for the Lua module, of any version: its version, which PPCH 1's
// does not report, and the MUC domain that it serves.
func (e *run) moduleByHTTP(ctx context.Context, domain string) (version, serves string, loaded bool) {
	if e.Remote || e.HTTP == "" {
		return "", "", false
	}
	ctx, cancel := context.WithTimeout(ctx, hintTimeout)
	defer cancel()
	client := terminal.Near(nil)
	defer client.CloseIdleConnections()
	_, parent, _ := strings.Cut(domain, ".")
	// The virtual host is the one on which the module is loaded.
	for _, host := range []string{parent, domain} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.HTTP+"/"+prosody.ModuleName+"/health", nil)
		if err != nil {
			return "", "", false
		}
		req.Host = host
		resp, err := client.Do(req)
		if err != nil {
			return "", "", false
		}
		var health struct {
			Module    string `json:"module"`
			Version   string `json:"version"`
			MUCDomain string `json:"muc_domain"`
		}
		err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&health)
		_ = resp.Body.Close()
		if err == nil && resp.StatusCode == http.StatusOK && health.Module != "" {
			return health.Version, health.MUCDomain, true
		}
	}
	return "", "", false
}
