package config

import (
	"os"
	"time"

	"ppch/api/certificate"
)

// pair returns the files of a TLS certificate and its key. They must be valid at start; they may be replaced later.
func (p *parser) pair(certVariable, certFile, keyVariable, keyFile string) (cert, key string) {
	switch {
	case certFile == "" && keyFile == "":
		return "", ""
	case keyFile == "":
		p.problem(keyVariable, "is not set, but %s is: name the file that holds the certificate's key", certVariable)
		return "", ""
	case certFile == "":
		p.problem(certVariable, "is not set, but %s is: name the file that holds the certificate", keyVariable)
		return "", ""
	}
	chainPEM, certErr := os.ReadFile(certFile) // #nosec G304 -- the operator names it
	if certErr != nil {
		p.problem(certVariable, "can't be read: %v", certErr)
	}
	keyPEM, keyErr := os.ReadFile(keyFile) // #nosec G304 -- the operator names it
	if keyErr != nil {
		p.problem(keyVariable, "can't be read: %v", keyErr)
	}
	if certErr != nil || keyErr != nil {
		return "", ""
	}
	if _, err := certificate.Parse(chainPEM, keyPEM, time.Now()); err != nil {
		p.problem(certVariable, "can't be used with %s: %v", keyVariable, err)
	}
	return certFile, keyFile
}
