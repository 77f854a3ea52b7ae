package keys

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Sealer turns data into a text that clients can neither read nor change, and back.
// The service stores nothing of it: every node with the same secret opens what another has sealed, also after a restart.
// It is safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// NewSealer returns the sealer for a purpose. What is sealed for one purpose doesn't open for another.
// Without a secret it makes one up, so that what it seals opens in this process only.
func NewSealer(secret, purpose string) (*Sealer, error) {
	if secret == "" {
		secret = rand.Text()
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "ppch "+purpose, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("keys: derive the key of %s: %w", purpose, err)
	}
	// Its nonces are long enough to be random, however many texts are sealed.
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("keys: seal %s: %w", purpose, err)
	}
	return &Sealer{aead}, nil
}

// Seal returns data as text that needs no escaping in a URL.
func (s *Sealer) Seal(data []byte) string {
	sealed := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(data)+s.aead.Overhead())
	_, _ = rand.Read(sealed) // never fails
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(sealed, sealed, data, nil))
}

// errNotSealed is the error of a text that Seal hasn't returned, or not with this secret and purpose.
var errNotSealed = errors.New("keys: not sealed by this service")

// Open returns the data of a text that Seal has returned.
func (s *Sealer) Open(text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) < s.aead.NonceSize() || strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return nil, errNotSealed
	}
	nonce, sealed := sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():]
	data, err := s.aead.Open(nil, nonce, sealed, nil)
	if err != nil {
		return nil, errNotSealed
	}
	return data, nil
}
