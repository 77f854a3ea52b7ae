package api_test

import (
	"strings"
	"testing"

	"ppch/api"
)

func TestSealer_OpensWhatTheSameSecretAndPurposeSealed(t *testing.T) {
	const secret, data = "a secret that all nodes share", "sort key \x00 room@muc.meet.jitsi"
	sealer := api.NewSealer(t, secret, "cursor")
	text := sealer.Seal(data)
	if strings.Contains(text, "room") || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("got %q, want a text that shows nothing and needs no escaping", text)
	}
	if again := sealer.Seal(data); again == text {
		t.Errorf("got %q twice", text)
	}
	if got, ok := api.NewSealer(t, secret, "cursor").Open(text); !ok || got != data {
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
		if got, ok := sealer.Open(other); ok {
			t.Errorf("%s: opens as %q", name, got)
		}
	}
	for name, stranger := range map[string]api.Sealer{
		"another secret":  api.NewSealer(t, "another secret", "cursor"),
		"another purpose": api.NewSealer(t, secret, "ticket"),
		"no secret":       api.NewSealer(t, "", "cursor"),
	} {
		if _, ok := stranger.Open(text); ok {
			t.Errorf("%s opens it", name)
		}
	}
	if _, ok := api.NewSealer(t, "", "cursor").Open(api.NewSealer(t, "", "cursor").Seal(data)); ok {
		t.Error("two sealers without a secret have the same one")
	}
}
