package main

import (
	"encoding"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
)

// secret is a text that hides itself wherever it is printed, logged or encoded.
// reveal is the only way to it.
//
// The text is behind a pointer since package fmt asks no unexported field how it wants to be printed:
// a config would show its secrets.
type secret struct{ text *string }

var (
	_ encoding.TextUnmarshaler = (*secret)(nil) // for go-envconfig
	_ encoding.TextMarshaler   = secret{}       // for JSON and others
	_ fmt.Formatter            = secret{}       // for every verb: %#v would print the address otherwise
	_ slog.LogValuer           = secret{}
)

const hidden = "[hidden]"

func newSecret(text string) secret { return secret{&text} }

func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *secret) UnmarshalText(text []byte) error {
	*s = newSecret(string(text))
	return nil
}

// String implements fmt.Stringer.
func (s secret) String() string { return hidden }

// Format implements fmt.Formatter.
func (s secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue implements slog.LogValuer.
func (s secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler.
func (s secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// placeholders are what examples, ours and those of others, have where a secret belongs.
var placeholders = []string{"change-me", "changeme", "your-api-key", "your-secret", "the secret"}

func (p *parser) secret(variable string, value secret, file, mend string) secret {
	text := value.reveal()
	switch {
	case text != "" && file != "":
		p.problem(variable, "is set, and %s_FILE as well: keep one of them", variable)
		return secret{}
	case file != "":
		variable += "_FILE"
		b, err := os.ReadFile(file) // #nosec G304 -- the operator names it
		if err != nil {
			p.problem(variable, "can't be read: %v", err)
			return secret{}
		}
		if text = strings.TrimSpace(string(b)); text == "" {
			p.problem(variable, "%s is empty: %s", file, mend)
			return secret{}
		}
	case text == "":
		p.problem(variable, "is not set, nor is %s_FILE: %s", variable, mend)
		return secret{}
	}
	lower := strings.ToLower(text)
	switch {
	case slices.ContainsFunc(placeholders, func(prefix string) bool { return strings.HasPrefix(lower, prefix) }):
		p.problem(variable, "is still the placeholder of an example: %s", mend)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		p.problem(variable, "holds a control character or more than one line: %s", mend)
	}
	return newSecret(text)
}

// apiKey returns no secret where a file of keys makes one unnecessary.
func (p *parser) apiKey(s settings) secret {
	if s.KeysFile != "" && s.APIKey.reveal() == "" && s.APIKeyFile == "" {
		return secret{}
	}
	const mend = "make one with: openssl rand -hex 16"
	key := p.secret("PPCH_API_KEY", s.APIKey, s.APIKeyFile, mend)
	if len(key.reveal()) < 16 {
		p.warnings = append(p.warnings, "PPCH_API_KEY is short enough to be guessed; "+mend)
	}
	return key
}

// shortestClusterSecret is how many characters a secret has that can't be guessed from a text that it has sealed.
const shortestClusterSecret = 16

// clusterSecret returns the secret that seals what clients keep: that of the component where none is set.
func (p *parser) clusterSecret(s settings, component secret) secret {
	const mend = "make one with: openssl rand -hex 32"
	if s.ClusterSecret.reveal() == "" && s.ClusterSecretFile == "" {
		if n := len(component.reveal()); n > 0 && n < shortestClusterSecret {
			p.warnings = append(p.warnings, "PPCH_COMPONENT_SECRET is short enough to be guessed from a ticket or a cursor, which it seals; "+mend)
		}
		return component
	}
	sealing := p.secret("PPCH_CLUSTER_SECRET", s.ClusterSecret, s.ClusterSecretFile, mend)
	if n := len(sealing.reveal()); n > 0 && n < shortestClusterSecret {
		p.problem("PPCH_CLUSTER_SECRET", "has %d characters, and needs %d: %s", n, shortestClusterSecret, mend)
	}
	return sealing
}
