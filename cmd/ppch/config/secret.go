package config

import (
	"encoding"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
)

// Secret is a text that hides itself when it is printed, logged or encoded. Only Reveal returns it.
//
// The text is behind a pointer, because package fmt ignores the methods of unexported fields: it would print
// the secrets of a struct that holds some.
type Secret struct{ text *string }

var (
	_ encoding.TextUnmarshaler = (*Secret)(nil) // for go-envconfig
	_ encoding.TextMarshaler   = Secret{}       // for JSON and others
	_ fmt.Formatter            = Secret{}       // for every verb: %#v would print the address otherwise
	_ slog.LogValuer           = Secret{}
)

const hidden = "[hidden]"

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// String implements fmt.Stringer.
func (s Secret) String() string { return hidden }

// Format implements fmt.Formatter.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// placeholders are prefixes of what examples, ours and others', contain in place of a secret.
var placeholders = []string{"change-me", "changeme", "your-api-key", "your-secret", "the secret"}

// IsPlaceholder reports whether a secret is still that of an example.
func IsPlaceholder(text string) bool {
	lower := strings.ToLower(text)
	return slices.ContainsFunc(placeholders, func(prefix string) bool { return strings.HasPrefix(lower, prefix) })
}

func (p *parser) secret(variable string, value Secret, file, fix string) Secret {
	text := value.Reveal()
	switch {
	case text != "" && file != "":
		p.problem(variable, "is set, and %s_FILE too: keep one of them", variable)
		return Secret{}
	case file != "":
		variable += "_FILE"
		b, err := os.ReadFile(file) // #nosec G304 -- the operator names it
		if err != nil {
			p.problem(variable, "can't be read: %v", err)
			return Secret{}
		}
		if text = strings.TrimSpace(string(b)); text == "" {
			p.problem(variable, "%s is empty: %s", file, fix)
			return Secret{}
		}
	case text == "":
		p.problem(variable, "is not set, nor is %s_FILE: %s", variable, fix)
		return Secret{}
	}
	switch {
	case IsPlaceholder(text):
		p.problem(variable, "is still an example's placeholder: %s", fix)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		p.problem(variable, "contains a control character or several lines: %s", fix)
	}
	return NewSecret(text)
}

// apiKey returns an empty secret if there are only keys in a file or in NATS.
func (p *parser) apiKey(s Settings) Secret {
	if (s.KeysFile != "" || s.isFromNATS()) && s.APIKey.Reveal() == "" && s.APIKeyFile == "" {
		return Secret{}
	}
	const fix = "make one with: openssl rand -hex 16"
	key := p.secret("PPCH_API_KEY", s.APIKey, s.APIKeyFile, fix)
	if len(key.Reveal()) < 16 {
		p.warnings = append(p.warnings, "PPCH_API_KEY is short enough to be guessed; "+fix)
	}
	return key
}

// shortestClusterSecret is the minimum length of a secret that can't be guessed from a text that it sealed.
const shortestClusterSecret = 16

// clusterSecret returns the secret that seals tickets and cursors: by default that of the component.
func (p *parser) clusterSecret(s Settings, component Secret) Secret {
	const fix = "make one with: openssl rand -hex 32"
	if s.ShardsFile != "" && component.Reveal() == "" && s.ClusterSecret.Reveal() == "" && s.ClusterSecretFile == "" && len(p.problems) == 0 {
		p.problem("PPCH_CLUSTER_SECRET", "is not set: set the one that the other PPCH on this NATS have")
		return Secret{}
	}
	if s.ClusterSecret.Reveal() == "" && s.ClusterSecretFile == "" {
		if n := len(component.Reveal()); n > 0 && n < shortestClusterSecret {
			p.warnings = append(p.warnings, "PPCH_COMPONENT_SECRET is short enough to be guessed from a ticket or a cursor, which it seals; "+fix)
		}
		return component
	}
	sealing := p.secret("PPCH_CLUSTER_SECRET", s.ClusterSecret, s.ClusterSecretFile, fix)
	if n := len(sealing.Reveal()); n > 0 && n < shortestClusterSecret {
		p.problem("PPCH_CLUSTER_SECRET", "has %d characters, needs at least %d: %s", n, shortestClusterSecret, fix)
	}
	return sealing
}
