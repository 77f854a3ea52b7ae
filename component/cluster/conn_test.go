package cluster_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"ppch/component/cluster"
	"ppch/component/clustertest"
	"ppch/component/occupancy"
)

// certificate writes a certificate for 127.0.0.1 that is its own authority, and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return certFile, keyFile
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Collector and node know NATS by its certificate, and NATS knows them by theirs.
func TestConn_TLS(t *testing.T) {
	serverCert, serverKey := certificate(t)
	clientCert, clientKey := certificate(t)
	s := runNATS(t, func(o *server.Options) {
		pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
		if err != nil {
			t.Fatal(err)
		}
		clients := x509.NewCertPool()
		text, _ := os.ReadFile(clientCert)
		clients.AppendCertsFromPEM(text)
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	})
	with := func(name string, change func(*cluster.Config)) cluster.Config {
		cfg := options(t, s.ClientURL(), name)
		cfg.CA, cfg.Cert, cfg.Key = serverCert, clientCert, clientKey
		change(&cfg)
		return cfg
	}
	c := newCollector(t, with("ppch.meet.jitsi", func(*cluster.Config) {}))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	newNode(t, with("node", func(*cluster.Config) {})).participants("a", 1)

	strangerCert, strangerKey := certificate(t)
	for name, change := range map[string]func(*cluster.Config){
		"without the authority of NATS": func(c *cluster.Config) { c.CA = "" },
		"without a certificate":         func(c *cluster.Config) { c.Cert, c.Key = "", "" },
		"with another certificate":      func(c *cluster.Config) { c.Cert, c.Key = strangerCert, strangerKey },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, with("node", change))
			n.reason(occupancy.ReasonNATSUnreachable)
			if d, err := n.shard.Domain(domain); err != nil || !strings.Contains(d.EventProblem.Remedy, "PPCH_NATS_CA") {
				t.Errorf("got %+v, %v want a remedy for certificates", d.EventProblem, err)
			}
		})
	}
}

// Users of an account, with the JWT and seed of a creds file, as in NATS' operator mode.
func TestConn_Creds(t *testing.T) {
	pair := func(create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		t.Helper()
		k, err := create()
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return k, public
	}
	operatorKey, operator := pair(nkeys.CreateOperator)
	accountKey, account := pair(nkeys.CreateAccount)
	accountJWT, err := jwt.NewAccountClaims(account).Encode(operatorKey)
	if err != nil {
		t.Fatal(err)
	}
	s := runNATS(t, func(o *server.Options) {
		resolver := &server.MemAccResolver{}
		if err := resolver.Store(account, accountJWT); err != nil {
			t.Fatal(err)
		}
		o.TrustedKeys, o.AccountResolver = []string{operator}, resolver
	})
	creds := func(signer nkeys.KeyPair) string {
		t.Helper()
		userKey, user := pair(nkeys.CreateUser)
		claims := jwt.NewUserClaims(user)
		claims.IssuerAccount = ""
		userJWT, err := claims.Encode(signer)
		if err != nil {
			t.Fatal(err)
		}
		seed, err := userKey.Seed()
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.FormatUserConfig(userJWT, seed)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "user.creds")
		write(t, path, string(text))
		return path
	}
	with := func(name, creds string) cluster.Config {
		cfg := options(t, s.ClientURL(), name)
		cfg.Creds = creds
		return cfg
	}
	c := newCollector(t, with("ppch.meet.jitsi", creds(accountKey)))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	newNode(t, with("node", creds(accountKey))).participants("a", 1)

	strangerKey, _ := pair(nkeys.CreateAccount)
	newNode(t, with("stranger", creds(strangerKey))).reason(occupancy.ReasonNATSLogin)
	newNode(t, with("nameless", "")).reason(occupancy.ReasonNATSLogin)
}

// Three servers of NATS form a cluster. Those of the node and of the collector are stopped, one after the other.
func TestConn_OneOfThreeServersStops(t *testing.T) {
	var all []*clustertest.NATS
	var urls []string
	for i := range 3 {
		s := runNATS(t, func(o *server.Options) {
			o.ServerName = fmt.Sprint("nats-", i)
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: -1, NoAdvertise: true}
			for _, other := range all {
				o.Routes = append(o.Routes, server.RoutesFromStr("nats://"+other.ClusterAddr().String())...)
			}
		})
		all, urls = append(all, s), append(urls, s.ClientURL())
	}
	with := func(name string, first int) cluster.Config {
		cfg := options(t, urls[first], name)
		cfg.URLs = append(cfg.URLs, urls...)
		return cfg
	}
	c := newCollector(t, with("ppch.meet.jitsi", 0))
	c.up()
	n := newNode(t, with("node", 1))
	n.reason("")
	for i, m := range []*member{n, c} {
		used := m.conn.Diagnostics().Server
		for k, s := range all {
			if s != nil && strings.HasSuffix(s.ClientURL(), used) {
				s.Stop()
				all[k] = nil
			}
		}
		room := fmt.Sprint("room", i)
		c.apply(domain, began(room+"@muc.meet.jitsi", person("ann", 1)))
		n.participants(room, 1)
		n.reason("")
		if now := m.conn.Diagnostics().Server; now == used || now == "" {
			t.Errorf("%d: got connected to %q want another server than %q", i, now, used)
		}
		if i == 0 && c.conn.Diagnostics().Server == used {
			eventually(t, 10*time.Second, func() string {
				if c.conn.Diagnostics().Server == "" {
					return "the collector is not connected"
				}
				return ""
			})
		}
	}
	equal(t, c, n, time.Second)
}
