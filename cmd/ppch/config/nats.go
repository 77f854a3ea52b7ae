package config

import (
	"crypto/x509"
	"errors"
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
	case c.User == "" && (s.NATSPassword.Reveal() != "" || s.NATSPasswordFile != ""):
		p.problem("PPCH_NATS_USER", "is not set, but its password is: set it, too")
	case c.User != "":
		password = p.secret("PPCH_NATS_PASSWORD", s.NATSPassword, s.NATSPasswordFile, "it is the password of PPCH_NATS_USER")
	}
	return c, password
}

// isFromNATS reports whether keys are in NATS; a wrong value is reported by configFromNATS.
func (s Settings) isFromNATS() bool { return (&parser{}).boolean("", s.ConfigFromNATS) }

// configFromNATS returns whether keys are in NATS.
func (p *parser) configFromNATS(s Settings) bool {
	const variable = "PPCH_CONFIG_FROM_NATS"
	if !p.boolean(variable, s.ConfigFromNATS) {
		return false
	}
	if s.NATSURL == "" {
		p.problem(variable, "is true, but PPCH_NATS_URL is not set: set it to the servers, such as nats://nats:4222")
	}
	if s.KeysFile != "" { // a key that was removed from one list would stay valid by the other
		p.problem("PPCH_API_KEYS_FILE", "is set, but %s is true: run ppch key import %s, then unset PPCH_API_KEYS_FILE", variable, s.KeysFile)
	}
	return true
}

// ErrNotFromNATS means that keys are configured on each node.
var ErrNotFromNATS = errors.New("PPCH_CONFIG_FROM_NATS is not true, so keys are lines of the file in PPCH_API_KEYS_FILE: edit that file")

// SharedInNATS returns the connection to the NATS that keeps keys, with its secrets, for commands that need no other settings.
// The error is [ErrNotFromNATS], or says which variables are wrong.
func (s Settings) SharedInNATS() (cluster.Config, error) {
	if !s.isFromNATS() {
		return cluster.Config{}, ErrNotFromNATS
	}
	p := &parser{}
	s.KeysFile = "" // whose import may be the command
	p.configFromNATS(s)
	secret := p.secret("PPCH_CLUSTER_SECRET", s.ClusterSecret, s.ClusterSecretFile, "set that of the nodes")
	c, password := p.nats(s, secret)
	if len(p.problems) > 0 {
		return cluster.Config{}, p.problems
	}
	c.Secret, c.Password = secret.Reveal(), password.Reveal()
	return c, nil
}
