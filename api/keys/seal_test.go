package keys_test

import (
	"strings"
	"testing"

	"ppch/api/keys"
)

// sealer seals text.
type sealer struct{ *keys.Sealer }

func newSealer(t *testing.T, secret, purpose string) sealer {
	t.Helper()
	s := must(keys.NewSealer(secret, purpose))(t)
	return sealer{s}
}

func (s sealer) seal(data string) string { return s.Seal([]byte(data)) }

func (s sealer) open(text string) (data string, ok bool) {
	plain, err := s.Open(text)
	return string(plain), err == nil
}

func TestSealer_OpensWhatTheSameSecretAndPurposeSealed(t *testing.T) {
	const secret, data = "a secret that all nodes share", "sort key \x00 room@muc.meet.jitsi"
	seals := newSealer(t, secret, "cursor")
	text := seals.seal(data)
	if strings.Contains(text, "room") || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("got %q, want a text that shows nothing and needs no escaping", text)
	}
	if again := seals.seal(data); again == text {
		t.Errorf("got %q twice", text)
	}
	if got, ok := newSealer(t, secret, "cursor").open(text); !ok || got != data {
		t.Errorf("another node got %q, %t want %q", got, ok, data)
	}
	last := text[len(text)-1:]
	for name, other := range map[string]string{
		"another case":     strings.ToLower(text),
		"its end missing":  text[:len(text)-1],
		"something added":  text + "A",
		"a line break":     text[:10] + "\n" + text[10:],
		"padding":          text + "=",
		"another last one": text[:len(text)-1] + strings.Map(func(r rune) rune { return r ^ 1 }, last),
		"the nonce alone":  text[:32],
		"nothing":          "",
	} {
		if got, ok := seals.open(other); ok {
			t.Errorf("%s: opens as %q", name, got)
		}
	}
	for name, stranger := range map[string]sealer{
		"another secret":  newSealer(t, "another secret", "cursor"),
		"another purpose": newSealer(t, secret, "ticket"),
		"no secret":       newSealer(t, "", "cursor"),
	} {
		if _, ok := stranger.open(text); ok {
			t.Errorf("%s opens it", name)
		}
	}
	if _, ok := newSealer(t, "", "cursor").open(newSealer(t, "", "cursor").seal(data)); ok {
		t.Error("two sealers without a secret have the same one")
	}
}
