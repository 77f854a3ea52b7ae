package main

import (
	"encoding"
	"fmt"
	"log/slog"
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
