package webhook_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"ppch/api/webhook"
)

func TestSecret_Check(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"whsec_" + strings.Repeat("A", 32):        "",
		"whsec_" + strings.Repeat("A", 28):        "has 21 bytes, needs 24 to 64",
		"whsec_" + strings.Repeat("A", 88):        "has 66 bytes, needs 24 to 64",
		"whsec_" + strings.Repeat("A", 32) + "\n": "isn't base64",
		"whsec_short!": "isn't base64",
		"hunter2":      "doesn't begin with whsec_",
		"":             "doesn't begin with whsec_",
	} {
		err := webhook.CheckSecret(in)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v want %q", in, err, want)
		}
	}
	if a, b := webhook.NewSecret(), webhook.NewSecret(); a == b || webhook.CheckSecret(a) != nil {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestSecret_BothSign(t *testing.T) {
	t.Parallel()
	body, now := []byte(`{"type":"webhook.test"}`), time.Now()
	old, fresh := webhook.NewSecret(), webhook.NewSecret()
	h := http.Header{}
	check(t, webhook.Sign(h, webhook.FormatPPCH, "evt_1", now, body, fresh, old))
	for _, secret := range []string{fresh, old} {
		verifier := must(standardwebhooks.NewWebhook(secret))(t)
		if err := verifier.Verify(body, h); err != nil {
			t.Errorf("%v: %v", h, err)
		}
		if err := verifier.Verify(append(body, ' '), h); err == nil {
			t.Error("another body was accepted")
		}
	}
	verifier, _ := standardwebhooks.NewWebhook(webhook.NewSecret())
	if err := verifier.Verify(body, h); err == nil {
		t.Error("another secret was accepted")
	}
}

// The figure is from openssl: printf '1760000000.{}' | openssl dgst -sha256 -hmac whsec_… -binary | base64
func TestSecret_JaaSSignature(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	check(t, webhook.Sign(h, webhook.FormatJaaS, "evt_1", time.Unix(1760000000, 0), []byte("{}"), "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	if got, want := h.Get("X-Jaas-Signature"), "t=1760000000,v1="+jaasExample; got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

const jaasExample = "D3XBrEw+/f3lj1EQkcqYxtPUTeFAlG+d0iiVnlxzYwM="
