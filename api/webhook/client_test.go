package webhook_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"ppch/api/webhook"
)

var (
	loopback = webhook.Reach{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	message  = webhook.Message{ContentType: "application/json", Body: []byte(`{"type":"webhook.test"}`)}
)

// post sends the message to a URL.
func post(t *testing.T, reach webhook.Reach, to string) webhook.Attempt {
	t.Helper()
	u := must(url.Parse(to))(t)
	return webhook.Post(t.Context(), reach, nil, nil, u, message)
}

// receiver starts a receiver on loopback.
func receiver(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestClient_Delivers(t *testing.T) {
	t.Parallel()
	var got string
	s := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL, r.Header.Get("Content-Type"), r.Header.Get("User-Agent"), body)
		w.WriteHeader(http.StatusNoContent)
	})
	if a := post(t, loopback, s.URL+"/hook?token=1"); a.Problem != "" || a.Status != http.StatusNoContent {
		t.Errorf("got %+v", a)
	}
	if want := "POST /hook?token=1 application/json ppch/test " + string(message.Body); got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

// Each address is refused at connect time, before anything is sent.
func TestClient_RefusesAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1":                "PPCH_WEBHOOK_ALLOW=127.0.0.1",
		"localhost":                "PPCH_WEBHOOK_ALLOW=",
		"127.8.8.8":                "PPCH_WEBHOOK_ALLOW=127.8.8.8",
		"0.0.0.0":                  "PPCH_WEBHOOK_ALLOW=0.0.0.0",
		"[::1]":                    "PPCH_WEBHOOK_ALLOW=::1",
		"[::]":                     "PPCH_WEBHOOK_ALLOW=",
		"[::ffff:127.0.0.1]":       "PPCH_WEBHOOK_ALLOW=127.0.0.1",
		"[::ffff:169.254.169.254]": "PPCH_WEBHOOK_ALLOW=169.254.169.254",
		"169.254.169.254":          "PPCH_WEBHOOK_ALLOW=169.254.169.254",
		"[fe80::1]":                "PPCH_WEBHOOK_ALLOW=fe80::1",
		"[fd00:ec2::254]":          "PPCH_WEBHOOK_ALLOW=fd00:ec2::254",
		"[64:ff9b::7f00:1]":        "PPCH_WEBHOOK_ALLOW=64:ff9b::7f00:1",
		"100.100.100.200":          "PPCH_WEBHOOK_ALLOW=100.100.100.200",
		"224.0.0.1":                "PPCH_WEBHOOK_ALLOW=224.0.0.1",
		"10.0.0.1":                 "PPCH_WEBHOOK_PRIVATE=true",
		"172.16.9.9":               "PPCH_WEBHOOK_PRIVATE=true",
		"192.168.1.1":              "PPCH_WEBHOOK_PRIVATE=true",
		"[::ffff:10.0.0.1]":        "PPCH_WEBHOOK_PRIVATE=true",
		"[fd12::1]":                "PPCH_WEBHOOK_PRIVATE=true",
	} {
		if a := post(t, webhook.Reach{}, "http://"+address+":9/"); !strings.Contains(a.Problem, want) {
			t.Errorf("%s: got %q want it to name %s", address, a.Problem, want)
		}
	}
}

func TestReach_Allows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reach   webhook.Reach
		yes, no []string
	}{
		{webhook.Reach{}, []string{"93.184.216.34", "2606:2800:220:1::1"}, []string{"10.0.0.1", "127.0.0.1", "fd12::1"}},
		{webhook.Reach{Private: true}, []string{"10.0.0.1", "172.31.0.1", "192.168.0.1", "fd12::1", "::ffff:10.0.0.1"}, []string{"127.0.0.1", "169.254.169.254", "fe80::1", "fd00:ec2::254", "100.64.0.1", "172.32.0.0.1"}},
		{webhook.Reach{Allow: []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fd00:ec2::254/128")}}, []string{"169.254.169.254", "fd00:ec2::254"}, []string{"127.0.0.1", "10.0.0.1", "fd12::1"}},
	} {
		for _, a := range c.yes {
			if err := c.reach.Check(net.JoinHostPort(a, "8443")); err != nil {
				t.Errorf("%+v: %s: %v", c.reach, a, err)
			}
		}
		for _, a := range c.no {
			if err := c.reach.Check(net.JoinHostPort(a, "443")); err == nil {
				t.Errorf("%+v allows %s", c.reach, a)
			}
		}
	}
}

func TestClient_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	secret := receiver(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	for _, to := range []string{"http://169.254.169.254/latest/meta-data/", secret.URL} {
		s := receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) })
		if a := post(t, loopback, s.URL); a.Status != 307 || a.Problem != "status 307: redirects aren't followed; enter the final URL" {
			t.Errorf("to %s: got %+v", to, a)
		}
	}
	if reached.Load() {
		t.Error("a redirect was followed")
	}
}

// The name has an allowed address when it is first asked for, and then the address of a metadata service.
func TestClient_ChecksEachDNSAnswer(t *testing.T) {
	t.Parallel()
	s := receiver(t, func(http.ResponseWriter, *http.Request) {})
	var asked atomic.Int32
	resolver := fakeDNS(t, func() [4]byte {
		if asked.Add(1) <= 1 {
			return [4]byte{127, 0, 0, 1}
		}
		return [4]byte{169, 254, 169, 254}
	})
	u, _ := url.Parse(s.URL)
	u.Host = "rebind.example:" + u.Port()
	if a := webhook.Post(t.Context(), loopback, nil, resolver, u, message); a.Problem != "" {
		t.Errorf("first: got %+v", a)
	}
	if a := webhook.Post(t.Context(), loopback, nil, resolver, u, message); !strings.Contains(a.Problem, "169.254.169.254") {
		t.Errorf("second: got %+v", a)
	}
}

// fakeDNS returns a resolver whose answers for IPv4 are those of answer. Names have no IPv6 address.
func fakeDNS(t *testing.T, answer func() [4]byte) *net.Resolver {
	t.Helper()
	conn := must(net.ListenPacket("udp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 0}, Body: &dnsmessage.AResource{A: answer()}}}
			}
			if reply, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestClient_RefusesBadCertificate(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	if a := post(t, loopback, s.URL); !strings.HasPrefix(a.Problem, "certificate: x509: ") || reached.Load() {
		t.Errorf("got %+v, reached %t", a, reached.Load())
	}
}

func TestClient_LargeAnswer(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	s := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 10 << 10 {
			n, err := w.Write(make([]byte, 1<<10))
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	a := post(t, loopback, s.URL)
	if a.Problem != "" || len(a.Excerpt) > 4<<10 {
		t.Errorf("got %q and %d bytes", a.Problem, len(a.Excerpt))
	}
	s.Close()
	if got := sent.Load(); got > 9<<20 {
		t.Errorf("%d bytes were read", got)
	}
}

func TestClient_HangingReceiver(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	s := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-released:
		}
	})
	defer close(released)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	u, _ := url.Parse(s.URL)
	if a := webhook.Post(ctx, loopback, nil, nil, u, message); a.Problem != "no answer within 15s" {
		t.Errorf("got %+v", a)
	}
}

func TestClient_Statuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  int
		after   string
		problem string
		wait    time.Duration
		gone    bool
	}{
		{200, "60", "", 0, false},
		{299, "", "", 0, false},
		{304, "", "status 304: redirects aren't followed; enter the final URL", 0, false},
		{400, "", "status 400", 0, false},
		{410, "", "status 410", 0, true},
		{429, "120", "status 429", 2 * time.Minute, false},
		{503, "99999999", "status 503", 24 * time.Hour, false},
		{503, "-5", "status 503", 0, false},
		{503, "soon", "status 503", 0, false},
		{503, "Sun, 06 Nov 1994 08:49:37 GMT", "status 503", 0, false},
	} {
		s := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.WriteHeader(c.status)
		})
		if a := post(t, loopback, s.URL); a.Problem != c.problem || a.RetryAfter != c.wait || a.Gone != c.gone {
			t.Errorf("%d with %q: got %+v", c.status, c.after, a)
		}
	}
}

// A proxy in the environment would reach addresses that PPCH refuses.
func TestClient_UsesNoProxy(t *testing.T) {
	var used atomic.Bool
	proxy := receiver(t, func(http.ResponseWriter, *http.Request) { used.Store(true) })
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	if a := post(t, loopback, "http://10.0.0.1:9/"); !strings.Contains(a.Problem, "PPCH_WEBHOOK_PRIVATE") || used.Load() {
		t.Errorf("got %+v, proxy used %t", a, used.Load())
	}
}
