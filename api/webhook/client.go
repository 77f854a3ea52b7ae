package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// Bounds of one attempt.
const (
	attemptTimeout = 15 * time.Second

	// maxExcerpt is how much of a response is kept for the log, maxDrain how much is read so that the connection can be reused.
	maxExcerpt        = 1 << 10
	maxDrain          = 64 << 10
	maxResponseHeader = 16 << 10

	idleConnections = 256
	idlePerHost     = 8
)

// Reach is which addresses deliveries may reach. The public Internet is always allowed.
type Reach struct {
	// Private allows the private networks of RFC 1918 and RFC 4193.
	Private bool

	// Allow are further addresses and networks, such as loopback.
	Allow []netip.Prefix
}

// private are the networks that Reach.Private allows.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7"),
}

// metadata are the addresses of cloud providers' metadata services within private networks: AWS and Google over IPv6.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254")}

// control returns a check for connections, which runs after DNS has answered.
func (r Reach) control() func(network, address string, c syscall.RawConn) error {
	var v4, v6 []netip.Prefix
	allow := r.Allow
	if r.Private {
		allow = append(allow[:len(allow):len(allow)], private...)
	}
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guardian := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("webhook: address of a connection: %w", err)
		}
		addr := to.Addr().Unmap()
		if guardian.SafeAddr(addr) == nil && !r.isMetadata(addr) {
			return nil
		}
		return &addressError{addr}
	}
}

// isMetadata reports whether addr is a metadata service that Allow doesn't include.
func (r Reach) isMetadata(addr netip.Addr) bool {
	allowed := slices.ContainsFunc(r.Allow, func(p netip.Prefix) bool { return p.Contains(addr) })
	return !allowed && slices.Contains(metadata, addr)
}

// addressError is the error of an address that Reach doesn't allow.
type addressError struct{ addr netip.Addr }

func (e *addressError) Error() string {
	if e.addr.IsPrivate() && !slices.Contains(metadata, e.addr) {
		return fmt.Sprintf("the address %s is private: allow private networks with PPCH_WEBHOOK_PRIVATE=true", e.addr)
	}
	return fmt.Sprintf("the address %s is not public: allow it with PPCH_WEBHOOK_ALLOW=%s", e.addr, e.addr)
}

// client sends deliveries. It is safe for concurrent use.
type client struct {
	http      *http.Transport // which follows no redirects
	userAgent string
}

// newClient returns a client. A nil config trusts the system's certificates, a nil resolver is the system's.
func newClient(reach Reach, version string, config *tls.Config, resolver *net.Resolver) *client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: reach.control(), Resolver: resolver}
	return &client{
		userAgent: "ppch/" + version,
		http: &http.Transport{
			Proxy:                  nil, // a proxy would reach what Control refuses
			DialContext:            dialer.DialContext,
			TLSClientConfig:        config,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           idleConnections,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: maxResponseHeader,
			DisableCompression:     true, // no decompression bombs
		},
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// result is the outcome of one attempt.
type result struct {
	at       time.Time
	duration time.Duration

	// status is 0 without an answer. problem is empty after a success.
	status  int
	problem string
	excerpt string

	// retryAfter is the receiver's Retry-After, or 0. gone is true if it wants no more deliveries.
	retryAfter time.Duration
	gone       bool
}

func (r result) ok() bool { return r.problem == "" }

// post sends a message once.
func (c *client) post(ctx context.Context, to *url.URL, header http.Header, m Message) result {
	r := result{at: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	target := *to
	if m.Path != "" {
		target.Path, target.RawPath = strings.TrimSuffix(target.Path, "/")+m.Path, ""
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(m.Body))
	if err != nil {
		r.problem = "the request can't be made: " + err.Error()
		return r
	}
	request.URL, request.Host, request.Header = &target, target.Host, header
	request.Header["Content-Type"] = []string{m.ContentType}
	request.Header["User-Agent"] = []string{c.userAgent}
	response, err := c.http.RoundTrip(request)
	if err != nil {
		r.duration = time.Since(r.at)
		r.problem = problemOf(ctx, err)
		return r
	}
	defer response.Body.Close()
	excerpt, _ := io.ReadAll(io.LimitReader(response.Body, maxExcerpt)) // best effort: only the status counts
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxDrain))
	r.duration = time.Since(r.at)
	r.status = response.StatusCode
	r.excerpt = strings.ToValidUTF8(string(excerpt), "\ufffd")
	switch {
	case r.status >= 200 && r.status < 300:
		return r
	case r.status >= 300 && r.status < 400:
		r.problem = fmt.Sprintf("status %d: redirects aren't followed; enter the final URL", r.status)
	default:
		r.problem = fmt.Sprintf("status %d", r.status)
	}
	r.gone = r.status == http.StatusGone
	r.retryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	return r
}

// problemOf describes why there is no response.
func problemOf(ctx context.Context, err error) string {
	var address *addressError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &address):
		return address.Error()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s", attemptTimeout)
	case errors.As(err, &dns):
		return "DNS: " + dns.Err + " for " + dns.Name
	case errors.As(err, &certificate):
		return "certificate: " + certificate.Err.Error()
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// maxRetryAfter limits what a receiver can ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter returns the time in a Retry-After header, RFC 9110 §10.2.3, or 0.
func retryAfter(text string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
