package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The form of secrets, by Standard Webhooks 1.0: 24 to 64 random bytes.
const (
	secretPrefix = "whsec_"
	newSecret    = 32
	minSecret    = 24
	maxSecret    = 64
)

// NewSecret returns a random secret.
func NewSecret() string {
	b := make([]byte, newSecret)
	_, _ = rand.Read(b) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// CheckSecret returns an error that says how to fix secret, if it is too weak or malformed.
func CheckSecret(secret string) error {
	const fix = `make one with: printf 'whsec_%s\n' "$(openssl rand -base64 32)"`
	text, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok {
		return errors.New("secret: doesn't begin with whsec_: " + fix)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil || strings.ContainsAny(text, "\r\n"): // which the decoder ignores
		return errors.New("secret: isn't base64 after whsec_: " + fix)
	case len(b) < minSecret || len(b) > maxSecret:
		return fmt.Errorf("secret: has %d bytes, needs %d to %d: %s", len(b), minSecret, maxSecret, fix)
	}
	return nil
}

// signer signs the deliveries of an endpoint. It is safe for concurrent use.
type signer struct {
	format  Format
	secrets []string
	hooks   []*standardwebhooks.Webhook
}

// newSigner returns a signer for secrets that CheckSecret accepts, the newest first.
func newSigner(format Format, secrets ...string) (*signer, error) {
	s := &signer{format: format, secrets: secrets}
	for _, secret := range secrets {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, fmt.Errorf("webhook: read secret: %w", err)
		}
		s.hooks = append(s.hooks, hook)
	}
	return s, nil
}

// sign sets the headers that identify and sign a delivery at a time: with all secrets, so that a receiver can change its own at any time.
func (s *signer) sign(h http.Header, id string, now time.Time, body []byte) error {
	signatures := make([]string, 0, len(s.hooks))
	for _, hook := range s.hooks {
		signature, err := hook.Sign(id, now, body)
		if err != nil {
			return fmt.Errorf("webhook: sign: %w", err)
		}
		signatures = append(signatures, signature)
	}
	h["Webhook-Id"] = []string{id}
	h["Webhook-Timestamp"] = []string{strconv.FormatInt(now.Unix(), 10)}
	h["Webhook-Signature"] = []string{strings.Join(signatures, " ")}
	if s.format == FormatJaaS {
		h["X-Jaas-Signature"] = []string{jaasSignature(now, body, s.secrets)}
	}
	return nil
}

// jaasSignature returns the header X-Jaas-Signature: HMAC-SHA256 of "TIME.BODY", keyed with the text of the secret.
func jaasSignature(now time.Time, body []byte, secrets []string) string {
	at := strconv.FormatInt(now.Unix(), 10)
	var b strings.Builder
	b.WriteString("t=" + at)
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(at + "."))
		mac.Write(body)
		b.WriteString(",v1=" + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return b.String()
}
