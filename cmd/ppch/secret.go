package main

import (
	"fmt"
	"log/slog"
)

// secret is a string that hides itself wherever it is printed, logged or encoded.
// reveal is the only way to its text.
type secret string

const hidden = "[hidden]"

func (s secret) reveal() string { return string(s) }

// String implements fmt.Stringer.
func (s secret) String() string { return hidden }

// Format implements fmt.Formatter for every verb: %q and %x would print the text otherwise.
func (s secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue implements slog.LogValuer.
func (s secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler, which JSON and others use.
//
//nolint:unparam // the interface has the error
func (s secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
