package cluster

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
)

// version is the version of the messages. A change that older releases would misread increases it.
const version = 1

// magic begins every message of every version: it is followed by the number of the version and a space.
const magic = "ppch-cluster/"

var (
	errForeign = errors.New("cluster: message isn't sealed with PPCH_CLUSTER_SECRET")
	errFormat  = errors.New("cluster: not a message of PPCH")
)

// VersionError means that a message has another version than this program.
type VersionError struct{ Theirs int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("cluster: message of version %d, this PPCH speaks version %d", e.Theirs, version)
}

// sealer seals messages, so that only programs with the same secret can write them: a false message would make a false number.
// It is safe for concurrent use.
type sealer struct{ key []byte }

func newSealer(secret string) sealer {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("ppch cluster messages"))
	return sealer{mac.Sum(nil)}
}

// sealLen is the length of a seal in base64.
const sealLen = 43

func (s sealer) seal(body []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(body)
	return base64.RawURLEncoding.AppendEncode(make([]byte, 0, sealLen), mac.Sum(nil))
}

// wrap returns a message with a body. The subject isn't part of it, because accounts of NATS may map subjects:
// the body names the shard, the collector and its epoch.
func (s sealer) wrap(body []byte) []byte {
	m := make([]byte, 0, len(magic)+sealLen+len(body)+8)
	m = append(m, magic...)
	m = strconv.AppendInt(m, version, 10)
	m = append(m, ' ')
	m = append(m, s.seal(body)...)
	m = append(m, '\n')
	return append(m, body...)
}

// unwrap returns the body of a message.
func (s sealer) unwrap(message []byte) ([]byte, error) {
	head, body, ok := bytes.Cut(message, []byte{'\n'})
	if !ok || !bytes.HasPrefix(head, []byte(magic)) {
		return nil, errFormat
	}
	number, seal, _ := bytes.Cut(head[len(magic):], []byte{' '})
	theirs, err := strconv.ParseUint(string(number), 10, 16)
	if err != nil {
		return nil, errFormat
	}
	if theirs != version {
		return nil, &VersionError{int(theirs)}
	}
	if !hmac.Equal(seal, s.seal(body)) {
		return nil, errForeign
	}
	return body, nil
}
