package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"ppch/cmd/ppch/config"
	"ppch/prosody/prosodytest"
)

// certificate writes a certificate for this machine and other hosts, with its key, and returns the files.
func certificate(t *testing.T, expires time.Duration, hosts ...string) (certFile, keyFile string) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "ppch"}, // curl requires a subject
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(expires),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: hosts,
	}
	files := t.TempDir()
	certFile, keyFile = filepath.Join(files, "fullchain.pem"), filepath.Join(files, "privkey.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))(t)},
		keyFile:  {Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))(t)},
	} {
		check(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	return certFile, keyFile
}

// trust makes the client accept only this certificate.
func (s *service) trust(certFile string) *service {
	s.t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must(os.ReadFile(certFile))(s.t))
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	return s
}

// With two files, everything uses HTTPS: clients, curl with HTTP/2, the container's health check.
func TestTLS_Serves(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada")
	cert, key := certificate(t, time.Hour)
	env := envFor(srv)
	env["PPCH_TLS_CERT"], env["PPCH_TLS_KEY"] = cert, key
	s := runService(t, env).trust(cert).ready()
	if got := s.room("planning"); !strings.HasPrefix(s.url, "https://") || got.status != 200 || got.data["participant_count"] != 1.0 {
		t.Errorf("%s: got %d %s", s.url, got.status, got.body)
	}

	curl := exec.CommandContext(t.Context(), prosodytest.Installed(t, "curl"), "-sS", "--http2", "--cacert", cert, "--noproxy", "*", "-o", "/dev/null",
		"-w", "%{http_version} %{http_code}", "-H", "X-API-Key: "+testKey, s.url+"/api/rooms/planning/participants")
	if out, err := curl.CombinedOutput(); err != nil || string(out) != "2 200" {
		t.Errorf("curl: got %q, %v want HTTP/2", out, err)
	}

	check := healthcheckOf(t, s, "0.0.0.0")
	check["PPCH_TLS_CERT"], check["PPCH_TLS_KEY"] = cert, key
	if out, err := command(t, check, "healthcheck", "--ready"); err != nil || out != "ok\n" {
		t.Errorf("healthcheck: got %q, %v", out, err)
	}
	check["PPCH_API_KEY"] = testKey
	if out, err := command(t, check, "rooms", "--json"); err != nil || !strings.Contains(out, `"room_name":"planning"`) {
		t.Errorf("rooms: got %q, %v", out, err)
	}
	doctored := envFor(srv)
	maps.Copy(doctored, check)
	if got, status := diagnose(t, doctored); status != 0 || len(got.of("service", "ok")) != 1 {
		t.Errorf("doctor: got exit status %d and %+v", status, got)
	}
	// The files may have been replaced by bad ones; the service keeps running.
	check["PPCH_TLS_CERT"] = written(t, "junk.pem", "junk")
	if out, err := command(t, check, "healthcheck"); err != nil || out != "ok\n" {
		t.Errorf("healthcheck with a bad certificate: got %q, %v", out, err)
	}
}

func TestTLS_BadPairFailsAtStart(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, time.Hour)
	other, otherKey := certificate(t, time.Hour)
	old, oldKey := certificate(t, -time.Minute)
	missing := filepath.Join(t.TempDir(), "nothing.pem")
	load := func(cert, key string) (config.Config, error) {
		return config.Load(t.Context(), envconfig.MapLookuper(variables{
			"PPCH_API_KEY": testKey, "PPCH_COMPONENT_SECRET": "s3cret-of-a-test", "PPCH_TLS_CERT": cert, "PPCH_TLS_KEY": key,
		}))
	}
	const together = "PPCH_TLS_CERT: can't be used with PPCH_TLS_KEY: "
	for _, tt := range []struct{ name, cert, key, want string }{
		{"no key", cert, "", "PPCH_TLS_KEY: is not set, but PPCH_TLS_CERT is: name the file that holds the certificate's key"},
		{"no certificate", "", key, "PPCH_TLS_CERT: is not set, but PPCH_TLS_KEY is: name the file that holds the certificate"},
		{"no such file", missing, key, "PPCH_TLS_CERT: can't be read: open " + missing + ": no such file or directory"},
		{"no such files", missing, missing, "PPCH_TLS_CERT: can't be read: open " + missing + ": no such file or directory\n  " +
			"PPCH_TLS_KEY: can't be read: open " + missing + ": no such file or directory"},
		{"a folder", cert, filepath.Dir(key), "PPCH_TLS_KEY: can't be read: read " + filepath.Dir(key) + ": is a directory"},
		{"the key of another", cert, otherKey, together + "tls: private key does not match public key"},
		{"the certificate of another", other, key, together + "tls: private key does not match public key"},
		{"an expired one", old, oldKey, together + "the certificate expired at "},
		{"no PEM", written(t, "junk.pem", "junk"), key, together + "tls: failed to find any PEM data in certificate input"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(tt.cert, tt.key)
			if err == nil || !strings.HasPrefix(err.Error(), "the configuration is wrong:\n  "+tt.want) || strings.Count(err.Error(), "\n") != 1+strings.Count(tt.want, "\n") {
				t.Errorf("got %v want %s", err, tt.want)
			}
		})
	}
	if c, err := load(cert, key); err != nil || c.TLSCert != cert || c.TLSKey != key {
		t.Errorf("a good pair got %q, %q, %v", c.TLSCert, c.TLSKey, err)
	}
}
