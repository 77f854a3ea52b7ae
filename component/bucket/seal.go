package bucket

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/crypto/chacha20poly1305"
)

// version is the version of sealed entries. A change that older releases would misread increases it.
const version = 1

// magic begins the sealed entries of every version: it is followed by the number of the version and a line break.
const magic = "ppch-bucket/"

// MaxValue is the largest size of a value in bytes. NATS accepts a message of 1 MiB unless configured otherwise.
const MaxValue = 768 << 10

// overhead is the maximum of what a seal adds to a value.
const overhead = 128

// Errors of what isn't an entry of this cluster.
var (
	errForeign  = errors.New("bucket: not sealed with PPCH_CLUSTER_SECRET")
	errTooLarge = fmt.Errorf("bucket: a value has at most %d KiB", MaxValue>>10)
)

// versionError means that an entry has another version than this program.
type versionError struct{ theirs int }

func (e *versionError) Error() string {
	return fmt.Sprintf("bucket: entry of version %d, this PPCH reads version %d", e.theirs, version)
}

// sealer encrypts and authenticates entries. It is safe for concurrent use.
type sealer struct{ aead cipher.AEAD }

func newSealer(secret string) (sealer, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "ppch bucket", chacha20poly1305.KeySize)
	if err != nil {
		return sealer{}, fmt.Errorf("bucket: derive a key: %w", err)
	}
	// Its nonces are long enough to be random on every node.
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return sealer{}, fmt.Errorf("bucket: %w", err)
	}
	return sealer{aead}, nil
}

// head returns what a sealed entry of this version begins with.
func head() []byte { return strconv.AppendInt([]byte(magic), version, 10) }

// bound is sealed with an entry, but not part of it: an entry under another name doesn't open.
func bound(name string) []byte { return append(append(head(), '\n'), name...) }

// seal returns an entry as it is stored.
func (s sealer) seal(e Entry) []byte {
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, len(e.Value)+9), e.Generation)
	flag := byte(0)
	if e.Removed {
		flag = 1
	}
	plain = append(append(plain, flag), e.Value...)
	nonce := make([]byte, s.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	sealed := append(append(head(), '\n'), nonce...)
	return s.aead.Seal(sealed, nonce, plain, bound(e.Name))
}

// open returns the entry that was stored under a name. It bounds what it reads, and keeps nothing of data.
func (s sealer) open(name string, data []byte) (Entry, error) {
	return s.openSized(name, data, MaxValue+overhead)
}

// openSized is open for data of another maximum size.
func (s sealer) openSized(name string, data []byte, limit int) (Entry, error) {
	if len(data) > limit {
		return Entry{}, errTooLarge
	}
	first, sealed, ok := bytes.Cut(data, []byte{'\n'})
	number, found := bytes.CutPrefix(first, []byte(magic))
	if !ok || !found {
		return Entry{}, errForeign
	}
	theirs, err := strconv.ParseUint(string(number), 10, 16)
	switch {
	case err != nil:
		return Entry{}, errForeign
	case theirs != version:
		return Entry{}, &versionError{int(theirs)}
	case !bytes.Equal(first, head()) || len(sealed) < s.aead.NonceSize():
		return Entry{}, errForeign
	}
	nonce, sealed := sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, nonce, sealed, bound(name))
	if err != nil || len(plain) < 9 || plain[8] > 1 {
		return Entry{}, errForeign
	}
	return Entry{Name: name, Generation: binary.BigEndian.Uint64(plain), Removed: plain[8] == 1, Value: plain[9:]}, nil
}
