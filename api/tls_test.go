package api_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/api"
	"ppch/api/keys"
	"ppch/component/componenttest"
)

// pair is a certificate for 127.0.0.1 and its key, as PEM.
type pair struct{ chain, key []byte }

// newPair returns a pair that is valid for a time, also for further hosts.
func newPair(t *testing.T, name string, from, to time.Duration, hosts ...string) pair {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(from),
		NotAfter:     time.Now().Add(to),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     hosts,
	}
	chain := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))(t)
	der := must(x509.MarshalPKCS8PrivateKey(key))(t)
	return pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
}

// pairFiles are the files of a pair.
type pairFiles struct {
	t          *testing.T
	chain, key string
}

func (p pair) inFiles(t *testing.T) pairFiles {
	dir := t.TempDir()
	f := pairFiles{t, filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem")}
	f.hold(p)
	return f
}

// hold writes a pair to the files.
func (f pairFiles) hold(p pair) {
	f.t.Helper()
	for name, data := range map[string][]byte{f.chain: p.chain, f.key: p.key} {
		check(f.t, os.WriteFile(name, data, 0o600))
	}
}

// encrypted sets up HTTPS.
func (f pairFiles) encrypted(cfg *api.Config) { cfg.ChainFile, cfg.KeyFile = f.chain, f.key }

// trusting returns a client configuration that trusts only these certificates.
func trusting(t *testing.T, pairs ...pair) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	for _, p := range pairs {
		if !pool.AppendCertsFromPEM(p.chain) {
			t.Fatal("no certificate")
		}
	}
	return &tls.Config{RootCAs: pool}
}

// startTLS starts a service that speaks HTTPS, and so does its client.
func startTLS(t *testing.T, client *tls.Config, options ...func(*api.Config)) *service {
	t.Helper()
	s := prepare(t, options...)
	s.encrypt(client)
	s.run()
	return s
}

// encrypt makes the client use HTTPS.
func (s *service) encrypt(client *tls.Config) {
	transport := s.client.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.ForceAttemptHTTP2 = client, true
	s.secure = client
}

func TestTLS_Versions(t *testing.T) {
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	files := p.inFiles(t)
	for _, c := range []struct {
		name   string
		client func(*tls.Config)
		http2  bool
		want   string // the protocol, or the error
	}{
		{"HTTP/2 with TLS 1.3", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, true, "HTTP/2.0 TLS 1.3"},
		{"HTTP/2 with TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, true, "HTTP/2.0 TLS 1.2"},
		{"HTTP/1.1", func(*tls.Config) {}, false, "HTTP/1.1 TLS 1.3"},
		{"TLS 1.1 is too old", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, true, "protocol version not supported"},
		{"a certificate that the client doesn't trust", func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, true, "unknown authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := trusting(t, p)
			c.client(client)
			s := startTLS(t, client, files.encrypted)
			s.client.Transport.(*http.Transport).ForceAttemptHTTP2 = c.http2
			resp, err := s.client.Get(s.url("/livez"))
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
				record := s.log.records(t, 1)[0]
				if text, _ := record["msg"].(string); !strings.HasPrefix(text, "http: TLS handshake error from 127.0.0.1:") {
					t.Errorf("got record %v", record)
				}
				return
			}
			defer resp.Body.Close()
			if got := resp.Proto + " " + tls.VersionName(resp.TLS.Version); got != c.want || resp.StatusCode != http.StatusOK {
				t.Errorf("got %d by %s, want %s", resp.StatusCode, got, c.want)
			}
		})
	}
}

func TestTLS_SameResponses(t *testing.T) {
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	s := startTLS(t, trusting(t, p), p.inFiles(t).encrypted, withRooms(occupied))
	for target, want := range map[string]int{
		"/api/rooms/MyRoom/participants": 200, "/api/rooms/acme%2FStand%20up/participants": 200, "/api/rooms/a%5Bb/participants": 400,
		"/nothing": 404, "/docs/swagger-ui.css": 200, "/" + tooLong: 414,
	} {
		if got := s.get(target); got.status != want {
			t.Errorf("%.40s: got %d %.200s", target, got.status, got.body)
		}
	}
}

func TestTLS_ClosesWithoutHandshake(t *testing.T) {
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	s := prepare(t, p.inFiles(t).encrypted)
	s.HTTP().ReadHeaderTimeout = 50 * time.Millisecond
	s.encrypt(trusting(t, p))
	s.run()
	if got, err := io.ReadAll(s.dial()); err != nil || len(got) != 0 {
		t.Errorf("got %q, %v, want the end of the connection", got, err)
	}
}

// A stream arrives event by event, and outlives the write timeout of other responses.
func TestTLS_StreamsArriveAtOnce(t *testing.T) {
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	files := p.inFiles(t)
	for _, http2 := range []bool{true, false} {
		t.Run(fmt.Sprintf("HTTP/2 %t", http2), func(t *testing.T) {
			s := prepare(t, files.encrypted)
			s.encrypt(trusting(t, p))
			s.client.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
			proceed := make(chan struct{})
			s.HTTP().WriteTimeout = 100 * time.Millisecond
			s.HTTP().Handler = s.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				if err := control.SetWriteDeadline(time.Time{}); err != nil {
					t.Errorf("no write deadline: %v", err)
				}
				for i := range 3 {
					fmt.Fprintf(w, "event %d\n", i)
					if err := control.Flush(); err != nil {
						t.Errorf("no flush: %v", err)
					}
					<-proceed
				}
			}))
			s.run()
			resp := must(s.client.Get(s.url("/")))(t)
			defer resp.Body.Close()
			lines := bufio.NewReader(resp.Body)
			for i := range 3 {
				if got, err := lines.ReadString('\n'); got != fmt.Sprintf("event %d\n", i) {
					t.Fatalf("got %q, %v", got, err)
				}
				time.Sleep(80 * time.Millisecond)
				proceed <- struct{}{}
			}
			if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
				t.Errorf("got %q, %v at the end", rest, err)
			}
		})
	}
}

func TestTLS_StopClosesIdleHTTP2(t *testing.T) {
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	s := startTLS(t, trusting(t, p), p.inFiles(t).encrypted)
	s.get("/livez")
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second || strings.Contains(s.log.String(), "connections cut") {
		t.Errorf("the stop took %s; the log: %s", took, s.log)
	}
}

func TestTLS_ReloadsCertificate(t *testing.T) {
	first, second := newPair(t, "first", -time.Hour, time.Hour), newPair(t, "second", -time.Hour, 2*time.Hour)
	files := first.inFiles(t)
	s := prepare(t, files.encrypted)
	s.encrypt(trusting(t, first, second))
	s.client.Transport.(*http.Transport).DisableKeepAlives = true
	s.RenewEvery(10 * time.Millisecond)
	s.run()
	shown := func() string {
		t.Helper()
		resp := must(s.client.Get(s.url("/livez")))(t)
		resp.Body.Close()
		return resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	logged := func(times int, text string) {
		t.Helper()
		componenttest.Eventually(t, 5*time.Second, "logged: "+text, func() bool { return strings.Count(s.log.String(), text) >= times })
	}
	if got := shown(); got != "first" {
		t.Errorf("got %s", got)
	}
	for _, c := range []struct {
		name string
		bad  func()
		says string
	}{
		{"the key of another certificate", func() { files.hold(pair{second.chain, first.key}) }, "private key does not match public key"},
		{"an expired certificate", func() { files.hold(newPair(t, "old", -2*time.Hour, -time.Hour)) }, "the certificate expired at 2"},
		{"a certificate from the future", func() { files.hold(newPair(t, "young", time.Hour, 2*time.Hour)) }, "the certificate is not valid before 2"},
		{"no PEM", func() { files.hold(pair{[]byte("junk"), []byte("junk")}) }, "failed to find any PEM data"},
		{"no file", func() { _ = os.Remove(files.chain) }, "no such file or directory"},
	} {
		c.bad()
		logged(1, c.says)
		if got := shown(); got != "first" {
			t.Errorf("%s: got %s, want the old one kept", c.name, got)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if n := strings.Count(s.log.String(), "no such file"); n != 1 {
		t.Errorf("the log reports the missing file %d times, want once", n)
	}
	files.hold(second)
	logged(1, "certificate replaced")
	if got := shown(); got != "second" {
		t.Errorf("got %s, want the new one", got)
	}
}

func TestTLS_RejectsBadPair(t *testing.T) {
	good := newPair(t, "ppch", -time.Hour, time.Hour).inFiles(t)
	for name, cfg := range map[string]api.Config{
		"half a pair":         {ChainFile: good.chain},
		"the other half":      {KeyFile: good.key},
		"the wrong way round": {ChainFile: good.key, KeyFile: good.chain},
	} {
		cfg.Addr, cfg.Keys, cfg.Directory = "127.0.0.1:0", keyring(keys.KeyringConfig{Key: testKey}), healthyConnection().directory()
		if s, err := api.New(cfg); err == nil || !strings.HasPrefix(err.Error(), "api: certificate: ") {
			t.Errorf("%s: got %v", name, err)
			_ = s.CloseListener()
		}
	}
}

func TestTLS_ExpiryMetric(t *testing.T) {
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	block, _ := pem.Decode(p.chain)
	leaf := must(x509.ParseCertificate(block.Bytes))(t)
	registry := prometheus.NewRegistry()
	s := startTLS(t, trusting(t, p), p.inFiles(t).encrypted, func(cfg *api.Config) { cfg.Metrics = registry })
	registry.MustRegister(s.Metrics()...)
	s.wantSeries("tls_certificate_expiry_timestamp_seconds " + strconv.FormatFloat(float64(leaf.NotAfter.Unix()), 'g', -1, 64))
}
