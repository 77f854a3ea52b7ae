package config

import (
	"crypto/x509"
	"os"
	"strings"

	"ppch/component/cluster"
)

// nats returns the connection to NATS, without secrets, and the user's password. It has no URLs if there is none.
func (p *parser) nats(s Settings, sealing Secret) (c cluster.Config, password Secret) {
	if s.NATSURL == "" {
		for _, set := range []struct{ variable, value string }{
			{"PPCH_NATS_CREDS", s.NATSCreds}, {"PPCH_NATS_USER", s.NATSUser}, {"PPCH_NATS_CA", s.NATSCA},
			{"PPCH_NATS_CERT", s.NATSCert}, {"PPCH_NATS_KEY", s.NATSKey},
		} {
			if set.value != "" {
				p.problem(set.variable, "is set, but PPCH_NATS_URL is not: set it to the servers, such as nats://nats:4222")
			}
		}
		return c, password
	}
	c = cluster.Config{URLs: list(s.NATSURL), Prefix: s.NATSPrefix, CA: s.NATSCA, Creds: s.NATSCreds, User: s.NATSUser}
	for _, u := range c.URLs {
		if err := cluster.CheckURL(u); err != nil {
			p.problem("PPCH_NATS_URL", "%v", err)
		} else if strings.Contains(u, "@") {
			p.problem("PPCH_NATS_URL", "contains a user, which the log would show: set PPCH_NATS_USER and PPCH_NATS_PASSWORD_FILE instead")
		}
	}
	if err := cluster.CheckPrefix(c.Prefix); err != nil {
		p.problem("PPCH_NATS_PREFIX", "%v", err)
	}
	if s.ClusterSecret.Reveal() == "" && s.ClusterSecretFile == "" && sealing.Reveal() != "" {
		p.problem("PPCH_CLUSTER_SECRET", "is not set, but PPCH_NATS_URL is: set the same one on all nodes, made with: openssl rand -hex 32")
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			p.problem("PPCH_NATS_CA", "can't be read: %v", err)
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			p.problem("PPCH_NATS_CA", "%s contains no certificate in PEM", c.CA)
		}
	}
	c.Cert, c.Key = p.pair("PPCH_NATS_CERT", s.NATSCert, "PPCH_NATS_KEY", s.NATSKey)
	switch {
	case c.Creds != "" && c.User != "":
		p.problem("PPCH_NATS_USER", "is set, and PPCH_NATS_CREDS too: keep one of them")
	case c.Creds != "":
		if _, err := os.ReadFile(c.Creds); err != nil {
			p.problem("PPCH_NATS_CREDS", "can't be read: %v", err)
		}
	case c.User != "":
		password = p.secret("PPCH_NATS_PASSWORD", s.NATSPassword, s.NATSPasswordFile, "it is the password of PPCH_NATS_USER")
	}
	return c, password
}
