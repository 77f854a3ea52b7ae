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

// addresses returns what a name stands for here, nothing where it isn't known.
func addresses(ctx context.Context, host string) []netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, namePatience)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	return ips
}

// listens reports whether something accepts connections. It says nothing and closes.
func listens(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, hintPatience)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// onLoopback returns where something listens on this machine's loopback that should listen at address, an address of this machine; else "".
func (e *examination) onLoopback(ctx context.Context, address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || e.Elsewhere {
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

func (e *examination) webServerAnswers(ctx context.Context) bool {
	return !e.Elsewhere && e.HTTP != "" && listens(ctx, e.HTTP)
}

// moduleByHTTP asks Prosody's web server which Lua module of ours it has, be it ever so old: its version,
// which that of PPCH 1 doesn't tell, and the MUC domain that it serves.
func (e *examination) moduleByHTTP(ctx context.Context, domain string) (version, serves string, loaded bool) {
	if e.Elsewhere || e.HTTP == "" {
		return "", "", false
	}
	ctx, cancel := context.WithTimeout(ctx, hintPatience)
	defer cancel()
	client := terminal.Near(nil)
	defer client.CloseIdleConnections()
	_, parent, _ := strings.Cut(domain, ".")
	// Modules are served under the name of the host on which they are loaded.
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
		var answer struct {
			Module    string `json:"module"`
			Version   string `json:"version"`
			MUCDomain string `json:"muc_domain"`
		}
		err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
		_ = resp.Body.Close()
		if err == nil && resp.StatusCode == http.StatusOK && answer.Module != "" {
			return answer.Version, answer.MUCDomain, true
		}
	}
	return "", "", false
}
